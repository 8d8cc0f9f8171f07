/**
 * The session of one request, from its cookie to the cookie of its answer.
 *
 * A request may take long, and others of its browser come and go meanwhile. So nothing that it was told at its beginning
 * is taken for granted later: what replaces the ticket does so only if it is still the one of this request, in one step,
 * and whether the answer has a cookie is decided when the answer is made.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type * as Session from "../../../contract/Session.ts"
import { isLoadError, type ReachError, type SessionNotFound } from "../../../contract/SessionError.ts"
import * as SessionId from "../../../contract/SessionId.ts"
import type { SessionInfo, SessionRef } from "../../../contract/SessionRef.ts"
import * as ClientAddress from "../ClientAddress.ts"
import type { Connection, Connections, TooManyConnections } from "../Connections.ts"
import type { HttpSession } from "../HttpSession.ts"
import * as Noted from "./device.ts"
import { fingerprint } from "./fingerprint.ts"
import { CookieReplaced, NoSession, SessionUnavailable } from "../HttpSessionError.ts"
import { type Credential, type SessionCookie, varyByCookie } from "./SessionCookie.ts"

/**
 * How long requests that were sent with the old cookie when it was replaced are told so, and do not get another one, which
 * would take the place of the new cookie in the browser. Milliseconds.
 */
const rotationGrace = 10_000

/** How long browsers keep a cookie at most, in milliseconds. */
const longestCookie = 400 * 24 * 60 * 60 * 1_000

/** How soon after the end of a session its connections are cut, if they do not end by themselves. */
const lastWords = "1 second"

export interface Services {
  readonly clock: Clock.Clock
  readonly connections: Connections["Service"]
  readonly kind: Session.SessionKind<any, any, any, any>
  readonly cookie: SessionCookie
}

type Ref = SessionRef<any, any>

type Unreached = CookieReplaced | SessionUnavailable

/** What is not about the session's address. */
type Known<E> = Exclude<E, ReachError>

export class RequestSession implements HttpSession<any, any, any, any> {
  private readonly services: Services
  private readonly request: HttpServerRequest
  private readonly receivedAt: Noted.Moment
  private readonly address: string | undefined
  private readonly agent: string | undefined
  /** Found, or started, earlier in this request, and the ticket of its cookie. */
  private current: Ref | undefined = undefined
  private ticket: string | undefined = undefined
  private starting: Semaphore.Semaphore | undefined = undefined
  /** What the answer does with the browser's cookie, if that is right by then. */
  private intent: "keep" | "give" | "takeBack" = "keep"
  private refused: Unreached | undefined = undefined
  private answers = false

  constructor(services: Services, request: HttpServerRequest) {
    this.services = services
    this.request = request
    this.receivedAt = Noted.moment(services.clock)
    this.address = ClientAddress.of(request)
    this.agent = request.headers["user-agent"]?.slice(0, 200)
  }

  // -------------------------------------------------------------------------------------------------------
  // the session that there is
  // -------------------------------------------------------------------------------------------------------

  get find(): Effect.Effect<Option.Option<Ref>, Unreached> {
    return Effect.withFiber((fiber) => {
      if (this.current !== undefined) return Effect.succeedSome(this.current)
      if (!this.answers) {
        this.answers = true
        HttpEffect.appendPreResponseHandlerUnsafe(fiber.context, (_, response) => this.answer(response))
      }
      const { cookie, kind } = this.services
      const credential = cookie.read(this.request)
      if (credential === undefined) return Effect.succeedNone
      // A copy that another process has taken over since does not know who was put out there.
      return Effect.matchEffect(kind.reach(credential.id), {
        onFailure: () => this.unavailable,
        onSuccess: (found) => found._tag === "None" ? Effect.succeedNone : this.look(found.value, credential)
      })
    })
  }

  private look(ref: Ref, credential: Credential): Effect.Effect<Option.Option<Ref>, Unreached> {
    return Effect.matchEffect(ref.info, {
      onFailure: (error) => this.gone(error),
      onSuccess: (info) => this.recognise(ref, info, credential)
    })
  }

  /** A session that ends between two steps is one that there is not; one that cannot be loaded now may be there. */
  private gone(error: ReachError): Effect.Effect<Option.Option<never>, SessionUnavailable> {
    return isLoadError(error) ? this.unavailable : Effect.succeedNone
  }

  /** The id alone does not make it the visitor's session: it must know him by this ticket. */
  private recognise(
    ref: Ref,
    info: SessionInfo,
    credential: Credential
  ): Effect.Effect<Option.Option<Ref>, Unreached> {
    const known = Noted.ticketOf(info)
    if (known !== credential.ticket) {
      // A ticket that we signed for this session and that is not its own was replaced: by the last rotation or before.
      return known !== undefined && Noted.isRotatedSince(info, this.receivedAt, rotationGrace)
        ? this.replaced
        : Effect.succeedNone
    }
    this.current = ref
    this.ticket = credential.ticket
    const { address, agent } = this
    const device = Noted.deviceOf(info)
    const now = this.services.clock.currentTimeMillisUnsafe()
    const expires = cookieEnd(info, now)
    if (expires - credential.expires > (expires - now) / 2) this.intent = "give"
    if (device?.address === address && device?.agent === agent) return Effect.succeedSome(ref)
    // It is good to know, and no reason to write at once.
    const noted = Effect.catchTag(
      ref.setMetadata(Noted.noteDevice({ address, agent }), { durable: false }),
      "InvalidMetadata",
      Effect.die
    )
    return Effect.matchEffect(noted, {
      onFailure: (error) => {
        this.current = undefined
        return this.gone(error)
      },
      onSuccess: () => Effect.succeedSome(ref)
    })
  }

