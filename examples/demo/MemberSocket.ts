/**
 * The members' sockets: `ws://…/socket?token=…`, with the token of a login.
 */
import { Config, Effect, Layer, Option, Redacted } from "effect"
import { JwtKeys, JwtSigner, JwtVerifier } from "effect-sessions/jwt"
import { SessionSocket } from "effect-sessions/socket"
import { createHash, randomBytes } from "node:crypto"
import { Member } from "./Member.ts"
import { Visit } from "./Visit.ts"

const issuer = "corner-shop"
const audience = "corner-shop/socket"

/** HS256 with `JWT_SECRET`, or with a random key for the life of the process. */
const secret = Effect.map(
  Config.option(Config.Redacted("JWT_SECRET")),
  Option.match({
    onNone: () => Redacted.make(randomBytes(32).toString("base64url")),
    onSome: (text) => Redacted.make(createHash("sha256").update(Redacted.value(text)).digest("base64url"))
  })
)

export const Tokens = Layer.unwrap(Effect.map(secret, (secret) =>
  Layer.merge(
    JwtSigner.layerSecret(secret, { issuer, audience }),
    JwtVerifier.layer({ issuer, audience, clockTolerance: 0 }).pipe(Layer.provide(JwtKeys.layerSecret(secret)))
  )))

export const layer = SessionSocket.layer({ path: "/socket", kind: Member, boundTo: Visit })
