/**
 * Who the visitor is: a signed cookie names the visit, which starts when an endpoint asks for it.
 */
import { Clock, Config, Effect, Layer, Option, Redacted } from "effect"
import { SnapshotStore } from "effect-sessions"
import { CookieKeys, HttpSession } from "effect-sessions/http"
import { HttpApiMiddleware } from "effect/http-api"
import { createHash, randomBytes } from "node:crypto"
import { NotLoggedIn, orUnavailable } from "./ShopError.ts"
import { Visit } from "./Visit.ts"

/** The visit of the visitor whose request this is. */
export class Visitor extends HttpSession.Service<Visitor>()("corner-shop/Visitor", {
  kind: Visit,
  cookie: "visitor"
}) {}

/** Gives endpoints their `Visitor`. */
export class VisitorCookie
  extends HttpApiMiddleware.Service<VisitorCookie, { provides: Visitor }>()("corner-shop/VisitorCookie", {
    security: { visitor: HttpSession.security(Visitor) },
    error: HttpSession.unreached
  })
{
  static readonly layer = HttpSession.layerApi(VisitorCookie, Visitor)
}

/**
 * The key for cookies: derived from `COOKIE_SECRET`, or a random one that is stored with the visits and lasts as long as
 * they do. `COOKIE_SECRET=new,old` replaces a secret; cookies that were signed with the old one stay valid.
 */
export const Keys = Layer.unwrap(Effect.gen(function*() {
  const secrets = Option.getOrElse(yield* Config.option(Config.Redacted("COOKIE_SECRET")), () => Redacted.make(""))
  const given = Redacted.value(secrets).split(",").filter((secret) => secret !== "")
  return CookieKeys.layer(given.length === 0 ? yield* keptKey : given.map(toKey))
}))

const keptKey: Effect.Effect<
  Redacted.Redacted,
  SnapshotStore.SnapshotStoreError,
  SnapshotStore.SnapshotStore
> = Effect.gen(function*() {
  const store = yield* SnapshotStore.SnapshotStore
  const key = { kind: "CookieKey", id: "shop" }
  const kept = yield* store.peek(key)
  if (Option.isSome(kept)) return Redacted.make(kept.value.body)
  const { epoch, snapshot } = yield* Effect.catchTag(store.claim(key, 1), "ClaimRefused", Effect.die)
  // Another shop that opened at the same time was faster.
  if (Option.isSome(snapshot)) return Redacted.make(snapshot.value.body)
  const body = randomBytes(32).toString("base64")
  const savedAt = yield* Clock.currentTimeMillis
  const [saved] = yield* store.save([
    { ...key, epoch, version: 0, format: 1, body, savedAt, expiresAt: null, alarmAt: null, user: null }
  ])
  // Another shop has claimed the key after this one, and stores it.
  return saved === true ? Redacted.make(body) : yield* Effect.delay(keptKey, "100 millis")
})

/** Here, a secret may be any text, however short. */
const toKey = (secret: string): Redacted.Redacted => Redacted.make(createHash("sha256").update(secret).digest("base64"))

/** The visitor's visit. Starts one, with a cookie, if there is none. */
export const visit = Effect.flatMap(Visitor, (visitor) => visitor.start()).pipe(
  // Nothing in a visit's init can fail or take long.
  Effect.catchTag(["StartFailed", "StartTimeout"], Effect.die)
)

/** The visit and its user. */
export const loggedIn = Effect.gen(function*() {
  const visit = yield* (yield* Visitor).get
  const { user } = yield* visit.info
  return user === undefined ? yield* notLoggedIn : { visit, user }
}).pipe(
  Effect.catchTag(["NoSession", "SessionNotFound"], () => notLoggedIn),
  orUnavailable
)

const notLoggedIn = Effect.suspend(() => Effect.fail(new NotLoggedIn({ message: "please log in first" })))
