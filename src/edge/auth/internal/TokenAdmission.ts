/**
 * Lets a client in by its token: checks it, finds or starts the session that it opens, and counts the connection.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as Scope from "effect/Scope"
import * as CloseCode from "../../../contract/CloseCode.ts"
import type * as EndReason from "../../../contract/EndReason.ts"
import type * as Session from "../../../contract/Session.ts"
import type { SessionRef } from "../../../contract/SessionRef.ts"
import * as ClientAddress from "../../http/ClientAddress.ts"
import { Connections } from "../../http/Connections.ts"
import * as HttpSession from "../../http/HttpSession.ts"
import type { Refused } from "../../socket/internal/socketRoute.ts"
import * as Upgrade from "../../socket/internal/upgrade.ts"
import { type Claims, InvalidToken, JwtVerifier } from "../../jwt/JwtVerifier.ts"
import * as Expirations from "./expirations.ts"

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

/**
 * Why a credential is worth nothing any more: what it was for is gone (`revoked`), or it was `replaced`, or its time is over
 * (`expired`). Of the last two its owner may have another one by now.
 */
export type Revocation = "revoked" | "replaced" | "expired"

/** The code with which a socket is closed then. */
export const closeCodeOf = (why: Revocation): number =>
  why === "revoked" ? CloseCode.policyViolation : CloseCode.unauthorized

/** What happens to a connection besides the end of its session. */
export interface Fate {
  /** Its credential is worth nothing any more. */
  readonly revoked: (why: Revocation) => void
  /** What it was bound to has ended, with the server. */
  readonly ended: (reason: EndReason.EndReason) => void
}

/** A credential that goes on with another one in its place. */
export interface Renewal {
  /** In how many milliseconds it is over. */
  readonly expiresIn: () => number
  /** Another token, which must be for the same user and session; the connection lasts as long as that one from here on. */
  readonly renew: (token: string) => Effect.Effect<void, Refused>
}

export interface Admitted {
  readonly session: SessionRef<any, any>
  /** What the latest token said. */
  readonly claims: Claims
  /** Of a connection. */
  readonly renewal?: Renewal
}

/** What a token says, and the session whose cookie it is bound to. */
interface Read {
  readonly claims: Claims
  readonly bound: SessionRef<any, any> | undefined
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
  const clock = yield* Clock.Clock
  const expirations = yield* Expirations.make

  const boundTo = (claims: Claims) => {
    const binding = claims["sid"]
    return bindings === undefined || binding === undefined
      ? Effect.undefined
      : HttpSession.bound(bindings, String(binding))
  }

  const read = Effect.fnUntraced(function*(token: string) {
    const claims = yield* verifier.verify(token)
    return { claims, bound: yield* boundTo(claims) } satisfies Read
  })

  const check = Effect.fnUntraced(function*(request: HttpServerRequest) {
    const token = readToken(request)
    if (token === undefined) return yield* new HttpSession.NoSession({ message: "a token is needed" })
    return yield* read(token)
  })

  const idOf = (claims: Claims): string => options.id?.(claims) ?? claims.sub

  /** Ends the connection with its token, unless another one comes in time. */
  const lasting = Effect.fnUntraced(function*(
    first: Read,
    fate: Fate
  ): Effect.fn.Return<{ readonly claims: () => Claims; readonly renewal: Renewal }, never, Scope.Scope> {
    let { claims } = first
    const expiresIn = () => Math.max(0, verifier.expiresAt(claims) - clock.currentTimeMillisUnsafe())
    const wait = () => expirations.after(expiresIn(), () => fate.revoked("expired"))
    let cancel = wait()
    yield* Effect.addFinalizer(() => Effect.sync(() => cancel()))
    return {
      claims: () => claims,
      renewal: {
        expiresIn,
        renew: (token) =>
          Effect.flatMap(read(token), (next) => {
            if (
              next.claims.sub !== claims.sub || idOf(next.claims) !== idOf(claims) || next.bound?.id !== first.bound?.id
            ) {
              return Effect.fail(InvalidToken.of("Claims", "the token is for another user or session"))
            }
            return Effect.sync(() => {
              claims = next.claims
              cancel()
              cancel = wait()
            })
          })
      }
    }
  })

  const start = (request: HttpServerRequest, claims: Claims) =>
    Effect.map(
      kind.start(idOf(claims), {
        user: claims.sub,
        address: ClientAddress.of(request),
        ...options.start?.(claims)
      }),
      (session): Admitted => ({ session, claims })
    )

  const admission: TokenAdmission = {
    find: (request) => Effect.flatMap(check(request), ({ claims }) => start(request, claims)),
    connect: Effect.fnUntraced(function*(request, fate) {
      const found = yield* check(request)
      const { bound, claims } = found
      yield* connections.add({
        session: bound ?? { kind: options.kind.kind, id: idOf(claims) },
        owner: claims.sub,
        address: ClientAddress.of(request),
        agent: request.headers["user-agent"]?.slice(0, 200),
        cut: () => fate.revoked("replaced")
      })
      const { claims: latest, renewal } = yield* lasting(found, fate)
      if (bound !== undefined) {
        yield* bound.watch({
          // It goes with the server too, which is no fault of the client.
          ended: (reason) => reason._tag === "Shutdown" ? fate.ended(reason) : fate.revoked("revoked")
        })
        yield* bound.attach
        // From here on it is cut when the cookie is replaced; it may have been while the token was looked at.
        yield* boundTo(claims)
      }
      const admitted = yield* start(request, claims)
      yield* admitted.session.attach
      return {
        session: admitted.session,
        get claims() {
          return latest()
        },
        renewal
      }
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
