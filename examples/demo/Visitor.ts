/**
 * Who the visitor is: a signed cookie names the visit, which starts when an endpoint asks for it.
 */
import { Config, Effect, Layer, Option, Redacted } from "effect"
import { CookieKeys, HttpSession } from "effect-sessions/http"
import { HttpApiMiddleware } from "effect/http-api"
import { createHash } from "node:crypto"
import { Visit } from "./Visit.ts"

/** The visit of the visitor whose request this is. */
export class Visitor extends HttpSession.Service<Visitor>()("corner-shop/Visitor", {
  kind: Visit,
  cookie: "visitor"
}) {}

/** Gives endpoints their `Visitor`. */
export class VisitorCookie
  extends HttpApiMiddleware.Service<VisitorCookie, { provides: Visitor }>()("corner-shop/VisitorCookie", {
    security: { visitor: HttpSession.security(Visitor) }
  })
{
  static readonly layer = HttpSession.layerApi(VisitorCookie, Visitor)
}

/**
 * The key for cookies: made from `COOKIE_SECRET`, or one that lasts as long as the process, like the visits themselves.
 * `COOKIE_SECRET=new,old` replaces a secret while cookies that were signed with the old one go on.
 */
export const Keys = Layer.unwrap(Effect.map(
  Config.option(Config.Redacted("COOKIE_SECRET")),
  Option.match({
    onNone: () => CookieKeys.layerRandom,
    onSome: (secrets) => {
      const all = Redacted.value(secrets).split(",").filter((secret) => secret !== "")
      return all.length === 0 ? CookieKeys.layerRandom : CookieKeys.layer(all.map(toKey))
    }
  })
))

/** Any text will do as a secret here, however short. */
const toKey = (secret: string): Redacted.Redacted => Redacted.make(createHash("sha256").update(secret).digest("base64"))

/** The visitor's visit; a new one, and a cookie for it, if need be. */
export const visit = Effect.flatMap(Visitor, (visitor) => visitor.start()).pipe(
  // Nothing in a visit's init can fail.
  Effect.catchTag("StartFailed", Effect.die)
)
