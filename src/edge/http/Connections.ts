/**
 * The open connections of this process: event streams and sockets, each of which belongs to a session.
 *
 * They are counted, so that one user cannot open any number of them, and they can be disconnected: when the session ends, or
 * when the credential that opened them is replaced.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { taggedError } from "../../contract/internal/taggedError.ts"
import { InvalidConfig } from "../../contract/SessionError.ts"
import { respondable } from "../internal/answers.ts"

/** When a client that has too many connections may try again, in milliseconds. A guess: it depends on that client. */
const retryAfter = 5_000

/**
 * The user has as many open connections as are allowed. `retryAfter` is in milliseconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManyConnections extends respondable(
  taggedError<TooManyConnections>()("TooManyConnections", { limit: Schema.Number, retryAfter: Schema.Number }, {
    status: 429,
    retrySafe: true,
    of: (limit: number) => ({
      limit,
      retryAfter,
      message: `there are ${limit} open connections already, no more are allowed`
    })
  })
) {
}

/**
 * An open connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connection {
  /** The session that admitted it. */
  readonly session: { readonly kind: string; readonly id: string }
  /** Who it is counted for when it is opened: the user, or the id of an anonymous session. */
  readonly owner: string
  /** The client's normalized address, see `ClientAddress`, and its `User-Agent`. */
  readonly address: string | undefined
  readonly agent: string | undefined
  /** Closes it. */
  readonly disconnect: () => void
}

/**
 * The open connections of this process.
 *
 * @since 0.1.0
 * @category services
 */
export class Connections extends Context.Service<Connections, {
  /** How many connections an owner may have at a time. */
  readonly perOwner: number
  /** Fails when the owner may not open another connection. Reserves none. */
  readonly check: (owner: string) => Effect.Effect<void, TooManyConnections>
  /** Counts a connection for as long as the Scope lives. Fails when its owner may not open another one. */
  readonly add: (connection: Connection) => Effect.Effect<void, TooManyConnections, Scope.Scope>
  /**
   * Counts a connection for another owner: the one that its session belongs to now. It is disconnected if that owner already
   * has as many as are allowed. `false` when that changes nothing.
   */
  readonly assign: (connection: Connection, owner: string) => boolean
  /** Disconnects the connections of a session, or those that match, and gives their number. */
  readonly disconnect: (
    session: { readonly kind: string; readonly id: string },
    which?: (connection: Connection) => boolean
  ) => Effect.Effect<number>
  /** Disconnects the connections that are counted for an owner, except those of the session with the id `except`. */
  readonly disconnectAll: (owner: string, except?: string | undefined) => Effect.Effect<void>
  /** The connections that are counted for an owner. */
  readonly of: (owner: string) => Effect.Effect<Array<Connection>>
  /** The number of open connections. */
  readonly count: Effect.Effect<number>
}>()("effect-sessions/Connections") {
  /**
   * At most `perOwner` (default 20) connections at a time for one user, or one anonymous session. Fails with `InvalidConfig`
   * when that is not a whole number above 0, or `Infinity`.
   *
   * @since 0.1.0
   */
  static readonly layer = (
    options?: { readonly perOwner?: number | undefined }
  ): Layer.Layer<Connections, InvalidConfig> => Layer.effect(Connections, make(options?.perOwner ?? 20))
}

const make = (perOwner: number): Effect.Effect<Connections["Service"], InvalidConfig> => {
  if (!(Number.isInteger(perOwner) && perOwner >= 1) && perOwner !== Infinity) {
    const setting = "connections.perOwner"
    return Effect.fail(new InvalidConfig({ setting, message: `${setting} must be a whole number above 0` }))
  }
  const bySession = new Groups()
  const byOwner = new Groups()
  /** The owner that each open connection is counted for. */
  const owners = new Map<Connection, string>()
  const check = (owner: string) =>
    Effect.suspend(() => byOwner.of(owner).size < perOwner ? Effect.void : Effect.fail(TooManyConnections.of(perOwner)))
  const keyOf = ({ id, kind }: Connection["session"]) => `${kind}/${id}`
  /** Disconnects all although one throws. */
  const disconnectEach = (found: ReadonlyArray<Connection>) =>
    Effect.forEach(found, (connection) =>
      Effect.catchDefect(
        Effect.sync(() => connection.disconnect()),
        (defect) => Effect.logError(`a connection of ${keyOf(connection.session)} could not be disconnected`, defect)
      ), { discard: true })
  return Effect.succeed({
    perOwner,
    check,
    add: (connection) =>
      Effect.acquireRelease(
        Effect.map(check(connection.owner), () => {
          owners.set(connection, connection.owner)
          bySession.add(keyOf(connection.session), connection)
          byOwner.add(connection.owner, connection)
        }),
        () =>
          Effect.sync(() => {
            bySession.remove(keyOf(connection.session), connection)
            byOwner.remove(owners.get(connection)!, connection)
            owners.delete(connection)
          })
      ),
    assign: (connection, owner) => {
      const before = owners.get(connection)
      if (before === undefined || before === owner) return false
      const isFull = byOwner.of(owner).size >= perOwner
      byOwner.remove(before, connection)
      byOwner.add(owner, connection)
      owners.set(connection, owner)
      if (isFull) connection.disconnect()
      return true
    },
    disconnect: (session, which = () => true) =>
      Effect.suspend(() => {
        const found = Array.from(bySession.of(keyOf(session))).filter(which)
        return Effect.as(disconnectEach(found), found.length)
      }),
    disconnectAll: (owner, except) =>
      Effect.suspend(() =>
        disconnectEach(Array.from(byOwner.of(owner)).filter(({ session }) => session.id !== except))
      ),
    of: (owner) => Effect.sync(() => Array.from(byOwner.of(owner))),
    count: Effect.sync(() => owners.size)
  })
}

/** Connections by key. */
class Groups {
  private readonly groups = new Map<string, Set<Connection>>()

  of(key: string): ReadonlySet<Connection> {
    return this.groups.get(key) ?? none
  }

  add(key: string, connection: Connection): void {
    const group = this.groups.get(key)
    if (group === undefined) this.groups.set(key, new Set([connection]))
    else group.add(connection)
  }

  remove(key: string, connection: Connection): void {
    const group = this.groups.get(key)
    if (group?.delete(connection) === true && group.size === 0) this.groups.delete(key)
  }
}

const none: ReadonlySet<Connection> = new Set()
