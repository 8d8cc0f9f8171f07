/**
 * A connection over which a client sees views and does actions. It speaks the JSON messages of Effect RPC, so that any
 * `RpcClient` is a client. Views are sent by callbacks; no fiber waits for them.
 *
 * A view may have a window of chunks that the client has not acknowledged. Beyond that, or while the socket has a backlog,
 * changes are not sent one by one: the client gets the difference to the newest state when it is ready again. A slow client
 * costs one reference per view.
 *
 * Each message counts against the rate, except the acknowledgement of a chunk, which the server has asked for, and the
 * interruption of a request, which was counted itself.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Rpc from "effect/rpc/Rpc"
import type { FromClientEncoded, RequestEncoded } from "effect/rpc/RpcMessage"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as CloseCode from "../../../contract/CloseCode.ts"
import type { EndReason } from "../../../contract/EndReason.ts"
import * as Live from "../../../contract/Live.ts"
import { Busy, Forbidden, InvalidPayload, SessionGone, Unknown, ViewError } from "../../../contract/LiveError.ts"
import type { SessionRef } from "../../../contract/SessionRef.ts"
import { jsonCodec, toJson } from "../../../internal/jsonCodec.ts"
import { isDeeper, isTextDeeper, tooDeep } from "../../../internal/jsonDepth.ts"
import type { Renewal } from "../../auth/Admission.ts"
import { ofReach } from "../../internal/clientErrors.ts"
import type { Commands } from "../../internal/Commands.ts"
import { eachLine, isBlank } from "./lines.ts"
import { SocketConnection, type SocketRoute } from "./SocketConnection.ts"

/** What a connection gets from its route. */
export interface LiveRoute extends SocketRoute {
  /** Milliseconds since 1970. */
  readonly date: () => number
  readonly views: Live.Views<any, string>
  readonly commands: Commands
  /** How many chunks of a view may be unacknowledged. */
  readonly window: number
  /** How deep the JSON of a payload may be nested. */
  readonly maxDepth: number
  /** The largest frame of a client, in bytes. */
  readonly maxFrameSize: number
}

/** The client: its session, and what it may see and do. */
export interface Client {
  readonly session: SessionRef<any, any>
  /** How the connection continues with another token, if the client has one. */
  readonly renewal: Renewal | undefined
  readonly allows: (name: string) => Effect.Effect<boolean>
}

/** How many views one connection may mount. */
const maxViews = 100

/** How many messages in a row may exceed the rate before the connection is closed. */
const maxRefused = 1_000

/** The longest acknowledgement that does not count as a message, in characters. */
const maxAck = 128

export class LiveConnection extends SocketConnection {
  private readonly live: LiveRoute
  private readonly client: Client
  private readonly views = new Map<RequestEncoded["id"], View>()
  private readonly actions = new Map<RequestEncoded["id"], Fiber.Fiber<unknown, unknown>>()
  /** How many messages have exceeded the rate in a row. */
  private refused = 0
  /** How many chunks are unacknowledged, including chunks of views that have ended. */
  private unacknowledged = 0

  constructor(route: LiveRoute, client: Client, closed: () => void) {
    super(route, `${client.session.kind}/${client.session.id}`, closed)
    this.live = route
    this.client = client
  }

  protected opened(): void {}

  override drained(): void {
    for (const view of this.views.values()) this.flush(view)
  }

  protected gone(): void {
    for (const view of Array.from(this.views.values())) {
      view.mounted = undefined
      this.unmount(view)
    }
    const actions = Array.from(this.actions.values())
    this.actions.clear()
    for (const fiber of actions) fiber.interruptUnsafe()
  }

  /** The session has ended: all views end with the reason, and the connection closes. */
  ended(reason: EndReason): void {
    this.enter(() => {
      // The actions that wait for the session are answered first.
      for (const view of Array.from(this.views.values())) this.viewEnded(view, SessionGone.of(reason._tag))
      this.live.run(Effect.andThen(
        Effect.yieldNow,
        Effect.sync(() => this.enter(() => this.end(CloseCode.ofEnd(reason, false), reason._tag.toLowerCase())))
      ))
    })
  }

  // -------------------------------------------------------------------------------------------------------
  // in
  // -------------------------------------------------------------------------------------------------------

