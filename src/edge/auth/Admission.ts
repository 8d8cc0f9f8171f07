/**
 * Admission of clients to live sessions: how the session of a request or a connection is found, by a cookie or a token, and
 * what the client may see and do.
 *
 * Give an admission to `LiveHttp.layer` or `LiveSocket.layer`:
 *
 * ```ts
 * const Routes = LiveHttp.layer(CartLive, { path: "/live", session: Admission.cookie(Visitor) })
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as Scope from "effect/Scope"
import type * as EndReason from "../../contract/EndReason.ts"
import type * as Live from "../../contract/Live.ts"
import type * as Session from "../../contract/Session.ts"
import type { SessionRef } from "../../contract/SessionRef.ts"
import type { Connections } from "../http/Connections.ts"
import * as HttpSession from "../http/HttpSession.ts"
import * as TokenAdmission from "./internal/TokenAdmission.ts"
import type { Claims, TokenVerifier } from "./TokenVerifier.ts"

/**
 * How the session of a client of a kind is found: `cookie`, `token`, or an admission of your own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Admission<out Kind extends string, out R> {
  readonly kind: Kind
  /** Made once for a route, in the Scope of the route's Layer. */
  readonly make: Effect.Effect<Authenticator, never, R | Scope.Scope>
}

/**
 * Why a client is not admitted: any tagged error. With a `message` and an `httpStatus` it is shown to the client, else the
 * answer is a 503 that says nothing. `retryAfter` is in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refused {
  readonly _tag: string
  readonly message?: string
  readonly httpStatus?: number
  readonly retryAfter?: number
}

/**
 * Finds the session of a client, or refuses the client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Authenticator {
  /** The session of a single request. */
  readonly find: (request: HttpServerRequest) => Effect.Effect<Admitted, Refused>
  /** The session of a connection, which lasts as long as the Scope. The listener is called if it must end earlier. */
  readonly connect: (
    request: HttpServerRequest,
    listener: Listener
  ) => Effect.Effect<Admitted, Refused, Scope.Scope>
}

/**
 * What the transport of a connection does when the connection must end, although its own session goes on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listener {
  /** The credential that admitted the client is no longer valid. */
  readonly revoked: (why: Revocation) => void
  /** The session that the credential is bound to has ended because the server shuts down. */
  readonly ended: (reason: EndReason.EndReason) => void
}

/**
 * Why a credential is no longer valid: the session that it is bound to has ended (`revoked`), another credential has
 * `replaced` it, or it has `expired`. After the last two, the client may have a newer credential already.
 *
 * @since 0.1.0
 * @category models
 */
export type Revocation = "revoked" | "replaced" | "expired"

/**
 * A client that is admitted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Admitted {
  readonly session: SessionRef<any, any>
  /** The claims of the client's latest token; `undefined` for a client without a token. */
  readonly claims?: Claims | undefined
  /** How the connection continues with another token; `undefined` where that is not possible. */
  readonly renewal?: Renewal | undefined
}

/**
 * The renewal of the token of a connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Renewal {
  /** The time until the token expires, in milliseconds. */
  readonly expiresIn: () => number
  /**
   * Continues with another token, which must be for the same user and session: the connection lasts until that one expires.
   * A token that is refused changes nothing.
   */
  readonly renew: (token: string) => Effect.Effect<void, Refused>
}

/**
 * Admits a client to the session that the cookie of its browser names. The session is not started: a page does that before
 * it connects. A connection ends when the cookie is replaced, see `HttpSession.rotate`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const cookie = <Self, Id extends string, K extends HttpSession.AnyKind>(
  service: HttpSession.ServiceClass<Self, Id, K>
): Admission<K["kind"], HttpSession.Needs<K>> => ({
  kind: service.options.kind.kind,
  make: Effect.map(HttpSession.make(service.options), (open): Authenticator => ({
    find: (request) => Effect.map(open(request).get, (session) => ({ session })),
    connect: (request, { revoked }) =>
      Effect.map(open(request).connect(() => revoked("replaced")), (session) => ({ session }))
  }))
})

/**
 * Which session a token opens.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenOptions<D extends HttpSession.AnyKind> {
  /** The kind of the users' sessions. */
  readonly kind: D
  /** The id of the session that a token opens. Default: the `sub` of the token. */
  readonly id?: ((claims: Claims) => string) | undefined
  /** The options with which a session is started, such as its arguments. */
  readonly start?: ((claims: Claims) => Session.StartOptions & { readonly args?: D["args"]["Type"] }) | undefined
  /**
   * The kind of session that tokens are bound to by their claim `sid`, see `HttpSession.binding`. A bound token is valid only
   * while that session has the cookie for which the token was made, and its connections end with it. A token without `sid`
   * is not bound.
   */
  readonly boundTo?: HttpSession.AnyKind | undefined
}

/**
 * Admits a client to the session that its token opens, which is started if there is none. The token comes in the header
 * `Authorization: Bearer …`, as a subprotocol (see `bearerProtocol`), or as the query parameter `token`, which proxies and their
 * logs see. A connection ends when its token expires, unless the client sends another one before.
 *
 * @since 0.1.0
 * @category constructors
 */
