/**
 * Refuses requests that the page of another origin makes a browser send (CSRF), without tokens.
 *
 * Browsers say where a request comes from, in headers that no page can set: `Sec-Fetch-Site`, or `Origin` where that
 * is missing (older browsers, plain http, WebSockets). This is the algorithm of Go's `http.CrossOriginProtection`:
 *
 * 1. GET, HEAD and OPTIONS pass, so they must not change anything.
 * 2. With `Sec-Fetch-Site`: `same-origin` and `none` (typed, bookmarked) pass, others if their `Origin` is allowed.
 * 3. Without it and without `Origin`: passes. That is a program (curl, an API client), which needs neither header.
 * 4. Otherwise `Origin` must be the request's own origin or an allowed one. `null` never is.
 *
 * The own origin is the `Host` header and the scheme, where that is certain: as `HttpMiddleware.xForwardedHeaders`
 * took it from a trusted proxy, or https. Plain http is not certain, a TLS terminator may stand in front: then the
 * http and https pages of the host are its own. A proxy must pass on `Host`, or have its `X-Forwarded-Host` trusted.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { taggedError } from "../../contract/internal/taggedError.ts"
import { InvalidConfig } from "../../contract/SessionError.ts"
import { withoutStack } from "../../internal/withoutStack.ts"

type Request = HttpServerRequest.HttpServerRequest

/** Shortened and in one line, to be quoted. */
const shown = (text: string): string =>
  JSON.stringify((text.length > 80 ? `${text.slice(0, 80)}…` : text).replace(/\p{C}/gu, ""))

/**
 * The request comes from a page of another origin. It had no effect.
 *
 * @since 0.1.0
 * @category errors
 */
export class CrossOriginRefused
  extends taggedError<CrossOriginRefused>()("CrossOriginRefused", {}, { status: 403, retrySafe: true })
{
  /** Makes the error for the `Origin` header of a request. It has no stack: see `SessionError`. */
  static of(origin: string | undefined): CrossOriginRefused {
    const from = origin === undefined ? "another origin" : `the origin ${shown(origin)}`
    return withoutStack(() =>
      new CrossOriginRefused({ message: `requests from ${from} are refused: if it is yours, allow it` })
    )
  }
}

/**
 * What to let pass besides the own origin.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Other origins whose pages may do all that ours may: `scheme://host[:port]`, no path, no `*`. Default: none. */
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

/** A page's origin. Pages that open a WebSocket have http origins too. */
const shape = /^(?!wss?:)[a-z][a-z0-9+.-]*:\/\/(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d+)?$/i

const normalize = (origin: string): string | undefined => {
  if (!shape.test(origin) || !URL.canParse(origin)) return undefined
  const { host, protocol } = new URL(origin)
  return `${protocol}//${host}`.toLowerCase()
}

const isListed = (origin: string | undefined, { allow }: Policy): boolean =>
  origin !== undefined && allow.size > 0 && (allow.has(origin) || allow.has(normalize(origin) ?? ""))

/** What a request's own origin may be: as many as there are schemes it may have come by. */
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
 * The program's policy, and what goes by it.
 *
 * @since 0.1.0
 * @category services
 */
export class CrossOrigin extends Context.Service<CrossOrigin, Policy>()("effect-sessions/CrossOrigin") {
  /** Checks options. Fails with `InvalidConfig` on the first that is not an origin. */
  static make({ allow = [] }: Options = {}): Effect.Effect<Policy, InvalidConfig> {
    return Effect.map(Effect.forEach(allow, parse), (origins) => ({ allow: new Set(origins) }))
  }

  /** Whether a request may pass. Not for WebSocket handshakes, which are GETs. */
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
   * For WebSocket handshakes, before the upgrade. They go by `Origin` alone, which browsers always send with them.
   * Without it they pass: that is no browser, and still has to bring its token.
   */
  static checkUpgrade(request: Request, policy: Policy): Effect.Effect<void, CrossOriginRefused> {
    return refuseUnless(isOriginAllowed(request, policy), request)
  }

  /** The policy of a program. Fails with `InvalidConfig`, see `make`. */
  static layer(options?: Options): Layer.Layer<CrossOrigin, InvalidConfig> {
    return Layer.effect(CrossOrigin, CrossOrigin.make(options))
  }

  /**
   * For all routes of the router: answers what is not allowed with 403 and the error as JSON, before the body is read.
   * Merge it before middleware that reads bodies. `xForwardedHeaders` goes around the router, see `HttpRouter.serve`.
   */
  static readonly protect: Layer.Layer<never, never, HttpRouter.HttpRouter | CrossOrigin> = HttpRouter.middleware(
    Effect.map(CrossOrigin, (policy) => (respond) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
        if (CrossOrigin.isAllowed(request, policy)) return respond
        const { _tag, httpStatus: status, message } = CrossOriginRefused.of(request.headers.origin)
        return Effect.succeed(HttpServerResponse.jsonUnsafe({ _tag, message }, { status }))
      })),
    { global: true }
  )
}
