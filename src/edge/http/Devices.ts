/**
 * A user's devices: the sessions that a user has logged in with, each of which can be thrown out.
 *
 * Ending a device ends its session, which is told to its streams and sockets at once, and cuts what does not end by itself
 * within a second.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as EndReason from "../../contract/EndReason.ts"
import type { LoadError } from "../../contract/SessionError.ts"
import type { Any as AnyRef } from "../../contract/SessionRef.ts"
import { Sessions } from "../../runtime/Sessions.ts"
import { Connections } from "./Connections.ts"
import * as Noted from "./internal/device.ts"

/**
 * A device of a user.
 *
 * @since 0.1.0
 * @category models
 */
export interface Device {
  /** The kind and id of its session. The id is an address, not a credential. */
  readonly kind: string
  readonly id: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** Milliseconds since 1970. */
  readonly lastActiveAt: number
  /** Where its last request came from. */
  readonly address: string | undefined
  /** What it says it is: the `User-Agent` of its last request, cut to 200 characters. */
  readonly agent: string | undefined
  /** Streams and sockets that are open. */
  readonly connections: number
}

/** The sessions of a user that have a cookie. */
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
 * The devices of a user, the one that was active last first.
 *
 * @since 0.1.0
 * @category operations
 */
export const list = (user: string): Effect.Effect<Array<Device>, LoadError, Sessions> =>
  Effect.map(found(user), (all) => all.map(({ device }) => device).sort((a, b) => b.lastActiveAt - a.lastActiveAt))

/**
 * Throws out a device of a user and waits until it is. `false` when the user has no such device.
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
 * Throws a user out everywhere: ends all devices, cuts all connections, and ends whatever other sessions the user has;
 * for a changed password, or a lost phone. With `except`, that device stays, and so do the connections and sessions that
 * are not another device's. Gives the number of devices that were thrown out.
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
    for (const connection of yield* (yield* Connections).of(user)) {
      if (connection.session.id !== except) connection.cut()
    }
    const refs = except === undefined ? yield* (yield* Sessions).ofUser(user) : others.map(({ ref }) => ref)
    // What cannot be ended now is told when all others are.
    const ends = yield* Effect.forEach(refs, (ref) => Effect.result(ref.end({ reason: revoked })), {
      concurrency: "unbounded"
    })
    for (const end of ends) yield* Effect.fromResult(end)
    return others.length
  })

const revoked = EndReason.stopped("thrown out")
