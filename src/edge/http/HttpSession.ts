/**
 * The session of an HTTP request: found by a signed cookie, and started when an endpoint asks for it.
 *
 * ```ts
 * class Visitor extends HttpSession.Service<Visitor>()("shop/Visitor", { kind: Visit }) {}
 *
 * const visit = yield* (yield* Visitor).start()
 * ```
 *
 * A cookie is valid only with a signature of this server, while its session lives, and while it is the latest cookie of that
 * session. Anything else leads to a new session with a new id, so that nobody can be made to use an id that somebody else
 * knows (session fixation). The lifetime of the session is up to the session: the browser stores the cookie for as long as
 * the session may live, and activity on a socket counts as much as requests do.
 *
 * **Concurrent requests.** Requests of one browser run concurrently. When one of them replaces the cookie, by `rotate` or by
 * `end`, the others fail with `CookieReplaced` from then on: they neither take over the session nor start another one, and
 * their answers set no cookie. Sent again, they carry the new cookie.
 *
 * **Stores that fail.** While the store of a session cannot be read, requests fail with `SessionUnavailable`, and the cookie
 * stays as it is. A route that does not handle these errors answers with their status and `Retry-After`.
 *
 * **Caches.** An answer that sets the cookie is `Cache-Control: no-store`. The answer to each request whose session was asked
 * for has `Vary: Cookie`.
 *
 * Use `middleware` for routes of an `HttpRouter`, and `layerApi` for endpoints of an `HttpApi`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Rpc from "effect/rpc/Rpc"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as Session from "../../contract/Session.ts"
import { type InvalidSessionId, isLoadError, type LoadError, type StartError } from "../../contract/SessionError.ts"
import type { SessionRef } from "../../contract/SessionRef.ts"
import * as Noted from "../internal/device.ts"
import { Connections, type TooManyConnections } from "./Connections.ts"
import { CookieKeys } from "./CookieKeys.ts"
import { CookieReplaced, NoSession, SessionUnavailable } from "./HttpSessionError.ts"
import { fingerprint } from "./internal/fingerprint.ts"
import { RecentTickets } from "./internal/RecentTickets.ts"
import { RequestSession } from "./internal/RequestSession.ts"
import { SessionCookie } from "./internal/SessionCookie.ts"

export { CookieReplaced, NoSession, SessionUnavailable }

/**
 * The errors of a request whose session cannot be determined now: for the `error` of the middleware of an `HttpApi`, whose
 * endpoints may then fail with them.
 *
 * @since 0.1.0
 * @category errors
 */
export const unreached = [CookieReplaced, SessionUnavailable] as const

/**
 * The errors of a request whose session cannot be determined now. Both are safe to retry.
 *
 * @since 0.1.0
 * @category errors
 */
export type Unreached = CookieReplaced | SessionUnavailable

/**
 * The errors of starting the session of a request, besides the error of its kind.
 *
 * @since 0.1.0
 * @category errors
 */
export type StartFailure = Exclude<StartError, InvalidSessionId | LoadError> | Unreached

