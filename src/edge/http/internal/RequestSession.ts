/**
 * The session of one request, from its cookie to the cookie of its answer.
 *
 * A request may take long, while other requests of its browser are handled. So nothing that was read at its beginning is relied
 * on later: the ticket is replaced by a compare-and-set, and whether the answer sets a cookie is decided when the answer is
 * made.
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type * as Session from "../../../contract/Session.ts"
import { isLoadError, type ReachError, type SessionNotFound } from "../../../contract/SessionError.ts"
import * as SessionId from "../../../contract/SessionId.ts"
import type { ReachedInfo, SessionInfo, SessionRef } from "../../../contract/SessionRef.ts"
import { withRetryAfter } from "../../internal/answers.ts"
import * as Noted from "../../internal/device.ts"
import { disconnectStalled } from "../../internal/disconnectStalled.ts"
import { HeldCookie } from "../../internal/HeldCookie.ts"
import * as ClientAddress from "../ClientAddress.ts"
import type { Connection, Connections, TooManyConnections } from "../Connections.ts"
import type { HttpSession } from "../HttpSession.ts"
import { CookieReplaced, NoSession, SessionUnavailable } from "../HttpSessionError.ts"
import { fingerprint } from "./fingerprint.ts"
import type { RecentTickets } from "./RecentTickets.ts"
import { type Credential, type SessionCookie, varyByCookie } from "./SessionCookie.ts"

/**
 * How long after a rotation a request with the old cookie gets `CookieReplaced`: it was probably sent before the browser had
 * the new one. After that, the old cookie is like none. Milliseconds.
 */
const rotationGrace = 10_000

/** The longest time that browsers store a cookie, in milliseconds. */
const longestCookie = 400 * 24 * 60 * 60 * 1_000

/** How long after the end of a session its streams are ended, if they do not end by themselves. */
const endGrace = "1 second"

export interface Services {
  readonly clock: Clock.Clock
  readonly connections: Connections["Service"]
  readonly kind: Session.SessionKind<any, any, any, any>
  readonly cookie: SessionCookie
  /** The tickets of sessions that requests have ended. */
  readonly ended: RecentTickets
}

type Ref = SessionRef<any, any>

type Unreached = CookieReplaced | SessionUnavailable

/** Errors that do not concern the address of the session. */
type Known<E> = Exclude<E, ReachError>

export class RequestSession implements HttpSession<any, any, any, any> {
  private readonly services: Services
  private readonly request: HttpServerRequest
  private readonly receivedAt: Noted.Moment
  readonly address: string | undefined
  readonly agent: string | undefined
  /** The content of the request's cookie. */
  private credential: Credential | undefined = undefined
  /** The session that was found or started earlier in this request, and the ticket of its cookie. */
  private current: Ref | undefined = undefined
  private ticket: string | undefined = undefined
  private starting: Semaphore.Semaphore | undefined = undefined
  /** What the answer does with the browser's cookie, if that is still right by then. */
  private intent: "keep" | "give" | "delete" = "keep"
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
  // the session of the cookie
  // -------------------------------------------------------------------------------------------------------

  get find(): Effect.Effect<Option.Option<Ref>, Unreached> {
    return Effect.withFiber((fiber) => {
      if (this.current !== undefined) return Effect.succeedSome(this.current)
      if (!this.answers) {
        this.answers = true
        HttpEffect.appendPreResponseHandlerUnsafe(fiber.context, (_, response) => this.answer(response))
      }
      const { cookie, kind } = this.services
      const credential = this.credential = cookie.read(this.request)
      if (credential === undefined) return Effect.succeedNone
      // `reach` asks the store: the session may have been taken over, and its cookie replaced, by another process.
      return Effect.matchEffect(kind.reach(credential.id), {
        onFailure: () => this.unavailable,
        onSuccess: (found) =>
          found._tag === "None"
            ? Effect.succeedNone
            : this.recognize(found.value.session, found.value.info, credential)
      })
    })
  }

