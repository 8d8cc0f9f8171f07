/**
 * The hash of a ticket, for tokens: a ticket is a secret, which a token must not contain.
 */
import * as Effect from "effect/Effect"

export const fingerprint = (ticket: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(ticket))),
    (hash) => Buffer.from(hash).toString("base64url")
  )
