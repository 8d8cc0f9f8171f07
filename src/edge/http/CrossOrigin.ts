/**
 * Protection against cross-site request forgery (CSRF), without tokens.
 *
 * Browsers tell where a request comes from, in headers that no page can set: `Sec-Fetch-Site`, or `Origin` where the first is
 * missing (older browsers, plain http, WebSockets). This is the algorithm of Go's `http.CrossOriginProtection`:
 *
 * 1. GET, HEAD and OPTIONS pass. They must not change anything.
 * 2. With `Sec-Fetch-Site`, `same-origin` and `none` (typed, bookmarked) pass; other values pass if `Origin` is allowed.
 * 3. Without both headers, the request passes: it comes from a program (curl, an API client), not from a page.
 * 4. Otherwise `Origin` must be the own origin of the server, or an allowed one. `null` never passes.
 *
 * The own origin is the `Host` header with the scheme of the request. The scheme is certain when it is https, or when
 * `HttpMiddleware.xForwardedHeaders` took it from a trusted proxy. Plain http is not certain, because a proxy may terminate
 * TLS: then both the http and the https origin of the host are accepted. A proxy must forward `Host`, or have its
 * `X-Forwarded-Host` trusted.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import { taggedError } from "../../contract/internal/taggedError.ts"
import { InvalidConfig } from "../../contract/SessionError.ts"
import { refusal, respondable } from "../internal/answers.ts"

type Request = HttpServerRequest.HttpServerRequest

/** Shortens a text and puts it in quotes, in one line. */
const shown = (text: string): string =>
  JSON.stringify((text.length > 80 ? `${text.slice(0, 80)}…` : text).replace(/\p{C}/gu, ""))

/**
 * The request comes from a page of another origin. It had no effect. Allow the origin if it is yours.
 *
 * @since 0.1.0
 * @category errors
 */
export class CrossOriginRefused extends respondable(
  taggedError<CrossOriginRefused>()("CrossOriginRefused", {}, {
    status: 403,
    retrySafe: true,
    of: (origin: string | undefined) => {
      const from = origin === undefined ? "another origin" : `the origin ${shown(origin)}`
      return { message: `requests from ${from} are refused: if it is yours, allow it` }
    }
  })
) {}

/**
 * The origins that are accepted besides the own origin.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Origins whose pages may do what the own pages may: `scheme://host[:port]`, no path, no `*`. Default: none. */
  readonly allow?: ReadonlyArray<string> | undefined
}

/**
 * Options that `CrossOrigin.make` has checked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Policy {
  /** As browsers write origins: in small letters, without default ports. */
  readonly allow: ReadonlySet<string>
}

/** The origin of a page. A page that opens a WebSocket also has an http or https origin. */
const shape = /^(?!wss?:)[a-z][a-z0-9+.-]*:\/\/(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d+)?$/i

const normalize = (origin: string): string | undefined => {
  if (!shape.test(origin) || !URL.canParse(origin)) return undefined
  const { host, protocol } = new URL(origin)
  return `${protocol}//${host}`.toLowerCase()
}

const isListed = (origin: string | undefined, { allow }: Policy): boolean =>
  origin !== undefined && allow.size > 0 && (allow.has(origin) || allow.has(normalize(origin) ?? ""))

/** The own origins of a request: one for each scheme that it may have come by. */
const ownOrigins = ({ headers, originalUrl, protocol }: Request): ReadonlyArray<string> => {
  const host = headers.host ?? /^https?:\/\/([^/?#]*)/i.exec(originalUrl)?.[1]
  if (!host) return []
  if (protocol !== undefined) return [`${protocol}://${host}`]
  return originalUrl.startsWith("https:") ? [`https://${host}`] : [`https://${host}`, `http://${host}`]
}

const isOwn = (origin: string, request: Request): boolean => {
  const own = ownOrigins(request)
  if (own.includes(origin)) return true
  const given = normalize(origin)
  return given !== undefined && own.some((it) => normalize(it) === given)
}

const isOriginAllowed = (request: Request, policy: Policy): boolean => {
  const { origin } = request.headers
  return origin === undefined || isOwn(origin, request) || isListed(origin, policy)
}

const parse = (origin: string): Effect.Effect<string, InvalidConfig> => {
  const normal = normalize(origin)
  if (normal !== undefined) return Effect.succeed(normal)
  const message = `CrossOrigin.allow takes origins such as "https://shop.example", with no path, "*" or ws:, got `
  return Effect.fail(new InvalidConfig({ setting: "CrossOrigin.allow", message: message + shown(origin) }))
}

const refuseUnless = (allowed: boolean, request: Request): Effect.Effect<void, CrossOriginRefused> =>
  allowed ? Effect.void : Effect.fail(CrossOriginRefused.of(request.headers.origin))

/**
 * The policy of the program, and the checks that apply it.
 *
 * @since 0.1.0
 * @category services
 */
export class CrossOrigin extends Context.Service<CrossOrigin, Policy>()("effect-sessions/CrossOrigin") {
  /** Checks options. Fails with `InvalidConfig` when one is not an origin. */
  static make({ allow = [] }: Options = {}): Effect.Effect<Policy, InvalidConfig> {
    return Effect.map(Effect.forEach(allow, parse), (origins) => ({ allow: new Set(origins) }))
  }

  /** Whether a request may pass. Not for WebSocket handshakes, which are GETs: see `checkUpgrade`. */
  static isAllowed(request: Request, policy: Policy): boolean {
    const { headers, method } = request
    if (method === "GET" || method === "HEAD" || method === "OPTIONS") return true
    const site = headers["sec-fetch-site"]
    if (site === "same-origin" || site === "none") return true
    return site === undefined ? isOriginAllowed(request, policy) : isListed(headers.origin, policy)
  }

  /** Fails with `CrossOriginRefused` unless `isAllowed`. */
  static check(request: Request, policy: Policy): Effect.Effect<void, CrossOriginRefused> {
    return refuseUnless(CrossOrigin.isAllowed(request, policy), request)
  }

  /**
   * Checks a WebSocket handshake before the upgrade, by its `Origin` alone, which browsers always send. Without `Origin` it
   * passes: it does not come from a browser, and still needs a credential.
   */
  static checkUpgrade(request: Request, policy: Policy): Effect.Effect<void, CrossOriginRefused> {
    return refuseUnless(isOriginAllowed(request, policy), request)
  }

  /** The policy of the program. Fails with `InvalidConfig` when an option is not an origin. */
  static layer(options?: Options): Layer.Layer<CrossOrigin, InvalidConfig> {
    return Layer.effect(CrossOrigin, CrossOrigin.make(options))
  }

  /**
   * Protects all routes of the router: a request that is not allowed is answered with 403 and the error as JSON, before its
   * body is read. Merge it before middleware that reads bodies. Apply `xForwardedHeaders` around the router, see
   * `HttpRouter.serve`.
   */
  static readonly protect: Layer.Layer<never, never, HttpRouter.HttpRouter | CrossOrigin> = HttpRouter.middleware(
    Effect.map(
      CrossOrigin,
      (policy) => (respond) =>
        Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
          CrossOrigin.isAllowed(request, policy)
            ? respond
            : Effect.succeed(refusal(CrossOriginRefused.of(request.headers.origin))))
    ),
    { global: true }
  )
}
