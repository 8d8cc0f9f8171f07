/**
 * The cookie that names a session: `ticket.id.expires.signature`.
 *
 * The id is the session's address; the ticket, 192 random bits too, is what the session knows its visitor by, and
 * is replaced at login. The cookie says itself when it expires, and the signature covers all of that and the name.
 */
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { isLocalHost } from "../ClientAddress.ts"
import type { CookieKeys } from "../CookieKeys.ts"

/** What a good cookie says. */
export interface Credential {
  readonly ticket: string
  readonly id: string
  /** Milliseconds since 1970; `Infinity`: it lasts as long as the browser runs. */
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

  /** What the request's cookie says, if it is one of ours and has not expired. */
  read(request: HttpServerRequest, now: number): Credential | undefined {
    const header = request.headers["cookie"]
    if (header === undefined) return undefined
    const name = this.nameFor(request)
    const known = this.recent.get(header)
    const credential = known?.name === name ? known : this.verify(header, name, request)
    return credential !== undefined && now < credential.expires ? credential : undefined
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

  /** Gives the cookie with the answer to the running request. */
  give(request: HttpServerRequest, { expires, id, ticket }: Credential, now: number): Effect.Effect<void> {
    const signed = `${ticket}.${id}.${expires === Infinity ? "" : Math.ceil(expires / 1_000).toString(36)}`
    const value = `${signed}.${this.keys.sign(this.toSign(signed))}`
    return this.set(request, value, expires === Infinity ? undefined : Math.max(0, Math.ceil((expires - now) / 1_000)))
  }

  /** Takes the cookie back with the answer to the running request. */
  takeBack(request: HttpServerRequest): Effect.Effect<void> {
    return this.set(request, "", 0)
  }

  private set(request: HttpServerRequest, value: string, maxAge: number | undefined): Effect.Effect<void> {
    const name = this.nameFor(request)
    const { sameSite } = this.options
    return beforeResponse((response) =>
      HttpServerResponse.setCookieUnsafe(response, name, value, {
        httpOnly: true,
        path: "/",
        sameSite,
        secure: this.isSecure(request),
        ...(maxAge === undefined ? {} : { maxAge: `${maxAge} seconds` })
      })
    )
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

const beforeResponse = (
  change: (response: HttpServerResponse.HttpServerResponse) => HttpServerResponse.HttpServerResponse
): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    HttpEffect.appendPreResponseHandlerUnsafe(fiber.context, (_, response) => Effect.succeed(change(response)))
    return Effect.void
  })
