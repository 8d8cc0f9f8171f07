/**
 * Who may come to a live session: whose session a request is, by its cookie or its token, and what it may see and do.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as Scope from "effect/Scope"
import type * as Live from "../../contract/Live.ts"
import type * as Session from "../../contract/Session.ts"
import type { SessionRef } from "../../contract/SessionRef.ts"
import type { Connections } from "../http/Connections.ts"
import * as HttpSession from "../http/HttpSession.ts"
import type { Refused } from "../socket/internal/socketRoute.ts"
import * as TokenAdmission from "../socket/internal/TokenAdmission.ts"
import type { Claims, JwtVerifier } from "../socket/JwtVerifier.ts"

/**
 * How the session of a request to a kind is found: `cookie`, `token`, or one of your own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Admission<out Kind extends string, out R> {
  readonly kind: Kind
  readonly make: Effect.Effect<Doorkeeper, never, R>
}

/**
 * The session of a client, and what its token said if it came with one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Admitted {
  readonly session: SessionRef<any, any>
  readonly claims?: Claims | undefined
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
    connect: (request, { revoked }) => Effect.map(open(request).connect(revoked), (session) => ({ session }))
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
 * May this client see the view, or do the action, of this name?
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
    (context) => ({ claims, session }) => (name) => {
      const allowed = allow?.(name, { session, claims }) ?? true
      return Effect.isEffect(allowed) ? Effect.provideContext(allowed, context) : Effect.succeed(allowed)
    }
  )