export const token = <K extends HttpSession.AnyKind, B extends HttpSession.AnyKind = never>(
  options: TokenOptions<K> & { readonly boundTo?: B | undefined }
): Admission<
  K["kind"],
  | Context.Service.Identifier<K>
  | ([B] extends [never] ? never : Context.Service.Identifier<B>)
  | TokenVerifier
  | Connections
> => ({ kind: options.kind.kind, make: TokenAdmission.make(options) as Effect.Effect<Authenticator, never, any> })

/**
 * Admits a client to a session that follows from its own: the inbox of its user, the topic of its room. `to` finds or starts
 * that session, or fails with an error that carries its HTTP status. The connection ends when the client's own session ends
 * or its credential is no longer valid. `to` is asked again when user or metadata of the client's own session change; the
 * connection also ends when it then gives another session.
 *
 * ```ts
 * const user = Admission.through(Admission.cookie(Visitor), Inboxes.kind, ({ session }) =>
 *   Effect.flatMap(session.info, ({ user }) => user === undefined ? nobody : inboxes.open(user)))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const through = <RFrom, K extends Session.Any, R>(
  admission: Admission<string, RFrom>,
  kind: K,
  to: (client: Admitted, request: HttpServerRequest) => Effect.Effect<SessionRef<Session.State<K>, any>, Refused, R>
): Admission<K["kind"], RFrom | R> => ({
  kind: kind.kind,
  make: Effect.gen(function*() {
    const { connect, find } = yield* admission.make
    const context = yield* Effect.context<R>()
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const goOn = (from: Admitted, request: HttpServerRequest): Effect.Effect<Admitted, Refused> =>
      Effect.map(Effect.provideContext(to(from, request), context), (session) => ({
        session,
        renewal: from.renewal,
        get claims() {
          return from.claims
        }
      }))
    return {
      find: (request) => Effect.flatMap(find(request), (from) => goOn(from, request)),
      connect: Effect.fnUntraced(function*(request, listener) {
        const from = yield* connect(request, listener)
        const scope = yield* Effect.scope
        let admitted: Admitted | undefined = undefined as Admitted | undefined
        /** Checks that the client's own session still leads to the same session. */
        const again = Effect.matchCause(goOn(from, request), {
          onFailure: () => listener.revoked("replaced"),
          onSuccess: ({ session: { id } }) => {
            if (id !== admitted?.session.id) listener.revoked("replaced")
          }
        })
        yield* from.session.watch({
          identified: () => {
            if (admitted !== undefined) run(Effect.forkIn(again, scope))
          },
          // A shutdown ends it too, which does not make the credential invalid.
          ended: (reason) => reason._tag === "Shutdown" ? listener.ended(reason) : listener.revoked("revoked")
        })
        admitted = yield* goOn(from, request)
        yield* admitted.session.attach
        return admitted
      })
    }
  })
})

/**
 * Runs an Effect for each client that connects, before the client is sent anything. What the Effect acquires is released
 * when the client disconnects. The user and the metadata of the session can change while the client is connected; a login
 * with `HttpSession.rotate` disconnects the client, which then connects again.
 *
 * ```ts
 * const seen = Admission.whileConnected(Admission.cookie(Visitor), ({ session }) =>
 *   Effect.asVoid(present.track("shop", session.id, { device: session.id })))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const whileConnected = <Kind extends string, RFrom, R>(
  admission: Admission<Kind, RFrom>,
  run: (client: Admitted, request: HttpServerRequest) => Effect.Effect<void, Refused, R>
): Admission<Kind, RFrom | Exclude<R, Scope.Scope>> => ({
  ...admission,
  make: Effect.gen(function*() {
    const { connect, find } = yield* admission.make
    const context = yield* Effect.context<Exclude<R, Scope.Scope>>()
    return {
      find,
      connect: (request, listener) =>
        Effect.tap(
          connect(request, listener),
          (client) =>
            Effect.updateContext(run(client, request), (own: Context.Context<Scope.Scope>) =>
              Context.merge(context, own) as Context.Context<R>)
        )
    }
  })
})

/**
 * A client, as `Allow` sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client<D extends Live.Any> {
  readonly session: SessionRef<Session.State<D["kind"]>, any>
  /** The claims of the client's latest token; `undefined` for a client without a token. */
  readonly claims: Claims | undefined
}

/**
 * Decides whether a client may see a view, or do an action, by its name. It is asked for each action; for a view it is asked
 * when the view is mounted, and again when user or metadata of the session change or the client renews its token. A view
 * that the client may no longer see ends with `Forbidden`. A defect counts as "no".
 *
 * @since 0.1.0
 * @category models
 */
export type Allow<D extends Live.Any, R> = (
  name: Live.ViewName<D> | Live.Command<D>["_tag"],
  client: Client<D>
) => boolean | Effect.Effect<boolean, never, R>

/**
 * Makes the check of a transport from the option `allow`. Without the option, everything is allowed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const allowing = <R>(
  allow: Allow<any, R> | undefined
): Effect.Effect<(client: Admitted) => (name: string) => Effect.Effect<boolean>, never, R> =>
  Effect.map(
    Effect.context<R>(),
    (context) => (client) => (name) =>
      Effect.suspend(() => {
        const allowed = allow?.(name, { session: client.session, claims: client.claims }) ?? true
        return Effect.isEffect(allowed) ? Effect.provideContext(allowed, context) : Effect.succeed(allowed)
      })
  )
