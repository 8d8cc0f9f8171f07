/**
 * The devices of a user: the sessions that the user has logged in with. Use it for a page "Where you are logged in".
 *
 * Ending a device ends its session. Its streams and sockets are notified at once; those that do not close by themselves are
 * disconnected after a second.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as EndReason from "../../contract/EndReason.ts"
import type { LoadError } from "../../contract/SessionError.ts"
import type { Any as AnyRef } from "../../contract/SessionRef.ts"
import { Sessions } from "../../runtime/Sessions.ts"
import * as Noted from "../internal/device.ts"
import { Connections } from "./Connections.ts"

/**
 * A device of a user.
 *
 * @since 0.1.0
 * @category models
 */
export interface Device {
  /** The kind and the id of its session. The id is an address, not a credential. */
  readonly kind: string
  readonly id: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** Milliseconds since 1970. */
  readonly lastActiveAt: number
  /** The address that its last request came from, see `ClientAddress`. */
  readonly address: string | undefined
  /** The `User-Agent` of its last request, truncated to 200 characters. */
  readonly agent: string | undefined
  /** The number of its open streams and sockets. */
  readonly connections: number
}

/** The sessions of a user that have a cookie, with their devices. */
const found = (
  user: string
): Effect.Effect<Array<{ readonly ref: AnyRef; readonly device: Device }>, LoadError, Sessions> =>
  Effect.gen(function*() {
    const all: Array<{ readonly ref: AnyRef; readonly device: Device }> = []
    for (const ref of yield* (yield* Sessions).ofUser(user)) {
      const info = yield* Effect.catchTag(Effect.asSome(ref.info), "SessionNotFound", () => Effect.succeedNone)
      const noted = info._tag === "Some" ? Noted.deviceOf(info.value) : undefined
      if (info._tag === "None" || noted === undefined) continue
      const { connections, id, kind, lastActiveAt, startedAt } = info.value
      const { address, agent } = noted
      all.push({ ref, device: { kind, id, startedAt, lastActiveAt, address, agent, connections } })
    }
    return all
  })

/**
 * The devices of a user, the most recently active first. Fails with a `LoadError` when the store cannot be read.
 *
 * @since 0.1.0
 * @category operations
 */
export const list = (user: string): Effect.Effect<Array<Device>, LoadError, Sessions> =>
  Effect.map(found(user), (all) => all.map(({ device }) => device).sort((a, b) => b.lastActiveAt - a.lastActiveAt))

/**
 * Ends a device of a user and waits until its session has ended. `false` when the user has no such device.
 *
 * @since 0.1.0
 * @category operations
 */
export const end = (user: string, id: string): Effect.Effect<boolean, LoadError, Sessions> =>
  Effect.flatMap(found(user), (all) => {
    const match = all.find(({ device }) => device.id === id)
    return match === undefined ? Effect.succeed(false) : match.ref.end({ reason: revoked })
  })

/**
 * Logs a user out everywhere, for a changed password or a lost phone: ends all devices, disconnects all connections, and ends
 * all other sessions of the user. With `except`, that device stays, and so do sessions and connections that do not belong to
 * another device. Gives the number of devices that were ended.
 *
 * @since 0.1.0
 * @category operations
 */
export const endAll = (
  user: string,
  options?: { readonly except?: string | undefined }
): Effect.Effect<number, LoadError, Sessions | Connections> =>
  Effect.gen(function*() {
    const except = options?.except
    const others = (yield* found(user)).filter(({ device }) => device.id !== except)
    yield* (yield* Connections).disconnectAll(user, except)
    const refs = except === undefined ? yield* (yield* Sessions).ofUser(user) : others.map(({ ref }) => ref)
    // Fails for a session that cannot be ended only after all others have ended.
    const ends = yield* Effect.forEach(refs, (ref) => Effect.result(ref.end({ reason: revoked })), {
      concurrency: "unbounded"
    })
    for (const end of ends) yield* Effect.fromResult(end)
    return others.length
  })

const revoked = EndReason.stopped("logged out")
