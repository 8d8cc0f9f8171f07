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
 * made to use an id that somebody else knows. The cookie lasts as long as the session would without further activity,
 * and is renewed in time.
 *
 * `middleware` gives it to routes of an `HttpRouter`, `layerApi` to endpoints of an `HttpApi`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { withoutStack } from "../../contract/internal/withoutStack.ts"
import type * as Session from "../../contract/Session.ts"
import type { LoadError, ReachError, SessionErrorLike, StartError } from "../../contract/SessionError.ts"
import * as SessionId from "../../contract/SessionId.ts"
import type { SessionInfo, SessionRef } from "../../contract/SessionRef.ts"
import * as ClientAddress from "./ClientAddress.ts"
import { Connections, type TooManyConnections } from "./Connections.ts"
import { CookieKeys } from "./CookieKeys.ts"
import * as Noted from "./internal/device.ts"
import { type Credential, SessionCookie } from "./internal/SessionCookie.ts"

/**
 * The request has no session: it brought no cookie, or one that does not count (any more).
 *
 * @since 0.1.0
 * @category errors
 */
export class NoSession extends Schema.TaggedError<NoSession>()(
  "NoSession",
  { message: Schema.String },
  { httpApiStatus: 401 }
) implements SessionErrorLike {
  get httpStatus(): 401 {
    return 401
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * What starting a request's session may fail with, besides the kind's own error.
 *
 * @since 0.1.0
 * @category errors
 */
export type StartRefused = Exclude<StartError, { readonly _tag: "InvalidSessionId" }>

/**
 * The session of a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface HttpSession<in out State, in out Protocol extends Rpc.Any, in out Args, in out E> {
  /** The session whose cookie the request carries, if it lives. Counts as activity. */
  readonly find: Effect.Effect<Option.Option<SessionRef<State, Protocol>>, LoadError>

  /** `find`, or fails with `NoSession`. */
  readonly get: Effect.Effect<SessionRef<State, Protocol>, NoSession | LoadError>

  /** `find`, or starts one and gives a cookie for it. Fails as the start of a session does, see `SessionKind.start`. */
  start(...options: Session.StartArg<Args>): Effect.Effect<SessionRef<State, Protocol>, E | StartRefused>

  /**
   * Replaces the cookie: for login, logout and whenever somebody's rights change. The session goes on, with all who
   * watch it; the old cookie is worth nothing from here on. Connections that it opened are cut, but for those of the
   * very client that asks (the same address and user agent), unless `cut` is `"all"` or the session was another user's.
   * `user` names whose session it is from now on.
   */
  rotate(options?: {
    readonly user?: string | undefined
    readonly cut?: "others" | "all" | undefined
  }): Effect.Effect<SessionRef<State, Protocol>, NoSession | LoadError>

  /** Ends the session, which cuts its connections, and takes the cookie back. `false` when there was none. */
  readonly end: Effect.Effect<boolean, LoadError>

  /**
   * A stream for an answer that stays open: as long as it runs the client counts as connected, and it is cut when the
   * cookie is replaced, or soon after the session's end.
   */
  hold<A, E2, R>(
    stream: Stream.Stream<A, E2, R>
  ): Effect.Effect<Stream.Stream<A, E2, R>, NoSession | LoadError | TooManyConnections>

  /**
   * `hold` for connections that are not streams, such as sockets: the client counts as connected for as long as the
   * Scope lives, and `cut` is called when the cookie is replaced. Watch the session to learn of its end.
   */
  connect(
    cut: () => void
  ): Effect.Effect<SessionRef<State, Protocol>, NoSession | LoadError | TooManyConnections, Scope.Scope>

  /**
   * What a token can say to be bound to this session and cookie: see `bound`.
   */
  readonly binding: Effect.Effect<string, NoSession | LoadError>
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
   * machine (`localhost` and the like).
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
 *   security: { visitor: HttpSession.security(Visitor) }
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
): Effect.Effect<SessionRef<State, Protocol>, NoSession | LoadError> => {
  const dot = binding.indexOf(".")
  return Effect.gen(function*() {
    const found = yield* kind.find(binding.slice(0, dot))
    if (Option.isNone(found)) return yield* noSession
    const known = Noted.ticketOf(yield* found.value.info)
    if (known === undefined || (yield* fingerprint(known.ticket)) !== binding.slice(dot + 1)) return yield* noSession
    return found.value
  }).pipe(Effect.catchTag("SessionNotFound", () => noSession))
}

/** A ticket is a secret, which a token must not tell. */
const fingerprint = (ticket: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(ticket))),
    (hash) => Buffer.from(hash).toString("base64url")
  )

const noSession = Effect.suspend(() =>
  Effect.fail(withoutStack(() => new NoSession({ message: "there is no session for this request" })))
)