/**
 * The session of a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface HttpSession<in out State, in out Protocol extends Rpc.Any, in out Args, in out E> {
  /** The session of the request's cookie, if the cookie is valid. Counts as activity. */
  readonly find: Effect.Effect<Option.Option<SessionRef<State, Protocol>>, Unreached>

  /** `find`, or fails with `NoSession`. */
  readonly get: Effect.Effect<SessionRef<State, Protocol>, NoSession | Unreached>

  /** `find`, or starts a session and sets its cookie. Fails as the start of a session does, see `SessionKind.start`. */
  start(...options: Session.StartArg<Args>): Effect.Effect<SessionRef<State, Protocol>, E | StartFailure>

  /**
   * Replaces the cookie: for login, logout, and whenever the rights of the user change. The session and those who watch it go
   * on; the old cookie is no longer valid. `user` sets the user of the session.
   *
   * Connections that the old cookie opened are disconnected. Those of the very client that asks (the same address and user
   * agent) stay, unless `disconnect` is `"all"` or the user of the session changes. Of several requests with the same cookie,
   * one can rotate it; the others fail with `CookieReplaced`.
   */
  rotate(options?: {
    readonly user?: string | undefined
    readonly disconnect?: "others" | "all" | undefined
  }): Effect.Effect<SessionRef<State, Protocol>, NoSession | Unreached>

  /** Ends the session, which closes its connections, and deletes the cookie. `false` when there was no session. */
  readonly end: Effect.Effect<boolean, Unreached>

  /**
   * Makes a stream a connection of the session, for an answer that stays open. While it runs, the client counts as connected.
   * It ends when the cookie is replaced, or a second after the end of the session. A reader that takes nothing for two minutes,
   * while there is something for it, is interrupted, which closes its connection.
   */
  hold<A, E2, R>(
    stream: Stream.Stream<A, E2, R>
  ): Effect.Effect<Stream.Stream<A, E2, R>, NoSession | Unreached | TooManyConnections>

  /**
   * `hold` for connections that are not streams, such as sockets: the client counts as connected for as long as the Scope
   * lives, and `disconnect` is called when the cookie is replaced. Watch the session to learn of its end.
   */
  connect(
    disconnect: () => void
  ): Effect.Effect<SessionRef<State, Protocol>, NoSession | Unreached | TooManyConnections, Scope.Scope>

  /** The claim that binds a token to this session and its cookie: see `bound` and `Admission.TokenOptions`. */
  readonly binding: Effect.Effect<string, NoSession | Unreached>
}

/**
 * Options of the session of a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<D> {
  /** The kind of the session. */
  readonly kind: D
  /** The name of the cookie. Default: `session`. A `Secure` cookie gets the prefix `__Host-`. */
  readonly cookie?: string | undefined
  /** The attribute `SameSite` of the cookie. Default: `lax`. */
  readonly sameSite?: "lax" | "strict" | undefined
  /**
   * Whether the cookie is sent over TLS only. `"auto"` (default): always, except for a plain http request whose `Host` is the
   * local machine (see `ClientAddress.isLocalHost`). Behind a proxy, `HttpMiddleware.xForwardedHeaders` tells the protocol.
   */
  readonly secure?: boolean | "auto" | undefined
}

/**
 * The service that `Service` defines: the session of the request that is being handled.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServiceClass<
  in out Self,
  Id extends string,
  D extends AnyKind
> extends Context.ServiceClass<Self, Id, Of<D>> {
  readonly options: Options<D>
}

/**
 * The definition of a kind whose sessions can be those of requests.
 *
 * @since 0.1.0
 * @category utility types
 */
export type AnyKind = Session.Any & Context.Key<any, any>

/**
 * The session of a request, of a kind.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Of<D extends AnyKind> = HttpSession<
  Session.State<D>,
  Session.Protocol<D>,
  D["args"]["Type"],
  D["error"]["Type"]
>

const namePattern = /^[A-Za-z0-9_-]{1,64}$/

/**
 * Defines the service that gives handlers the session of their request. Throws when the name of the cookie is malformed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service =
  <Self>() => <const Id extends string, D extends AnyKind>(id: Id, options: Options<D>): ServiceClass<Self, Id, D> => {
    if (options.cookie !== undefined && !namePattern.test(options.cookie)) {
      throw new TypeError(`"${options.cookie}" is not a name for a cookie: use letters, digits, _ and -`)
    }
    return Object.assign(Context.Service<Self, Of<D>>()(id), { options }) as never
  }

/**
 * The services that requests need to get their session.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Needs<D extends AnyKind> = Context.Service.Identifier<D> | CookieKeys | Connections

/**
 * Middleware for routes of an `HttpRouter`: `route.pipe(Layer.provide(HttpSession.middleware(Visitor).layer))`.
 *
 * @since 0.1.0
 * @category middleware
 */
export const middleware = <Self, Id extends string, D extends AnyKind>(
  service: ServiceClass<Self, Id, D>
): HttpRouter.Middleware<{
  provides: Self
  handles: never
  error: never
  requires: never
  layerError: never
  layerRequires: Needs<D>
}> => HttpRouter.middleware<{ provides: Self }>()(provider(service)) as never

