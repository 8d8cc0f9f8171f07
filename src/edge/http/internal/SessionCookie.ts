/**
 * The cookie that names a session: `ticket.id.expires.signature`.
 *
 * The id is the address of the session. The ticket, 192 random bits as well, is the secret by which the session recognizes its
 * visitor; it is replaced at login. The signature covers all of that and the name. `expires` is when the browser deletes the
 * cookie. It does not limit the session, which may have been active without a request.
 */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { isLocalHost } from "../ClientAddress.ts"
import type { CookieKeys } from "../CookieKeys.ts"

/** The content of a cookie with a valid signature. */
export interface Credential {
  readonly ticket: string
  readonly id: string
  /** When the browser deletes it, in milliseconds since 1970; `Infinity`: when the browser is closed. */
  readonly expires: number
}

export interface CookieOptions {
  readonly name: string
  readonly sameSite: "lax" | "strict"
  readonly secure: boolean | "auto"
}

interface Known extends Credential {
  /** The name of its cookie. */
  readonly name: string
}

/** How many headers are cached, in each of two generations, and the length up to which they are. */
const remembered = 10_000
const rememberedLength = 1_024

export class SessionCookie {
  private readonly options: CookieOptions
  private readonly keys: CookieKeys["Service"]
  // Recent headers with a valid cookie, so that each is parsed, and its signature checked, once.
  private recent = new Map<string, Known>()
  private earlier = new Map<string, Known>()

  private readonly secureName: string
  // Most requests have the same host as the one before.
  private lastHost: string | undefined = undefined
  private lastIsLocal = isLocalHost(undefined)

  constructor(options: CookieOptions, keys: CookieKeys["Service"]) {
    this.options = options
    this.secureName = `__Host-${options.name}`
    this.keys = keys
  }

  /** The content of the request's cookie, if this server has signed it. */
  read(request: HttpServerRequest): Credential | undefined {
    const header = request.headers["cookie"]
    if (header === undefined) return undefined
    const name = this.nameFor(request)
    const known = this.recent.get(header)
    return known?.name === name ? known : this.verify(header, name, request)
  }

  private verify(header: string, name: string, request: HttpServerRequest): Credential | undefined {
    const before = this.earlier.get(header)
    if (before?.name === name) return this.remember(header, before)
    const cookie = request.cookies[name]
    const credential = cookie === undefined ? undefined : this.parse(cookie)
    if (credential === undefined || header.length > rememberedLength) return credential
    return this.remember(header, { ...credential, name })
  }

  private remember(header: string, known: Known): Credential {
    if (this.recent.size >= remembered) {
      this.earlier = this.recent
      this.recent = new Map()
    }
    this.recent.set(header, known)
    return known
  }

  private parse(cookie: string): Credential | undefined {
    const parts = pattern.exec(cookie)
    if (parts === null) return undefined
    const [, signed, ticket, id, expires, signature] = parts as unknown as [string, ...Array<string>]
    if (!this.keys.verify(this.toSign(signed!), signature!)) return undefined
    return { ticket: ticket!, id: id!, expires: expires === "" ? Infinity : Number.parseInt(expires!, 36) * 1_000 }
  }

  /** The name is signed too: a cookie with another name and the same keys is not valid for this one. */
  private toSign(text: string): string {
    return `${this.options.name}=${text}`
  }

  /** Sets the cookie with the answer to a request. */
  give(
    request: HttpServerRequest,
    response: HttpServerResponse.HttpServerResponse,
    { expires, id, ticket }: Credential,
    now: number
  ): HttpServerResponse.HttpServerResponse {
    const signed = `${ticket}.${id}.${expires === Infinity ? "" : Math.ceil(expires / 1_000).toString(36)}`
    const value = `${signed}.${this.keys.sign(this.toSign(signed))}`
    const maxAge = expires === Infinity ? undefined : Math.max(0, Math.ceil((expires - now) / 1_000))
    return this.set(request, response, value, maxAge)
  }

  /** Deletes the cookie with the answer to a request. */
  delete(
    request: HttpServerRequest,
    response: HttpServerResponse.HttpServerResponse
  ): HttpServerResponse.HttpServerResponse {
    return this.set(request, response, "", 0)
  }

  private set(
    request: HttpServerRequest,
    response: HttpServerResponse.HttpServerResponse,
    value: string,
    maxAge: number | undefined
  ): HttpServerResponse.HttpServerResponse {
    const set = HttpServerResponse.setCookieUnsafe(response, this.nameFor(request), value, {
      httpOnly: true,
      path: "/",
      sameSite: this.options.sameSite,
      secure: this.isSecure(request),
      ...(maxAge === undefined ? {} : { maxAge: `${maxAge} seconds` })
    })
    return HttpServerResponse.setHeader(set, "cache-control", notStored(response.headers["cache-control"]))
  }

  /** Browsers accept a cookie with the prefix `__Host-` only from this very host, over TLS. */
  private nameFor(request: HttpServerRequest): string {
    return this.isSecure(request) ? this.secureName : this.options.name
  }

  /** Without TLS, the cookie is sent on the developer's own machine only. */
  private isSecure(request: HttpServerRequest): boolean {
    const { secure } = this.options
    return secure === "auto" ? request.protocol === "https" || !this.isLocal(request.headers["host"]) : secure
  }

  private isLocal(host: string | undefined): boolean {
    if (host !== this.lastHost) {
      this.lastHost = host
      this.lastIsLocal = isLocalHost(host)
    }
    return this.lastIsLocal
  }
}

const pattern = /^(([\w-]{32})\.([\w-]{32})\.([0-9a-z]{0,8}))\.([\w-]{43})$/

/** The `Cache-Control` of an answer with a cookie: `no-store`, and the directives of the answer that are compatible. */
const notStored = (said: string | undefined): string => {
  const others = (said ?? "").split(",").map((directive) => directive.trim().toLowerCase())
  return ["no-store", ...others.filter((directive) => compatible.has(directive))].join(", ")
}

const compatible: ReadonlySet<string> = new Set(["no-transform", "no-cache", "private"])

/** Tells shared caches that the answer depends on the cookie. */
export const varyByCookie = (
  response: HttpServerResponse.HttpServerResponse
): HttpServerResponse.HttpServerResponse => {
  const { vary } = response.headers
  if (vary === undefined || vary === "") return HttpServerResponse.setHeader(response, "vary", "Cookie")
  return /(^|,)\s*(cookie|\*)\s*(,|$)/i.test(vary)
    ? response
    : HttpServerResponse.setHeader(response, "vary", `${vary}, Cookie`)
}