  protected received(text: string): void {
    eachLine(text, (line) => {
      if (isBlank(line)) {
        this.count()
        return this.isOpen
      }
      let messages: unknown
      try {
        messages = JSON.parse(line)
      } catch {
        this.close(CloseCode.policyViolation, "JSON is expected")
        return false
      }
      const all = Array.isArray(messages) ? messages : [messages]
      if (all.length === 0) this.count()
      const isDeep = isTextDeeper(line, this.live.maxDepth)
      const isShort = line.length <= maxAck * all.length
      for (let i = 0; i < all.length && this.isOpen; i++) this.handle(all[i], isDeep, isShort)
      return this.isOpen
    })
  }

  /** Counts a message, as `overdraws`. Closes the connection of a client that exceeds the rate again and again. */
  private count(): number {
    const wait = this.overdraws()
    if (wait === 0) this.refused = 0
    else if (++this.refused > maxRefused) this.close(CloseCode.policyViolation, "too many messages")
    return wait
  }

  private handle(message: FromClientEncoded | null, isDeep: boolean, isShort: boolean): void {
    switch (message?._tag) {
      case "Request":
        if (isRequest(message)) return this.request(message, isDeep && isDeeper(message.payload, this.live.maxDepth))
        break
      case "Ack": {
        if (this.unacknowledged > 0 && isShort) this.unacknowledged--
        else this.count()
        const view = this.views.get(message.requestId)
        // The view may have ended meanwhile.
        if (view === undefined) return
        view.unacknowledged = Math.max(0, view.unacknowledged - 1)
        return this.flush(view)
      }
      case "Interrupt":
        return this.interrupt(message.requestId)
      case "Ping":
        if (this.count() === 0) this.write(pong)
        return
      case "Eof":
        return this.close(CloseCode.normal, "bye")
    }
    this.close(CloseCode.policyViolation, "a message of Effect RPC is expected")
  }

  private request(request: RequestEncoded, isTooDeep: boolean): void {
    const { id, tag } = request
    if (this.views.has(id) || this.actions.has(id)) return this.close(CloseCode.policyViolation, "an id is used twice")
    const wait = this.count()
    if (!this.isOpen) return
    if (tag === Live.view._tag) return this.mount(id, isTooDeep ? undefined : request.payload)
    const fiber = this.live.run(
      Effect.tapDefect(
        tag === Live.hello._tag
          ? this.greet(request)
          : tag === Live.token._tag
          ? this.renew(request, wait)
          : this.answer(request, wait, isTooDeep),
        (defect) => Effect.logError(`a request of ${tag.slice(0, 80)} of ${this.name} could not be answered`, defect)
      )
    )
    this.actions.set(id, fiber)
    this.observe(fiber, (exit) => {
      if (!this.actions.delete(id)) return
      this.writeAnswer(request.isNotification === true ? "" : Exit.isSuccess(exit) ? exit.value : answerOf(id, defect))
    })
  }

  /**
   * Sends the changes that an action made, then its answer. A client that takes long messages in parts gets both in one frame:
   * it replaces its optimistic update in one step.
   */
  private writeAnswer(answer: string): void {
    if (answer === "" || this.out?.inParts !== true) {
      for (const view of this.views.values()) this.flush(view, true)
      if (answer !== "") this.write(answer)
      return
    }
    const views = Array.from(this.views.values()).filter((view) => view.mounted?.isBehind === true && !view.isWaiting)
    for (const view of views) view.isWaiting = true
    if (views.length === 0) return this.write(answer)
    const all = () => views.map((view) => view.news() ?? "").join("") + answer
    this.write(Object.assign(all, { held: answer.length }))
  }

  /** A view has changed. During an action, the change may be its effect, and waits a moment for the answer. */
  private changed(view: View): void {
    if (this.actions.size === 0) return this.flush(view)
    if (view.isDelayed) return
    view.isDelayed = true
    this.live.run(Effect.andThen(
      Effect.yieldNow,
      Effect.sync(() => {
        view.isDelayed = false
        this.enter(() => this.flush(view))
      })
    ))
  }

  private greet({ headers, id }: RequestEncoded): Effect.Effect<string> {
    if (headerOf(headers, Live.partsHeader) === "true") this.out!.inParts = true
    return Effect.map(Effect.exit(this.hello), (exit) => answerOf(id, encodeHello(exit)))
  }

