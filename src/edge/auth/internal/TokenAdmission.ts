/**
 * Admission by token: verifies the token, finds or starts the session that it opens, and counts the connection.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as Scope from "effect/Scope"
import type * as Session from "../../../contract/Session.ts"
import type { SessionRef } from "../../../contract/SessionRef.ts"
import * as ClientAddress from "../../http/ClientAddress.ts"
import { Connections } from "../../http/Connections.ts"
import * as HttpSession from "../../http/HttpSession.ts"
import * as Noted from "../../internal/device.ts"
import { HeldCookie } from "../../internal/HeldCookie.ts"
import type { Admitted, Authenticator, Listener, Renewal, TokenOptions } from "../Admission.ts"
import { bearerProtocol, type Claims, InvalidToken, TokenVerifier } from "../TokenVerifier.ts"
import * as Expirations from "./expirations.ts"

/** The claims of a token, and the session that the token is bound to. */
interface Verified {
  readonly claims: Claims
  readonly bound: SessionRef<any, any> | undefined
}

export const make = Effect.fnUntraced(function*<D extends HttpSession.AnyKind>(options: TokenOptions<D>) {
  const kind = (yield* options.kind) as Session.SessionKind<any, any, any, any>
  const bindings = options.boundTo === undefined
    ? undefined
    : (yield* options.boundTo) as Session.SessionKind<any, any, any, any>
  const verifier = yield* TokenVerifier
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
    return { claims, bound: yield* boundTo(claims) } satisfies Verified
  })

  const check = Effect.fnUntraced(function*(request: HttpServerRequest) {
    const token = readToken(request)
    if (token === undefined) return yield* new HttpSession.NoSession({ message: "a token is needed" })
    return yield* read(token)
  })

  const idOf = (claims: Claims): string => options.id?.(claims) ?? claims.sub

  /** Ends the connection when its token expires, unless it is renewed before. */
  const lasting = Effect.fnUntraced(function*(
    first: Verified,
    listener: Listener
  ): Effect.fn.Return<{ readonly claims: () => Claims; readonly renewal: Renewal }, never, Scope.Scope> {
    let { claims } = first
    const expiresIn = () => Math.max(0, verifier.expiresAt(claims) - clock.currentTimeMillisUnsafe())
    const wait = () => expirations.after(expiresIn(), () => listener.revoked("expired"))
    let cancel = wait()
    yield* Effect.addFinalizer(() => Effect.sync(() => cancel()))
    return {
      claims: () => claims,
      renewal: {
        expiresIn,
        renew: (token) =>
          Effect.flatMap(read(token), (next) => {
            if (
              next.claims.sub !== claims.sub || idOf(next.claims) !== idOf(claims) ||
              next.bound?.id !== first.bound?.id
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

  return {
    find: (request) => Effect.flatMap(check(request), ({ claims }) => start(request, claims)),
    connect: Effect.fnUntraced(function*(request, listener) {
      const found = yield* check(request)
      const { bound, claims } = found
      const address = ClientAddress.of(request)
      const agent = request.headers["user-agent"]?.slice(0, 200)
      yield* connections.add({
        session: bound ?? { kind: options.kind.kind, id: idOf(claims) },
        owner: claims.sub,
        address,
        agent,
        disconnect: () => listener.revoked("replaced")
      })
      const { claims: latest, renewal } = yield* lasting(found, listener)
      if (bound !== undefined) {
        const cookie = new HeldCookie(Noted.ticketOf(yield* bound.info), { address, agent })
        yield* bound.watch({
          identified: (identity) => {
            if (!cookie.follow(identity)) listener.revoked("replaced")
          },
          // A shutdown ends it too, which does not make the token invalid.
          ended: (reason) => reason._tag === "Shutdown" ? listener.ended(reason) : listener.revoked("revoked")
        })
        yield* bound.attach
        // The cookie may have been replaced before the watch.
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
  } satisfies Authenticator
})

const readToken = ({ headers, url }: HttpServerRequest): string | undefined => {
  const { authorization } = headers
  if (authorization !== undefined) return /^bearer +(\S+) *$/i.exec(authorization)?.[1]
  const protocols = headers["sec-websocket-protocol"]?.split(",").map((protocol) => protocol.trim())
  if (protocols?.[0] === bearerProtocol) return protocols[1]
  const query = url.indexOf("?")
  return query < 0 ? undefined : new URLSearchParams(url.slice(query)).get("token") ?? undefined
}
