/**
 * Who the visitor is: a signed cookie that holds the id of a session.
 *
 * The id is random and made here; a cookie counts only with a signature of this server, and only while its session
 * lives. Whatever else a visitor brings leads to a new session under a new id, so nobody can be made to use an id
 * that someone else knows.
 */
import { Config, Context, Effect, Layer, Option, Redacted } from "effect"
import { type Session, type SessionError, SessionId } from "effect-sessions"
import { HttpEffect, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiMiddleware } from "effect/http-api"
import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto"
import { Visit } from "./Visit.ts"

type VisitRef = Session.Ref<typeof Visit>

type StartRefused = SessionError.StartRateExceeded | SessionError.SessionLimitReached | SessionError.SessionsClosed

/** The visitor whose request this is. */
export class Visitor extends Context.Service<Visitor, {
  /** The visitor's live visit, if there is one. Counts as activity. */
  readonly reach: Effect.Effect<Option.Option<VisitRef>>
  /** The visitor's visit; a new one, and a cookie for it, if need be. Counts as activity. */
  readonly visit: Effect.Effect<VisitRef, StartRefused, HttpServerRequest.HttpServerRequest>
  /** Ends the visitor's session and takes the cookie back. */
  readonly leave: Effect.Effect<void, never, HttpServerRequest.HttpServerRequest>
}>()("corner-shop/Visitor") {}

/**
 * Gives endpoints their `Visitor`. A session starts only when an endpoint asks for the visit, which is after the
 * request has been found good.
 */
export class VisitorCookie
  extends HttpApiMiddleware.Service<VisitorCookie, { provides: Visitor }>()("corner-shop/VisitorCookie")
{
  static readonly layer = Layer.effect(
    VisitorCookie,
    Effect.gen(function*() {
      const visits = yield* Visit
      const { sign, verify } = signer(yield* secretKey)

      const visitor = (request: HttpServerRequest.HttpServerRequest): Visitor["Service"] => {
        const id = verify(request.cookies[name])
        const reach = Option.isSome(id) ? visits.reach(id.value) : Effect.succeedNone

        const startNew = Effect.gen(function*() {
          const address = Option.getOrUndefined(request.remoteAddress)
          const visit = yield* visits.start(yield* SessionId.make, { address })
          yield* setCookie(sign(visit.id), { secure: !isLocal(request.headers.host) })
          return visit
        }).pipe(
          // Nothing in a visit's init can fail, and the ids we make are good.
          Effect.catchTag(["StartFailed", "InvalidSessionId"], Effect.die)
        )

        const visit = Effect.flatMap(reach, Option.match({ onNone: () => startNew, onSome: Effect.succeed }))

        const leave = Effect.gen(function*() {
          const found = yield* reach
          if (Option.isSome(found)) yield* found.value.end()
          yield* expireCookie
        })

        return { reach, visit, leave }
      }

      return (respond) =>
        Effect.flatMap(
          HttpServerRequest.HttpServerRequest,
          (request) => Effect.provideService(respond, Visitor, visitor(request))
        )
    })
  )
}

const name = "visitor"

/** `COOKIE_SECRET`, or a key that lasts as long as the process, like the sessions themselves. */
const secretKey: Effect.Effect<KeyObject, Config.ConfigError> = Config.option(Config.Redacted("COOKIE_SECRET")).pipe(
  Effect.map(Option.filter((secret) => Redacted.value(secret) !== "")),
  Effect.map(Option.match({
    onNone: () => createSecretKey(randomBytes(32)),
    onSome: (secret) => createSecretKey(Buffer.from(Redacted.value(secret)))
  }))
)

/** Signs ids with HMAC-SHA256: `id.signature`. */
const signer = (key: KeyObject) => {
  const sign = (id: string): string => `${id}.${createHmac("sha256", key).update(id).digest("base64url")}`

  const verify = (cookie: string | undefined): Option.Option<string> => {
    if (cookie === undefined) return Option.none()
    const id = cookie.slice(0, cookie.lastIndexOf("."))
    const given = Buffer.from(cookie)
    const expected = Buffer.from(sign(id))
    return given.length === expected.length && timingSafeEqual(given, expected) ? Option.some(id) : Option.none()
  }

  return { sign, verify }
}

const setCookie = (value: string, { secure }: { readonly secure: boolean }) =>
  HttpEffect.appendPreResponseHandler((_, response) =>
    Effect.succeed(
      HttpServerResponse.setCookieUnsafe(response, name, value, { httpOnly: true, sameSite: "lax", path: "/", secure })
    )
  )

const expireCookie = HttpEffect.appendPreResponseHandler((_, response) =>
  Effect.succeed(HttpServerResponse.expireCookieUnsafe(response, name, { path: "/" }))
)

/** Only on the developer's own machine does the cookie travel without TLS. */
const isLocal = (host: string | undefined): boolean =>
  host === undefined || /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i.test(host)