/**
 * How long requests that were under way with the old cookie when it was replaced do not get a new one, which would
 * take the place of the new cookie in the browser. Milliseconds.
 */
const rotationGrace = 10_000

/** How soon after the end of a session its connections are cut, if they do not end by themselves. */
const lastWords = "1 second"

interface Services {
  readonly clock: Clock.Clock
  readonly connections: Connections["Service"]
  readonly kind: Session.SessionKind<any, any, any, any>
  readonly cookie: SessionCookie
}

type Ref = SessionRef<any, any>

/** Whose connections are counted together. */
const ownerOf = (ref: Ref): Effect.Effect<string, ReachError> => Effect.map(ref.info, ({ user }) => user ?? ref.id)

const noneIfGone = (error: ReachError) => error._tag === "SessionNotFound" ? Effect.succeedNone : Effect.fail(error)

/** It is good to know, and no reason to write at once. */
const noteDevice = (ref: Ref, device: Noted.Device) =>
  Effect.catchTag(ref.setMetadata(Noted.noteDevice(device), { durable: false }), "InvalidMetadata", Effect.die)

class RequestSession implements HttpSession<any, any, any, any> {
  private readonly services: Services
  private readonly request: HttpServerRequest
  private readonly address: string | undefined
  private readonly agent: string | undefined
  /** Found, or started, earlier in this request, and the ticket of its cookie. */
  private current: Ref | undefined = undefined
  private ticket: string | undefined = undefined
  private starting: Semaphore.Semaphore | undefined = undefined
  /** The request was sent with the cookie that was replaced a moment ago. */
  private superseded = false

  constructor(services: Services, request: HttpServerRequest) {
    this.services = services
    this.request = request
    this.address = ClientAddress.of(request)
    this.agent = request.headers["user-agent"]?.slice(0, 200)
  }

  private get now(): number {
    return this.services.clock.currentTimeMillisUnsafe()
  }

  get find(): Effect.Effect<Option.Option<Ref>, LoadError> {
    return Effect.suspend(() => {
      if (this.current !== undefined) return Effect.succeedSome(this.current)
      const credential = this.services.cookie.read(this.request, this.now)
      if (credential === undefined) return Effect.succeedNone
      const { kind } = this.services
      const here = kind.findUnsafe(credential.id)
      if (here !== undefined) return this.look(here, credential)
      return Effect.flatMap(
        kind.find(credential.id),
        (found) => found._tag === "None" ? Effect.succeedNone : this.look(found.value, credential)
      )
    })
  }

  /** A session that ends between two steps is one that there is not. */
  private look(ref: Ref, credential: Credential): Effect.Effect<Option.Option<Ref>, LoadError> {
    return Effect.matchEffect(ref.info, {
      onFailure: noneIfGone,
      onSuccess: (info) => this.recognise(ref, info, credential)
    })
  }

  /** The id alone does not make it the visitor's session: it must know him by this ticket. */
  private recognise(
    ref: Ref,
    info: SessionInfo,
    credential: Credential
  ): Effect.Effect<Option.Option<Ref>, LoadError> {
    const known = Noted.ticketOf(info)
    if (known?.ticket !== credential.ticket) {
      // A ticket that we signed for this session and that is not its own was replaced: by the last rotation or before.
      this.superseded = known !== undefined && this.now < known.rotatedAt + rotationGrace
      return Effect.succeedNone
    }
    this.current = ref
    this.ticket = credential.ticket
    const { address, agent } = this
    const device = Noted.deviceOf(info)
    let noted: Effect.Effect<unknown, ReachError> = ref.touch
    if (device?.address !== address || device?.agent !== agent) {
      noted = Effect.andThen(noted, noteDevice(ref, { address, agent }))
    }
    const lifetime = (info.expiresAt ?? Infinity) - info.lastActiveAt
    if (credential.expires - this.now < lifetime / 2) noted = Effect.andThen(noted, this.giveCookie(ref, credential))
    return Effect.matchEffect(noted, { onFailure: noneIfGone, onSuccess: () => Effect.succeedSome(ref) })
  }

  get get(): Effect.Effect<Ref, NoSession | LoadError> {
    return Effect.flatMap(this.find, Option.match({ onNone: () => noSession, onSome: Effect.succeed }))
  }

  start(options?: Session.StartOptions): Effect.Effect<Ref, any> {
    return Effect.flatMap(this.find, Option.match({ onNone: () => this.startOnce(options), onSome: Effect.succeed }))
  }

  /** Two at a time are one after the other, so that they are one session. */
  private startOnce(options: Session.StartOptions | undefined): Effect.Effect<Ref, any> {
    this.starting ??= Semaphore.makeUnsafe(1)
    return this.starting.withPermits(1)(
      Effect.suspend(() => this.current === undefined ? this.startNew(options) : Effect.succeed(this.current))
    )
  }

