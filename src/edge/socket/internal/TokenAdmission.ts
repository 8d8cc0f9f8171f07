/**
 * Lets a client in by its token: checks it, finds or starts the session that it opens, and counts the connection.
 */
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as Scope from "effect/Scope"
import type * as EndReason from "../../../contract/EndReason.ts"
import type * as Session from "../../../contract/Session.ts"
import type { SessionRef } from "../../../contract/SessionRef.ts"
import * as ClientAddress from "../../http/ClientAddress.ts"
import { Connections } from "../../http/Connections.ts"
import * as HttpSession from "../../http/HttpSession.ts"
import { type Claims, JwtVerifier } from "../JwtVerifier.ts"
import type { Refused } from "./socketRoute.ts"
import * as Upgrade from "./upgrade.ts"

/** Which session a token opens. */
export interface Options<D extends HttpSession.AnyKind> {
  /** The kind of the users' sessions. */
  readonly kind: D
  /** The id of the session that a token opens. Default: its `sub`. */
  readonly id?: ((claims: Claims) => string) | undefined
  /** The options with which a session is started, such as its arguments. */
  readonly start?: ((claims: Claims) => Session.StartOptions & { readonly args?: D["args"]["Type"] }) | undefined
  /**
   * The kind of session to which tokens are bound by their claim `sid`, see `HttpSession.binding`: such a token opens a
   * socket only while that session has the cookie for which it was made, and the socket is cut with it. A token
   * without `sid` is bound to nothing.
   */
  readonly boundTo?: HttpSession.AnyKind | undefined
}

/** What happens to a connection besides the end of its session. */
export interface Fate {
  /** Its credential is worth nothing any more. */
  readonly revoked: () => void
  /** What it was bound to has ended, with the server. */
  readonly ended: (reason: EndReason.EndReason) => void
}

export interface Admitted {
  readonly session: SessionRef<any, any>
  readonly claims: Claims
}

interface TokenAdmission {
  /** The session of a request that is over soon. */
  readonly find: (request: HttpServerRequest) => Effect.Effect<Admitted, Refused>
  /** The session of a connection that lasts as long as the Scope. */
  readonly connect: (request: HttpServerRequest, fate: Fate) => Effect.Effect<Admitted, Refused, Scope.Scope>
}

export const make = Effect.fnUntraced(function*<D extends HttpSession.AnyKind>(options: Options<D>) {
  const kind = (yield* options.kind) as Session.SessionKind<any, any, any, any>
  const bindings = options.boundTo === undefined
    ? undefined
    : (yield* options.boundTo) as Session.SessionKind<any, any, any, any>
  const verifier = yield* JwtVerifier
  const connections = yield* Connections

  const boundTo = (claims: Claims) => {
    const binding = claims["sid"]
    return bindings === undefined || binding === undefined
      ? Effect.undefined
      : HttpSession.bound(bindings, String(binding))
  }

  const check = Effect.fnUntraced(function*(request: HttpServerRequest) {
    const token = readToken(request)
    if (token === undefined) return yield* new HttpSession.NoSession({ message: "a token is needed" })
    const claims = yield* verifier.verify(token)
    return { claims, bound: yield* boundTo(claims) }
  })

  const start = (request: HttpServerRequest, claims: Claims) =>
    Effect.map(
      kind.start(options.id?.(claims) ?? claims.sub, {
        user: claims.sub,
        address: ClientAddress.of(request),
        ...options.start?.(claims)
      }),
      (session): Admitted => ({ session, claims })
    )

  const admission: TokenAdmission = {
    find: (request) => Effect.flatMap(check(request), ({ claims }) => start(request, claims)),
    connect: Effect.fnUntraced(function*(request, fate) {
      const { bound, claims } = yield* check(request)
      yield* connections.add({
        session: bound ?? { kind: options.kind.kind, id: options.id?.(claims) ?? claims.sub },
        owner: claims.sub,
        address: ClientAddress.of(request),
        agent: request.headers["user-agent"]?.slice(0, 200),
        cut: fate.revoked
      })
      if (bound !== undefined) {
        yield* bound.watch({
          // It goes with the server too, which is no fault of the client.
          ended: (reason) => reason._tag === "Shutdown" ? fate.ended(reason) : fate.revoked()
        })
        yield* bound.attach
        // From here on it is cut when the cookie is replaced; it may have been while the token was looked at.
        yield* boundTo(claims)
      }
      const admitted = yield* start(request, claims)
      yield* admitted.session.attach
      return admitted
    })
  }
  return admission
})

const readToken = ({ headers, url }: HttpServerRequest): string | undefined => {
  const { authorization } = headers
  if (authorization !== undefined) return /^bearer +(\S+) *$/i.exec(authorization)?.[1]
  const protocols = headers["sec-websocket-protocol"]?.split(",").map((protocol) => protocol.trim())
  if (protocols?.[0] === Upgrade.bearer) return protocols[1]
  const query = url.indexOf("?")
  return query < 0 ? undefined : new URLSearchParams(url.slice(query)).get("token") ?? undefined
}