/**
 * The Layer of a middleware for endpoints of an `HttpApi`:
 *
 * ```ts
 * class VisitorCookie extends HttpApiMiddleware.Service<VisitorCookie, { provides: Visitor }>()("shop/VisitorCookie", {
 *   security: { visitor: HttpSession.security(Visitor) },
 *   error: HttpSession.unreached
 * }) {
 *   static readonly layer = HttpSession.layerApi(VisitorCookie, Visitor)
 * }
 * ```
 *
 * @since 0.1.0
 * @category middleware
 */
export const layerApi = <M extends Context.Key<any, any>, Self, Id extends string, D extends AnyKind>(
  middleware: M,
  service: ServiceClass<Self, Id, D>
): Layer.Layer<Context.Service.Identifier<M>, never, Needs<D>> =>
  Layer.effect(
    middleware as unknown as Context.Key<Context.Service.Identifier<M>, unknown>,
    Effect.map(provider(service), (provide) =>
      "security" in middleware
        ? Object.fromEntries(Object.keys(middleware.security as object).map((name) => [name, provide]))
        : provide)
  )

/**
 * The cookie as a security scheme of an `HttpApi`, for its OpenAPI description.
 *
 * @since 0.1.0
 * @category middleware
 */
export const security = <Self, Id extends string, D extends AnyKind>(
  { options }: ServiceClass<Self, Id, D>
): HttpApiSecurity.ApiKey =>
  HttpApiSecurity.apiKey({
    in: "cookie",
    key: options.secure === false ? cookieName(options) : `__Host-${cookieName(options)}`
  }).pipe(HttpApiSecurity.annotate(
    OpenApi.Description,
    "Names the visitor's session. An answer sets it where there is none yet; on localhost, without the prefix."
  ))

const cookieName = (options: Options<unknown>): string => options.cookie ?? "session"

/** Provides an Effect with the session of its request. */
const provider = <Self, Id extends string, D extends AnyKind>(service: ServiceClass<Self, Id, D>) =>
  Effect.map(
    make(service.options),
    (open) => <E, R>(respond: Effect.Effect<HttpServerResponse, E, R>) =>
      Effect.updateContext(
        respond,
        (context: Context.Context<Exclude<R, Self> | HttpServerRequest>): Context.Context<R> =>
          Context.add(context, service, open(Context.get(context, HttpServerRequest))) as never
      )
  )

/**
 * Gives the session of a request: for middleware of your own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <D extends AnyKind>(
  options: Options<D>
): Effect.Effect<(request: HttpServerRequest) => Of<D>, never, Needs<D>> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const connections = yield* Connections
    const kind = (yield* options.kind) as Session.SessionKind<any, any, any, any>
    const cookie = new SessionCookie({
      name: cookieName(options),
      sameSite: options.sameSite ?? "lax",
      secure: options.secure ?? "auto"
    }, yield* CookieKeys)
    const services = { clock, connections, kind, cookie, ended: new RecentTickets(clock) }
    return (request) => new RequestSession(services, request) as unknown as Of<D>
  })

/**
 * The session that a binding was made for, if the session still has the same cookie. So a token with that binding stops being
 * valid when its client logs in again, logs out or is logged out. Fails with `NoSession` when the binding is not valid.
 *
 * @since 0.1.0
 * @category bindings
 */
export const bound = <State, Protocol extends Rpc.Any, Args, E>(
  kind: Session.SessionKind<State, Protocol, Args, E>,
  binding: string
): Effect.Effect<SessionRef<State, Protocol>, NoSession | SessionUnavailable> => {
  const dot = binding.indexOf(".")
  return Effect.gen(function*() {
    const found = yield* kind.reach(binding.slice(0, dot))
    if (Option.isNone(found)) return yield* NoSession.of()
    const { info, session } = found.value
    const known = Noted.ticketOf(info)
    if (known === undefined || (yield* fingerprint(known)) !== binding.slice(dot + 1)) return yield* NoSession.of()
    return session
  }).pipe(Effect.mapError((error) => isLoadError(error) ? SessionUnavailable.of() : error))
}