  /** A session that has ended meanwhile is none; a session that cannot be loaded now may exist. */
  private gone(error: ReachError): Effect.Effect<Option.Option<never>, SessionUnavailable> {
    return isLoadError(error) ? this.unavailable : Effect.succeedNone
  }

  /** The id is no secret: the session must have the ticket of the cookie. */
  private recognize(
    ref: Ref,
    info: ReachedInfo,
    credential: Credential
  ): Effect.Effect<Option.Option<Ref>, Unreached> {
    const known = Noted.ticketOf(info)
    if (known !== credential.ticket) {
      // We have signed this ticket for this session, so it was replaced: by the latest rotation or before.
      return known !== undefined && Noted.isRotatedSince(info, this.receivedAt, rotationGrace)
        ? this.replaced
        : Effect.succeedNone
    }
    this.current = ref
    this.ticket = credential.ticket
    const { address, agent } = this
    const now = this.services.clock.currentTimeMillisUnsafe()
    // A cookie's lifetime is a matter of dates: browsers delete it by their own clock.
    const expires = cookieEnd(info, now)
    if (expires - credential.expires > (expires - now) / 2) this.intent = "give"
    if (Noted.isSameDevice(Noted.deviceOf(info), this)) return Effect.succeedSome(ref)
    // Not worth a write to the store at once.
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

  /** Does something with the session if it has the ticket of this request. */
  private ifMine<A, E>(
    ref: Ref,
    then: (info: SessionInfo) => Effect.Effect<A, E>
  ): Effect.Effect<A, Known<E> | CookieReplaced | NoSession | SessionUnavailable> {
    return this.known(Effect.flatMap(
      ref.info,
      (info): Effect.Effect<A, E | CookieReplaced> => Noted.ticketOf(info) === this.ticket ? then(info) : this.replaced
    )) as Effect.Effect<A, Known<E> | CookieReplaced | NoSession | SessionUnavailable>
  }

  /** Turns the errors of the session's address into those of a request. */
  private known<A, E, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, Known<E> | NoSession | SessionUnavailable, R> {
    return Effect.catch(effect, (error): Effect.Effect<never, Known<E> | NoSession | SessionUnavailable> => {
      if (isLoadError(error)) return this.unavailable
      return isNotFound(error) ? noSession : Effect.fail(error as Known<E>)
    })
  }

  // -------------------------------------------------------------------------------------------------------
  // start, rotation, end
  // -------------------------------------------------------------------------------------------------------

  start(options?: Session.StartOptions): Effect.Effect<Ref, any> {
    return Effect.flatMap(this.find, Option.match({ onNone: () => this.startOnce(options), onSome: Effect.succeed }))
  }

  /** Concurrent starts of one request give one session. */
  private startOnce(options: Session.StartOptions | undefined): Effect.Effect<Ref, any> {
    this.starting ??= Semaphore.makeUnsafe(1)
    return this.starting.withPermits(1)(
      Effect.suspend(() => this.current === undefined ? this.startNew(options) : Effect.succeed(this.current))
    )
  }

  private startNew(options: Session.StartOptions | undefined): Effect.Effect<Ref, any> {
    return Effect.gen({ self: this }, function*() {
      const { address, agent, credential, services: { ended } } = this
      // The answer to the request that ended its session deletes the cookie in the browser, and might delete a new one.
      if (credential !== undefined && this.intent !== "delete" && ended.has(credential.ticket)) {
        return yield* this.replaced
      }
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
    options?: { readonly user?: string | undefined; readonly disconnect?: "others" | "all" | undefined }
  ): Effect.Effect<Ref, NoSession | Unreached> {
    return Effect.flatMap(this.get, (ref) =>
      this.ifMine(ref, (info) =>
        // When the old cookie is invalid, the answer must have the new one, even if the request is aborted.
        Effect.uninterruptible(this.replaceTicket(ref, info, options))))
  }

  private replaceTicket(
    ref: Ref,
    { user: before }: SessionInfo,
    options: { readonly user?: string | undefined; readonly disconnect?: "others" | "all" | undefined } = {}
  ): Effect.Effect<Ref, ReachError | CookieReplaced> {
    return Effect.gen({ self: this }, function*() {
      const ticket = yield* SessionId.make
      const { address, agent, services: { clock } } = this
      // A connection that was opened for another user, or before there was one, is not for this user, whoever opened it.
      const all = options.disconnect === "all" || ("user" in options && options.user !== before)
      const rotation = {
        ...Noted.moment(clock),
        from: this.ticket!,
        keeps: all ? undefined : { address, agent }
      }
      // The open connections of the session, wherever they are, learn of it by their watches.
      const setting = ref.compareAndSet(Noted.noteTicket(this.ticket!), {
        metadata: { ...Noted.noteTicket(ticket), ...Noted.noteRotation(rotation) },
        ...("user" in options && { user: options.user })
      })
      const changed = yield* Effect.catchTag(setting, "InvalidMetadata", Effect.die)
      if (!changed) return yield* this.replaced
      this.ticket = ticket
      this.intent = "give"
      return ref
    })
  }

  get end(): Effect.Effect<boolean, Unreached> {
    return Effect.flatMap(this.find, (found) => {
      if (Option.isNone(found)) {
        this.intent = "delete"
        return Effect.succeed(false)
      }
      this.services.ended.add(this.ticket!)
      const ended = this.ifMine(found.value, () => found.value.end())
      return Effect.tap(Effect.catchTag(ended, "NoSession", () => Effect.succeed(false)), () =>
        Effect.sync(() => {
          this.current = undefined
          this.intent = "delete"
        }))
    })
  }

  // -------------------------------------------------------------------------------------------------------
  // connections
  // -------------------------------------------------------------------------------------------------------

  connect(
    disconnect: () => void
  ): Effect.Effect<Ref, NoSession | Unreached | TooManyConnections, Scope.Scope> {
    return this.known(Effect.gen({ self: this }, function*() {
      const ref = yield* this.get
      const { address, agent, services: { connections } } = this
      const connection: Connection = { session: ref, owner: ownerOf(yield* ref.info), address, agent, disconnect }
      const cookie = new HeldCookie(this.ticket!, this)
      yield* connections.add(connection)
      yield* ref.attach
      // It is counted for whoever the session belongs to.
      yield* ref.watch({
        identified: (identity) => {
          if (cookie.follow(identity)) connections.assign(connection, identity.user ?? ref.id)
          else disconnect()
        },
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
        const disconnected = yield* Deferred.make<void>()
        const ref = yield* this.connect(() => Deferred.doneUnsafe(disconnected, Effect.void))
        const ended = Effect.andThen(Effect.ignore(ref.awaitEnd), Effect.sleep(endGrace))
        return Stream.interruptWhen(stream, Effect.race(Deferred.await(disconnected), ended)).pipe(disconnectStalled())
      })
      // The headers are sent by now: one connection too many, a rotation or the end of the session just end the stream.
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
      return Effect.succeed(withRetryAfter(varied, refused.retryAfter))
    }
    // If the cookie of the request was just replaced, the browser has, or soon gets, a new one, which must not be overwritten.
    if (intent === "keep" || refused instanceof CookieReplaced) return Effect.succeed(varied)
    if (intent === "delete") return Effect.succeed(cookie.delete(request, varied))
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

/** The owner of the session's connections, whose connections are counted together. */
const ownerOf = ({ id, user }: SessionInfo): string => user ?? id

/**
 * When the browser deletes the cookie, in milliseconds since 1970: at the absolute end of the session, or as late as possible,
 * because activity that is not a request prolongs the session. The cookie of a session that does not expire is deleted when
 * the browser is closed.
 */
const cookieEnd = ({ endsAt, expiresAt }: ReachedInfo, now: number): number =>
  expiresAt === undefined ? Infinity : Math.min(endsAt ?? Infinity, now + longestCookie)

const isNotFound = (error: unknown): error is SessionNotFound =>
  (error as { readonly _tag?: unknown } | null)?._tag === "SessionNotFound"

const noSession = Effect.suspend(() => Effect.fail(NoSession.of()))
