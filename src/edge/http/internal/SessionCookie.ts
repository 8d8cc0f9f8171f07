/**
 * The cookie that names a session: `ticket.id.expires.signature`.
 *
 * The id is the session's address; the ticket, 192 random bits too, is what the session knows its visitor by, and
 * is replaced at login. The signature covers all of that and the name. The time is when the browser drops it; how long
 * the session lives is for the session to say, which may have been active where no cookie was sent.
 */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { isLocalHost } from "../ClientAddress.ts"
import type { CookieKeys } from "../CookieKeys.ts"

/** What a good cookie says. */
export interface Credential {
  readonly ticket: string
  readonly id: string
  /** When the browser drops it, in milliseconds since 1970; `Infinity`: when it is closed. */
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

/** How many headers are remembered, in each of two generations, and how long they may be. */
const remembered = 10_000
const rememberedLength = 1_024

export class SessionCookie {
  private readonly options: CookieOptions
  private readonly keys: CookieKeys["Service"]
  // The headers that came lately with a good cookie, so that it is looked for, and its signature checked, once.
  private recent = new Map<string, Known>()
  private earlier = new Map<string, Known>()

  private readonly secureName: string
  // Most requests are for the same host as the one before.
  private lastHost: string | undefined = undefined
  private lastIsLocal = isLocalHost(undefined)

  constructor(options: CookieOptions, keys: CookieKeys["Service"]) {
    this.options = options
    this.secureName = `__Host-${options.name}`
    this.keys = keys
  }

  /** What the request's cookie says, if it is one of ours. */
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

  /** A cookie for another name, under the same keys, is not one for this. */
  private toSign(text: string): string {
    return `${this.options.name}=${text}`
  }

  /** Gives the cookie with the answer to a request. */
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

  /** Takes the cookie back with the answer to a request. */
  takeBack(
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

  /** `__Host-`: browsers take it from this host only, over TLS only. */
  private nameFor(request: HttpServerRequest): string {
    return this.isSecure(request) ? this.secureName : this.options.name
  }

  /** Only on the developer's own machine does the cookie travel without TLS. */
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

/** What a response with a cookie says of caches: nobody keeps it. What does not contradict that stays. */
const notStored = (said: string | undefined): string => {
  const others = (said ?? "").split(",").map((directive) => directive.trim().toLowerCase())
  return ["no-store", ...others.filter((directive) => compatible.has(directive))].join(", ")
}

const compatible: ReadonlySet<string> = new Set(["no-transform", "no-cache", "private"])

/** The answer depends on the cookie: a cache that is shared must know. */
export const varyByCookie = (
  response: HttpServerResponse.HttpServerResponse
): HttpServerResponse.HttpServerResponse => {
  const { vary } = response.headers
  if (vary === undefined || vary === "") return HttpServerResponse.setHeader(response, "vary", "Cookie")
  return /(^|,)\s*(cookie|\*)\s*(,|$)/i.test(vary)
    ? response
    : HttpServerResponse.setHeader(response, "vary", `${vary}, Cookie`)
}