  private startNew(options: Session.StartOptions | undefined): Effect.Effect<Ref, any> {
    return Effect.gen({ self: this }, function*() {
      const { address, agent } = this
      const id = yield* SessionId.make
      const ticket = yield* SessionId.make
      const ref: Ref = yield* this.services.kind.start(id, {
        ...options,
        address: options?.address ?? address,
        metadata: {
          ...options?.metadata,
          ...Noted.noteTicket({ ticket, rotatedAt: -Infinity }),
          ...Noted.noteDevice({ address, agent })
        }
      })
      this.current = ref
      this.ticket = ticket
      if (!this.superseded) yield* Effect.ignore(this.giveCookie(ref, { id, ticket }))
      return ref
    })
  }

  /** The cookie lasts as long as the session. */
  private giveCookie(
    ref: Ref,
    { id, ticket }: Pick<Credential, "id" | "ticket">
  ): Effect.Effect<void, ReachError> {
    return Effect.flatMap(
      ref.info,
      ({ expiresAt = Infinity }) =>
        this.services.cookie.give(this.request, { id, ticket, expires: expiresAt }, this.now)
    )
  }

  rotate(
    options?: { readonly user?: string | undefined; readonly cut?: "others" | "all" | undefined }
  ): Effect.Effect<Ref, NoSession | LoadError> {
    return Effect.gen({ self: this }, function*() {
      const ref = yield* this.get
      const ticket = yield* SessionId.make
      const { address, agent } = this
      yield* Effect.catchTag(
        ref.setMetadata(Noted.noteTicket({ ticket, rotatedAt: this.now })),
        "InvalidMetadata",
        Effect.die
      )
      this.ticket = ticket
      const { user: before } = yield* ref.info
      const user = options !== undefined && "user" in options ? options.user : before
      if (user !== before) yield* ref.setUser(user)
      // What somebody else has opened is not for this user, whatever client it is.
      const all = options?.cut === "all" || (before !== undefined && user !== before)
      yield* this.services.connections.cut(
        ref,
        (connection) => all || connection.address !== address || connection.agent !== agent
      )
      yield* this.giveCookie(ref, { id: ref.id, ticket })
      return ref
    }).pipe(Effect.catchTag("SessionNotFound", () => noSession))
  }

  get end(): Effect.Effect<boolean, LoadError> {
    return Effect.flatMap(this.find, (found) => {
      this.current = undefined
      const ended: Effect.Effect<boolean, LoadError> = Option.isSome(found) ? found.value.end() : Effect.succeed(false)
      // Whoever comes with a cookie that was just replaced has a new one on its way, which must stay.
      return Effect.tap(ended, () => this.superseded ? Effect.void : this.services.cookie.takeBack(this.request))
    })
  }

  connect(cut: () => void): Effect.Effect<Ref, NoSession | LoadError | TooManyConnections, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const ref = yield* this.get
      const { address, agent, ticket } = this
      yield* this.services.connections.add({ session: ref, owner: yield* ownerOf(ref), address, agent, cut })
      yield* ref.attach
      // The cookie may have been replaced in between.
      return Noted.ticketOf(yield* ref.info)?.ticket === ticket ? ref : yield* noSession
    }).pipe(Effect.catchTag("SessionNotFound", () => noSession))
  }

  hold<A, E, R>(
    stream: Stream.Stream<A, E, R>
  ): Effect.Effect<Stream.Stream<A, E, R>, NoSession | LoadError | TooManyConnections> {
    return Effect.gen({ self: this }, function*() {
      yield* this.services.connections.check(yield* ownerOf(yield* this.get))
      const held = Effect.gen({ self: this }, function*() {
        const cut = yield* Deferred.make<void>()
        const ref = yield* this.connect(() => Deferred.doneUnsafe(cut, Effect.void))
        const ended = Effect.andThen(Effect.ignore(ref.awaitEnd), Effect.sleep(lastWords))
        return Stream.interruptWhen(stream, Effect.race(Deferred.await(cut), ended))
      })
      // What happened since, another connection, a rotation, the end, is told by the end of the stream.
      return Stream.unwrap(Effect.catch(held, () => Effect.succeed(Stream.empty)))
    }).pipe(Effect.catchTag("SessionNotFound", () => noSession))
  }

  get binding(): Effect.Effect<string, NoSession | LoadError> {
    return Effect.gen({ self: this }, function*() {
      const ref = yield* this.get
      const known = Noted.ticketOf(yield* ref.info)
      return known === undefined ? yield* noSession : `${ref.id}.${yield* fingerprint(known.ticket)}`
    }).pipe(Effect.catchTag("SessionNotFound", () => noSession))
  }
}
