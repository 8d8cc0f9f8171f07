/**
 * The session of an HTTP request: found by a signed cookie, started when an endpoint asks for it.
 *
 * ```ts
 * class Visitor extends HttpSession.Service<Visitor>()("shop/Visitor", { kind: Visit }) {}
 *
 * const visit = yield* (yield* Visitor).start()
 * ```
 *
 * A cookie counts only with a signature of this server, while its session lives, and as long as it is the last
 * that the session gave. Whatever else a client brings leads to a new session under a new id, so that nobody can be
 * made to use an id that somebody else knows. How long the session lives is for the session to say: the browser keeps the
 * cookie for as long as that can be, and activity on a socket counts as much as requests do.
 *
 * Requests of one browser run side by side. One whose cookie another request has replaced meanwhile, or just before it came,
 * gets `CookieReplaced` from then on: it neither takes over the session nor starts one, and its answer has no cookie. Sent
 * again, it has the new one. A session whose store cannot be read now is not one that there is not: `SessionUnavailable`
 * leaves the cookie alone. A route that does not handle these errors answers with their status, and `Retry-After`.
 *
 * An answer that gives the cookie is `Cache-Control: no-store`, and each that was asked for the session has `Vary: Cookie`.
 *
 * `middleware` gives it to routes of an `HttpRouter`, `layerApi` to endpoints of an `HttpApi`.
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
import {
  type InvalidSessionId,
  isLoadError,
  type LoadError,
  type ReachError,
  type StartError
} from "../../contract/SessionError.ts"
import type { SessionRef } from "../../contract/SessionRef.ts"
import { Connections, type TooManyConnections } from "./Connections.ts"
import { CookieKeys } from "./CookieKeys.ts"
import * as Noted from "./internal/device.ts"
import { fingerprint } from "./internal/fingerprint.ts"
import { CookieReplaced, NoSession, SessionUnavailable } from "./HttpSessionError.ts"
import { RequestSession } from "./internal/RequestSession.ts"
import { SessionCookie } from "./internal/SessionCookie.ts"

export { CookieReplaced, NoSession, SessionUnavailable }

/**
 * Why it cannot be said now whose session a request has: for the `error` of a middleware of an `HttpApi`, whose endpoints
 * may then fail with these.
 *
 * @since 0.1.0
 * @category errors
 */
export const unreached = [CookieReplaced, SessionUnavailable] as const

/**
 * Why it cannot be said now whose session a request has.
 *
 * @since 0.1.0
 * @category errors
 */
export type Unreached = CookieReplaced | SessionUnavailable

/**
 * What starting a request's session may fail with, besides the kind's own error.
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
  /** The session whose cookie the request carries, if it lives. Counts as activity. */
  readonly find: Effect.Effect<Option.Option<SessionRef<State, Protocol>>, Unreached>

  /** `find`, or fails with `NoSession`. */
  readonly get: Effect.Effect<SessionRef<State, Protocol>, NoSession | Unreached>

  /** `find`, or starts one and gives a cookie for it. Fails as the start of a session does, see `SessionKind.start`. */
  start(...options: Session.StartArg<Args>): Effect.Effect<SessionRef<State, Protocol>, E | StartFailure>

  /**
   * Replaces the cookie: for login, logout and whenever somebody's rights change. The session goes on, with all who
   * watch it; the old cookie is worth nothing from here on. Connections that it opened are cut, but for those of the
   * very client that asks (the same address and user agent), unless `cut` is `"all"` or the session becomes another user's,
   * be it that it was nobody's. `user` names whose session it is from now on. Of several requests with the same cookie one
   * can do this, the others get `CookieReplaced`.
   */
  rotate(options?: {
    readonly user?: string | undefined
    readonly cut?: "others" | "all" | undefined
  }): Effect.Effect<SessionRef<State, Protocol>, NoSession | Unreached>

  /** Ends the session, which cuts its connections, and takes the cookie back. `false` when there was none. */
  readonly end: Effect.Effect<boolean, Unreached>

  /**
   * A stream for an answer that stays open: as long as it runs the client counts as connected, and it is cut when the
   * cookie is replaced, or soon after the session's end.
   */
  hold<A, E2, R>(
    stream: Stream.Stream<A, E2, R>
  ): Effect.Effect<Stream.Stream<A, E2, R>, NoSession | Unreached | TooManyConnections>

  /**
   * `hold` for connections that are not streams, such as sockets: the client counts as connected for as long as the
   * Scope lives, and `cut` is called when the cookie is replaced. Watch the session to learn of its end.
   */
  connect(
    cut: () => void
  ): Effect.Effect<SessionRef<State, Protocol>, NoSession | Unreached | TooManyConnections, Scope.Scope>

  /**
   * What a token can say to be bound to this session and cookie: see `bound`.
   */
  readonly binding: Effect.Effect<string, NoSession | Unreached>
}

/**
 * Options of a request's session.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<D> {
  /** The kind of session that requests have. */
  readonly kind: D
  /** The cookie's name. Default: `session`. With `Secure` it gets the prefix `__Host-`. */
  readonly cookie?: string | undefined
  /** Default: `lax`. */
  readonly sameSite?: "lax" | "strict" | undefined
  /**
   * Should the cookie travel over TLS only? `"auto"` (default): unless the host that the client asked for is this
   * machine (`localhost` and the like), and the request did not come over https either, as far as a proxy knows that
   * `HttpMiddleware.xForwardedHeaders` trusts.
   */
  readonly secure?: boolean | "auto" | undefined
}

/**
 * A service for the session of the request that is being handled: what `Service` makes.
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
 * The definition of a kind that can be the session of requests.
 *
 * @since 0.1.0
 * @category utility types
 */
export type AnyKind = Session.Any & Context.Key<any, any>

/**
 * The request's session of a kind.
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
 * Defines the service that gives handlers the session of their request. A malformed cookie name is a defect of the
 * program and throws at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service =
  <Self>() => <const Id extends string, D extends AnyKind>(id: Id, options: Options<D>): ServiceClass<Self, Id, D> => {
    if (options.cookie !== undefined && !namePattern.test(options.cookie)) {
      throw new TypeError(`"${options.cookie}" is not a name for a session's cookie: letters, digits, _ and - are`)
    }
    return Object.assign(Context.Service<Self, Of<D>>()(id), { options }) as never
  }

/**
 * What giving requests their session needs.
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
 * The cookie as a security scheme, so that OpenAPI tells of it.
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
    "Names the visitor's session. It is given with an answer where there is none yet; on localhost without the prefix."
  ))

const cookieName = (options: Options<unknown>): string => options.cookie ?? "session"

/** Gives an Effect the session of its request. */
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
 * Opens the session of a request, for a middleware of your own.
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
    return (request) => new RequestSession({ clock, connections, kind, cookie }, request) as unknown as Of<D>
  })

/**
 * Does a session still have the cookie for which this binding was made? Gives the session. It is how a token that was
 * given to a client is worth nothing once that client has logged in anew, logged out or been thrown out.
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
    const known = Noted.ticketOf(yield* found.value.info)
    if (known === undefined || (yield* fingerprint(known)) !== binding.slice(dot + 1)) return yield* NoSession.of()
    return found.value
  }).pipe(
    Effect.mapError((error: NoSession | ReachError) => isLoadError(error) ? SessionUnavailable.of() : NoSession.of())
  )
}
