/**
 * Bindings of tokens to the cookie of a session: `id.fingerprint`.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Rpc from "effect/rpc/Rpc"
import type * as Session from "../../../contract/Session.ts"
import { isLoadError } from "../../../contract/SessionError.ts"
import type { SessionRef } from "../../../contract/SessionRef.ts"
import { NoSession, SessionUnavailable } from "../HttpSessionError.ts"
import * as Noted from "./device.ts"

/** A ticket is a secret, which a token must not contain. */
const fingerprint = (ticket: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(ticket))),
    (hash) => Buffer.from(hash).toString("base64url")
  )

export const make = (id: string, ticket: string): Effect.Effect<string> =>
  Effect.map(fingerprint(ticket), (print) => `${id}.${print}`)

/** A session, and the ticket of its cookie. */
export interface Bound<State, Protocol extends Rpc.Any> {
  readonly session: SessionRef<State, Protocol>
  readonly ticket: string
}

/** The session for whose cookie a binding was made. */
export const read = <State, Protocol extends Rpc.Any, Args, E>(
  kind: Session.SessionKind<State, Protocol, Args, E>,
  binding: string
): Effect.Effect<Bound<State, Protocol>, NoSession | SessionUnavailable> => {
  const dot = binding.indexOf(".")
  return Effect.gen(function*() {
    const found = yield* kind.reach(binding.slice(0, dot))
    if (Option.isNone(found)) return yield* NoSession.of()
    const { info, session } = found.value
    const ticket = Noted.ticketOf(info)
    if (ticket === undefined || (yield* fingerprint(ticket)) !== binding.slice(dot + 1)) return yield* NoSession.of()
    return { session, ticket }
  }).pipe(Effect.mapError((error) => isLoadError(error) ? SessionUnavailable.of() : error))
}