  get get(): Effect.Effect<Ref, NoSession | Unreached> {
    return Effect.flatMap(this.find, Option.match({ onNone: () => noSession, onSome: Effect.succeed }))
  }

  private get unavailable(): Effect.Effect<never, SessionUnavailable> {
    return Effect.suspend(() => this.refuse(SessionUnavailable.of()))
  }

  private get replaced(): Effect.Effect<never, CookieReplaced> {
    return Effect.suspend(() => this.refuse(CookieReplaced.of()))
  }

  private refuse<E extends Unreached>(error: E): Effect.Effect<never, E> {
    this.refused = error
    return Effect.fail(error)
  }

  /** Does something with the session as long as it has the ticket of this request. */
  private ifMine<A, E>(
    ref: Ref,
    then: (info: SessionInfo) => Effect.Effect<A, E>
  ): Effect.Effect<A, Known<E> | CookieReplaced | NoSession | SessionUnavailable> {
    return this.known(Effect.flatMap(
      ref.info,
      (info): Effect.Effect<A, E | CookieReplaced> => Noted.ticketOf(info) === this.ticket ? then(info) : this.replaced
    )) as Effect.Effect<A, Known<E> | CookieReplaced | NoSession | SessionUnavailable>
  }

  /** Tells what a session's address fails with as what a request is told. */
  private known<A, E, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, Known<E> | NoSession | SessionUnavailable, R> {
    return Effect.catch(effect, (error): Effect.Effect<never, Known<E> | NoSession | SessionUnavailable> => {
      if (isLoadError(error)) return this.unavailable
      return isNotFound(error) ? noSession : Effect.fail(error as Known<E>)
    })
  }

  // -------------------------------------------------------------------------------------------------------
  // its beginning and its end
  // -------------------------------------------------------------------------------------------------------

  start(options?: Session.StartOptions): Effect.Effect<Ref, any> {
    return Effect.flatMap(this.find, Option.match({ onNone: () => this.startOnce(options), onSome: Effect.succeed }))
  }

  /** Two at a time are one after the other, so that they are one session. */
  private startOnce(options: Session.StartOptions | undefined): Effect.Effect<Ref, any> {
    this.starting ??= Semaphore.makeUnsafe(1)
    return this.starting.withPermits(1)(
      Effect.suspend(() => this.current === undefined ? this.startNew(options) : Effect.succeed(this.current))
    )
  }

  private startNew(options: Session.StartOptions | undefined): Effect.Effect<Ref, any> {
    return Effect.gen({ self: this }, function*() {
      const { address, agent } = this
      const id = yield* SessionId.make
      const ticket = yield* SessionId.make
      const ref: Ref = yield* this.services.kind.start(id, {
        ...options,
        address: options?.address ?? address,
        metadata: {
          ...options?.metadata,
          ...Noted.noteTicket(ticket),
          ...Noted.noteDevice({ address, agent })
        }
      })
      this.current = ref
      this.ticket = ticket
      this.intent = "give"
      return ref
    }).pipe(Effect.catchIf(isLoadError, () => this.unavailable))
  }

  rotate(
    options?: { readonly user?: string | undefined; readonly cut?: "others" | "all" | undefined }
  ): Effect.Effect<Ref, NoSession | Unreached> {
    return Effect.flatMap(this.get, (ref) =>
      this.ifMine(ref, (info) =>
        // Once the old cookie is worth nothing, what it has opened is cut, whether anybody waits for the answer or not.
        Effect.uninterruptible(this.replaceTicket(ref, info, options))))
  }

  private replaceTicket(
    ref: Ref,
    { user: before }: SessionInfo,
    options: { readonly user?: string | undefined; readonly cut?: "others" | "all" | undefined } = {}
  ): Effect.Effect<Ref, ReachError | CookieReplaced> {
    return Effect.gen({ self: this }, function*() {
      const ticket = yield* SessionId.make
      const { address, agent, services: { clock, connections } } = this
      const setting = ref.compareAndSet(Noted.noteTicket(this.ticket!), {
        metadata: { ...Noted.noteTicket(ticket), ...Noted.noteRotation(Noted.moment(clock)) },
        ...("user" in options && { user: options.user })
      })
      const changed = yield* Effect.catchTag(setting, "InvalidMetadata", Effect.die)
      if (!changed) return yield* this.replaced
      this.ticket = ticket
      this.intent = "give"
      // What was opened for another user, or for nobody in particular, is not for this one: whoever opened it.
      const all = options.cut === "all" || ("user" in options && options.user !== before)
      yield* connections.cut(
        ref,
        (connection) => all || connection.address !== address || connection.agent !== agent
      )
      return ref
    })
  }