  /** Continues with another token. Views that it does not allow end. */
  private renew({ id, payload }: RequestEncoded, wait: number): Effect.Effect<string> {
    const { renewal } = this.client
    const done: Effect.Effect<{ readonly expiresIn: number }, Forbidden | Busy> = wait > 0
      ? Effect.fail(Busy.of(wait))
      : renewal === undefined
      ? Effect.fail(Forbidden.of(Live.token._tag))
      : decodeToken(payload).pipe(
        Effect.flatMap(({ token }) => renewal.renew(token)),
        Effect.mapError((error) => {
          const { retryAfter } = error as { readonly retryAfter?: number }
          return retryAfter === undefined ? Forbidden.of(Live.token._tag) : Busy.of(retryAfter)
        }),
        Effect.map(() => {
          this.askAgain()
          return { expiresIn: renewal.expiresIn() }
        })
      )
    return Effect.map(Effect.exit(done), (exit) => answerOf(id, encodeToken(exit)))
  }

  /** The user, the metadata or the token has changed: ends the views that the client may no longer see. */
  askAgain(): void {
    this.enter(() => {
      for (const view of Array.from(this.views.values())) {
        const { name } = view
        if (name === undefined) continue
        const asked = Effect.tapDefect(
          this.client.allows(name),
          (defect) => Effect.logError(`the check whether ${this.name} may see ${name} has failed`, defect)
        )
        this.observe(this.live.run(asked), (exit) => {
          if (!Exit.isSuccess(exit) || !exit.value) this.viewEnded(view, Forbidden.of(name))
        })
      }
    })
  }

  /** Does an action. An answer that cannot be encoded is a defect of this action only. */
  private answer(request: RequestEncoded, wait: number, isTooDeep: boolean): Effect.Effect<string> {
    const { id, tag } = request
    const done = wait > 0
      ? Effect.fail(Busy.of(wait))
      : isTooDeep
      ? Effect.fail(new InvalidPayload({ name: tag, message: tooDeep(this.live.maxDepth) }))
      : Effect.tapDefect(
        Effect.suspend(() => this.act(request)),
        (defect) => Effect.logError(`${tag} of a client of ${this.name} has failed`, defect)
      )
    return Effect.map(Effect.exit(done), (exit) => answerOf(id, this.live.commands.encodeExit(tag, exit)))
  }

  private get hello(): Effect.Effect<typeof Live.hello.successSchema.Type, SessionGone | Busy> {
    return this.client.session.info.pipe(
      Effect.map(({ accepted, epoch, expiresAt, remembers }) => ({
        ...(this.client.renewal !== undefined && { tokenExpiresIn: this.client.renewal.expiresIn() }),
        epoch,
        window: remembers,
        accepted,
        maxFrameSize: this.live.maxFrameSize,
        expiresIn: expiresAt === undefined ? null : Math.max(0, expiresAt - this.live.date())
      })),
      Effect.mapError(ofReach)
    )
  }

  private act({ headers, payload, tag }: RequestEncoded): Effect.Effect<unknown, unknown> {
    return Effect.flatMap(this.allows(tag), () =>
      this.live.commands.run(this.client.session, {
        name: tag,
        payload,
        header: (name) => headerOf(headers, name)
      }))
  }

  private allows(name: string): Effect.Effect<void, Forbidden> {
    return Effect.flatMap(
      this.client.allows(name),
      (allowed) => allowed ? Effect.void : Effect.fail(Forbidden.of(name))
    )
  }

  private interrupt(id: RequestEncoded["id"]): void {
    const fiber = this.actions.get(id)
    const view = this.views.get(id)
    if (fiber !== undefined) {
      this.actions.delete(id)
      fiber.interruptUnsafe()
    } else if (view !== undefined) {
      view.mounted = undefined
      this.unmount(view)
    } else {
      this.count()
      return
    }
    this.write(answerOf(id, interrupted))
  }

  // -------------------------------------------------------------------------------------------------------
  // views
  // -------------------------------------------------------------------------------------------------------

