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

/** How many verified cookies are remembered, in each of two generations. */
const remembered = 10_000

export class SessionCookie {
  private readonly options: CookieOptions
  private readonly keys: CookieKeys["Service"]
  // Those that were seen lately, so that a signature is checked once and not with each request.
  private recent = new Map<string, Credential>()
  private earlier = new Map<string, Credential>()

  constructor(options: CookieOptions, keys: CookieKeys["Service"]) {
    this.options = options
    this.keys = keys
  }

  /** What the request's cookie says, if it is one of ours and has not expired. */
  read(request: HttpServerRequest, now: number): Credential | undefined {
    const cookie = request.cookies[this.nameFor(request)]
    if (cookie === undefined) return undefined
    const credential = this.recent.get(cookie) ?? this.verify(cookie)
    return credential !== undefined && now < credential.expires ? credential : undefined
  }

  private verify(cookie: string): Credential | undefined {
    // A part of the header, as which V8 makes it, would keep all of the header in memory.
    const own = Buffer.from(cookie).toString()
    const credential = this.earlier.get(own) ?? this.parse(own)
    if (credential === undefined) return undefined
    if (this.recent.size >= remembered) {
      this.earlier = this.recent
      this.recent = new Map()
    }
    this.recent.set(own, credential)
    return credential
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
    return this.isSecure(request) ? `__Host-${this.options.name}` : this.options.name
  }

  /** Only on the developer's own machine does the cookie travel without TLS. */
  private isSecure(request: HttpServerRequest): boolean {
    const { secure } = this.options
    return secure === "auto" ? request.protocol === "https" || !isLocalHost(request.headers.host) : secure
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