  get end(): Effect.Effect<boolean, Unreached> {
    return Effect.flatMap(this.find, (found) => {
      if (Option.isNone(found)) {
        this.intent = "takeBack"
        return Effect.succeed(false)
      }
      const ended = this.ifMine(found.value, () => found.value.end())
      return Effect.tap(Effect.catchTag(ended, "NoSession", () => Effect.succeed(false)), () =>
        Effect.sync(() => {
          this.current = undefined
          this.intent = "takeBack"
        }))
    })
  }

  // -------------------------------------------------------------------------------------------------------
  // what lasts longer than the request
  // -------------------------------------------------------------------------------------------------------

  connect(
    cut: () => void
  ): Effect.Effect<Ref, NoSession | Unreached | TooManyConnections, Scope.Scope> {
    return this.known(Effect.gen({ self: this }, function*() {
      const ref = yield* this.get
      const { address, agent, services: { connections } } = this
      const connection: Connection = { session: ref, owner: ownerOf(yield* ref.info), address, agent, cut }
      yield* connections.add(connection)
      yield* ref.attach
      // Whoever it belongs to from then on, it counts for.
      yield* ref.watch({
        identified: ({ user }) => connections.assign(connection, user ?? ref.id),
        ended: () => {}
      })
      // The cookie may have been replaced in between.
      return yield* this.ifMine(ref, (info) => {
        connections.assign(connection, ownerOf(info))
        return Effect.succeed(ref)
      })
    }))
  }

  hold<A, E, R>(
    stream: Stream.Stream<A, E, R>
  ): Effect.Effect<Stream.Stream<A, E, R>, NoSession | Unreached | TooManyConnections> {
    return this.known(Effect.gen({ self: this }, function*() {
      yield* this.services.connections.check(ownerOf(yield* (yield* this.get).info))
      const held = Effect.gen({ self: this }, function*() {
        const cut = yield* Deferred.make<void>()
        const ref = yield* this.connect(() => Deferred.doneUnsafe(cut, Effect.void))
        const ended = Effect.andThen(Effect.ignore(ref.awaitEnd), Effect.sleep(lastWords))
        return Stream.interruptWhen(stream, Effect.race(Deferred.await(cut), ended))
      })
      // What happened since, another connection, a rotation, the end, is told by the end of the stream.
      return Stream.unwrap(Effect.catch(held, () => Effect.succeed(Stream.empty)))
    }))
  }

  get binding(): Effect.Effect<string, NoSession | Unreached> {
    return Effect.flatMap(
      this.get,
      (ref) => this.ifMine(ref, () => Effect.map(fingerprint(this.ticket!), (print) => `${ref.id}.${print}`))
    )
  }

  // -------------------------------------------------------------------------------------------------------
  // the answer
  // -------------------------------------------------------------------------------------------------------

  private answer(
    response: HttpServerResponse.HttpServerResponse
  ): Effect.Effect<HttpServerResponse.HttpServerResponse> {
    const varied = varyByCookie(response)
    const { current, intent, refused, request, services: { clock, cookie } } = this
    if (refused !== undefined && response.status === refused.httpStatus) {
      return Effect.succeed(saysWhen(varied, refused.retryAfter))
    }
    // Whoever comes with a cookie that was just replaced has a new one on its way, which must stay.
    if (intent === "keep" || refused instanceof CookieReplaced) return Effect.succeed(varied)
    if (intent === "takeBack") return Effect.succeed(cookie.takeBack(request, varied))
    return Effect.match(current!.info, {
      onFailure: () => varied,
      onSuccess: (info) => {
        if (Noted.ticketOf(info) !== this.ticket) return varied
        const now = clock.currentTimeMillisUnsafe()
        return cookie.give(
          request,
          varied,
          { id: current!.id, ticket: this.ticket!, expires: cookieEnd(info, now) },
          now
        )
      }
    })
  }
}

/** Whose connections are counted together. */
const ownerOf = ({ id, user }: SessionInfo): string => user ?? id

/**
 * When the browser drops the cookie, in milliseconds since 1970: when the session ends whatever happens, or as late as
 * can be, since how long it lives depends on what else it hears of its user. The cookie of one that does not expire is the
 * browser's, which closes it.
 */
const cookieEnd = ({ endsAt, expiresAt }: SessionInfo, now: number): number =>
  expiresAt === undefined ? Infinity : Math.min(endsAt ?? Infinity, now + longestCookie)

const saysWhen = (
  response: HttpServerResponse.HttpServerResponse,
  millis: number
): HttpServerResponse.HttpServerResponse =>
  response.headers["retry-after"] === undefined
    ? HttpServerResponse.setHeader(response, "retry-after", String(Math.ceil(millis / 1_000)))
    : response

const isNotFound = (error: unknown): error is SessionNotFound =>
  (error as { readonly _tag?: unknown } | null)?._tag === "SessionNotFound"

const noSession = Effect.suspend(() => Effect.fail(NoSession.of()))