  private mount(id: RequestEncoded["id"], payload: unknown): void {
    if (this.views.size >= maxViews) return this.close(CloseCode.policyViolation, "too many views")
    const scope = Scope.makeUnsafe()
    const head = `{"_tag":"Chunk","requestId":${JSON.stringify(id)},"values":[`
    const view: View = {
      id,
      name: undefined,
      scope,
      mounted: undefined,
      unacknowledged: 0,
      isWaiting: false,
      isDelayed: false,
      news: () => {
        view.isWaiting = false
        const event = view.mounted?.nextJson()
        if (event === undefined) return undefined
        view.unacknowledged++
        this.unacknowledged++
        return `${head}${event}]}\n`
      }
    }
    this.views.set(id, view)
    const { session } = this.client
    const mounting = decodeMount(payload).pipe(
      Effect.mapError(() => Unknown.of("view", viewName(payload))),
      Effect.flatMap(({ after, view: name }) => {
        view.name = name
        return Effect.andThen(
          this.allows(name),
          this.live.views.mount(session, name, {
            changed: () => this.changed(view),
            ended: (reason) => this.viewEnded(view, SessionGone.of(reason._tag)),
            failed: (error) => this.viewEnded(view, error)
          }, { after })
        )
      }),
      Effect.tapDefect((defect) => Effect.logError(`a view could not be mounted for ${this.name}`, defect)),
      Scope.provide(scope)
    )
    this.observe(this.live.run(mounting), (exit) => {
      if (this.views.get(id) !== view) return
      if (Exit.isSuccess(exit)) {
        view.mounted = exit.value
        return this.flush(view)
      }
      this.unmount(view)
      const { cause } = exit
      const isRefusal = cause.reasons.every((reason) => reason._tag === "Fail" && isViewError(reason.error))
      this.write(answerOf(id, isRefusal ? encodeViewExit(exit) : defect))
    })
  }

  private unmount(view: View): void {
    this.views.delete(view.id)
    this.live.run(Scope.close(view.scope, Exit.void))
  }

  /** Ends a view, after sending the changes that are not sent yet. */
  private viewEnded(view: View, why: ViewError): void {
    if (this.views.get(view.id) !== view) return
    this.flush(view, true)
    this.unmount(view)
    this.write(answerOf(view.id, encodeViewExit(Exit.fail(why))))
  }

  /** Sends the changes of a view if the client is ready for them; with `force`, queues them in any case. */
  private flush(view: View, force = false): void {
    const { mounted } = view
    if (mounted === undefined || view.isWaiting || !this.isOpen || !mounted.isBehind) return
    if (!force && (view.unacknowledged >= this.live.window || this.isFull)) return
    view.isWaiting = true
    this.write(view.news)
  }
}

/** The connection of a client without a session, which is closed with the reason. */
export class RefusedConnection extends SocketConnection {
  private readonly why: string

  constructor(route: SocketRoute, closed: () => void, why: string) {
    super(route, "nobody", closed)
    this.why = why
  }

  protected opened(): void {
    this.close(CloseCode.policyViolation, this.why)
  }

  protected received(): void {}

  protected gone(): void {}
}

/** A mounted view of the connection. */
interface View {
  readonly id: RequestEncoded["id"]
  /** Unknown until the request is decoded. */
  name: string | undefined
  readonly scope: Scope.Closeable
  mounted: Live.Mounted | undefined
  unacknowledged: number
  /** Whether its changes wait to be sent. */
  isWaiting: boolean
  /** Whether its changes wait for the answer of an action. */
  isDelayed: boolean
  /** Makes the message with its changes. */
  readonly news: () => string | undefined
}

const answerOf = (requestId: RequestEncoded["id"], exit: unknown): string =>
  `${JSON.stringify({ _tag: "Exit", requestId, exit })}\n`

const headerOf = (headers: RequestEncoded["headers"], name: string): string | undefined =>
  headers.find(([key]) => key === name)?.[1]

const pong = "{\"_tag\":\"Pong\"}\n"

const defect = { _tag: "Failure", cause: [{ _tag: "Die", defect: "the request could not be handled" }] }

const interrupted = { _tag: "Failure", cause: [{ _tag: "Interrupt", fiberId: null }] }

const isRequest = ({ headers, id, tag }: RequestEncoded): boolean =>
  (typeof id === "string" || typeof id === "number") && typeof tag === "string" && Array.isArray(headers) &&
  headers.every((header) => Array.isArray(header) && header.every((part) => typeof part === "string"))

const decodeMount = Schema.decodeUnknownEffect(jsonCodec(Live.view.payloadSchema))

/** The name of the view in a request that does not fit the schema. */
const viewName = (payload: unknown): string => {
  const name = (payload as { readonly view?: unknown } | null)?.view
  return typeof name === "string" ? name : ""
}

const isViewError = Schema.is(ViewError)

const encodeViewExit = toJson(Rpc.exitSchema(Live.view))

const decodeToken = Schema.decodeUnknownEffect(jsonCodec(Live.token.payloadSchema))

const encodeToken = toJson(Rpc.exitSchema(Live.token))

const encodeHello = toJson(Rpc.exitSchema(Live.hello))
