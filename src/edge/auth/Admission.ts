/**
 * Who may come to a live session: whose session a request is, by its cookie or its token, and what it may see and do.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as Scope from "effect/Scope"
import type * as Live from "../../contract/Live.ts"
import type * as Session from "../../contract/Session.ts"
import type { SessionRef } from "../../contract/SessionRef.ts"
import type { Connections } from "../http/Connections.ts"
import * as HttpSession from "../http/HttpSession.ts"
import type { Refused } from "../socket/internal/socketRoute.ts"
import * as TokenAdmission from "./internal/TokenAdmission.ts"
import type { Claims, JwtVerifier } from "../jwt/JwtVerifier.ts"

/**
 * How the session of a request to a kind is found: `cookie`, `token`, or one of your own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Admission<out Kind extends string, out R> {
  readonly kind: Kind
  /** In the Scope of the route. */
  readonly make: Effect.Effect<Doorkeeper, never, R | Scope.Scope>
}

/**
 * The session of a client, and what its token said if it came with one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Admitted {
  readonly session: SessionRef<any, any>
  /** What the latest token said. */
  readonly claims?: Claims | undefined
  /** How a connection goes on with another token. */
  readonly renewal?: TokenAdmission.Renewal | undefined
}

/**
 * Finds the session of a request, or fails with an error that carries its HTTP status.
 *
 * @since 0.1.0
 * @category models
 */
export interface Doorkeeper {
  /** The session of a request that is over soon. */
  readonly find: (request: HttpServerRequest) => Effect.Effect<Admitted, Refused>
  /**
   * The session of a connection that lasts as long as the Scope. `revoked` is called when the credential is worth
   * nothing any more, `ended` when what it is bound to has ended with the server.
   */
  readonly connect: (
    request: HttpServerRequest,
    fate: TokenAdmission.Fate
  ) => Effect.Effect<Admitted, Refused, Scope.Scope>
}

/**
 * The session that the browser's cookie names. It is not started here: a page does that before it connects. A connection
 * is cut when the cookie is replaced, see `HttpSession.rotate`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const cookie = <Self, Id extends string, K extends HttpSession.AnyKind>(
  service: HttpSession.ServiceClass<Self, Id, K>
): Admission<K["kind"], HttpSession.Needs<K>> => ({
  kind: service.options.kind.kind,
  make: Effect.map(HttpSession.make(service.options), (open): Doorkeeper => ({
    find: (request) => Effect.map(open(request).get, (session) => ({ session })),
    connect: (request, { revoked }) =>
      Effect.map(open(request).connect(() => revoked("replaced")), (session) => ({ session }))
  }))
})

/**
 * The session that a token opens, found or started: see `SessionSocket.Options`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const token = <K extends HttpSession.AnyKind, B extends HttpSession.AnyKind = never>(
  options: TokenAdmission.Options<K> & { readonly boundTo?: B | undefined }
): Admission<
  K["kind"],
  | Context.Service.Identifier<K>
  | ([B] extends [never] ? never : Context.Service.Identifier<B>)
  | JwtVerifier
  | Connections
> => ({ kind: options.kind.kind, make: TokenAdmission.make(options) as Effect.Effect<Doorkeeper, never, any> })

/**
 * Goes on from the session that a client comes with to another one: its user's inbox, the topic of its room. `to` finds or
 * starts that one, or fails with an error that carries its HTTP status. The connection is cut when the first is worth
 * nothing any more, or has ended; and when `to`, which is asked again when user or metadata of the first one change, leads
 * elsewhere by then.
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
      connect: Effect.fnUntraced(function*(request, fate) {
        const from = yield* connect(request, fate)
        const scope = yield* Effect.scope
        let admitted: Admitted | undefined = undefined as Admitted | undefined
        /** Who the client is has changed: does that lead to the same session? */
        const again = Effect.matchCause(goOn(from, request), {
          onFailure: () => fate.revoked("replaced"),
          onSuccess: ({ session: { id } }) => {
            if (id !== admitted?.session.id) fate.revoked("replaced")
          }
        })
        yield* from.session.watch({
          identified: () => {
            if (admitted !== undefined) run(Effect.forkIn(again, scope))
          },
          // It goes with the server too, which is no fault of the client.
          ended: (reason) => reason._tag === "Shutdown" ? fate.ended(reason) : fate.revoked("revoked")
        })
        admitted = yield* goOn(from, request)
        yield* admitted.session.attach
        return admitted
      })
    }
  })
})

/**
 * Does something for each client that has come, for as long as it is connected: what is acquired there is released when it
 * goes. It runs before the client is told anything. What is known of the session may change while the client is connected,
 * also whose it is, by `setUser`; a login with `HttpSession.rotate` cuts the connection, and the client comes back.
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
      connect: (request, fate) =>
        Effect.tap(
          connect(request, fate),
          (client) =>
            Effect.updateContext(run(client, request), (own: Context.Context<Scope.Scope>) =>
              Context.merge(context, own) as Context.Context<R>)
        )
    }
  })
})

/**
 * A client as `allow` sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client<D extends Live.Any> {
  readonly session: SessionRef<Session.State<D["kind"]>, any>
  /** What the client's token said, if it came with one. */
  readonly claims: Claims | undefined
}

/**
 * May this client see the view, or do the action, of this name? Asked for each action, and for a view when it is mounted and
 * again whenever user or metadata of the session change, or the client goes on with another token: a view that it may not
 * see any more ends with `Forbidden`. An answer that fails is a no.
 *
 * @since 0.1.0
 * @category models
 */
export type Allow<D extends Live.Any, R> = (
  name: Live.ViewName<D> | Live.Command<D>["_tag"],
  client: Client<D>
) => boolean | Effect.Effect<boolean, never, R>

/**
 * What a client may see and do, asked of `allow`; everything where there is none.
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
