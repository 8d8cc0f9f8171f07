/**
 * The client without its types: passes what comes from the socket on to the views and the actions, and sends what they have for
 * the server. It has plain fields and callbacks; `LiveClient` puts Effects on top.
 *
 * `Link` keeps the connection, `Requests` numbers and routes messages, `Views` shows values, `Outbox` sends actions until they
 * are answered, and `TokenRenewal` keeps the connection authorized.
 */
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { SubscriptionRef } from "effect/SubscriptionRef"
import * as CloseCode from "../../contract/CloseCode.ts"
import * as EndReason from "../../contract/EndReason.ts"
import * as Live from "../../contract/Live.ts"
import { Busy, Crashed, InvalidPayload, SessionGone } from "../../contract/LiveError.ts"
import { toJson } from "../../internal/jsonCodec.ts"
import { ClientClosed, QueueFull } from "../ClientError.ts"
import type * as Status from "../Status.ts"
import { Link, type LinkHandler, type LinkOptions } from "./Link.ts"
import { errorOf, Outbox, type OutboxHost, PendingAction } from "./Outbox.ts"
import { publish } from "./publish.ts"
import { type Headers, Requests } from "./Requests.ts"
import { noop, type Scheduler } from "./Scheduler.ts"
import { TokenRenewal } from "./TokenRenewal.ts"
import type { ViewReplica, Watcher } from "./ViewReplica.ts"
import { Views } from "./Views.ts"
import * as Wire from "./Wire.ts"

/** An action that failed and had nobody who waited for its answer. */
export interface Rejection {
  readonly tag: string
  readonly payload: unknown
  readonly error: unknown
}

/** Who follows the rejections. */
export interface RejectionWatcher {
  readonly next: (rejection: Rejection) => void
  readonly end: () => void
}

export interface EngineOptions extends LinkOptions {
  readonly definition: Live.Any
  readonly queueLimit: number
  readonly status: SubscriptionRef<Status.Status>
  readonly pending: SubscriptionRef<number>
  readonly timers: Scheduler
  /** Gives the current token; `undefined` if the client has none. */
  readonly token: Effect.Effect<string, unknown> | undefined
}

/** How long the server may take to close the socket of a session that has ended. Milliseconds. */
const closeTimeout = 2_000

type Greeting = typeof Live.hello.successSchema.Type

const decodeHello = Wire.exitDecoder(Live.hello)

export class Engine implements LinkHandler, OutboxHost {
  private readonly options: EngineOptions
  private readonly link: Link
  private readonly outbox: Outbox
  private readonly requests: Requests
  private readonly views: Views
  private readonly renewal: TokenRenewal
  private readonly rejections = new Set<RejectionWatcher>()
  private readonly codecs = new Map<string, {
    readonly encode: (payload: unknown) => unknown
    readonly decode: (json: unknown) => Exit.Exit<unknown, unknown>
  }>()
  /** Why the session is gone, as soon as the server has said so and until the socket is closed. */
  private gone: SessionGone["reason"] | undefined = undefined
  private cancelEnding = noop
  private askers: Array<(exit: Exit.Exit<Option.Option<number>, any>) => void> = []

  // What is put off until the whole frame is handled.
  private depth = 0
  private later: Array<() => void> = []

  constructor(options: EngineOptions) {
    this.options = options
    this.link = new Link(options, this, options.timers)
    this.outbox = new Outbox(this)
    const after = this.after.bind(this)
    const { definition, timers, token } = options
    const requests = this.requests = new Requests(after)
    this.views = new Views({ schemas: definition.views, requests, timers, after, actions: this.outbox.actions })
    this.renewal = new TokenRenewal({ token, requests, timers, batch: (f) => this.batch(f) })
  }

  // -------------------------------------------------------------------------------------------------------
  // what the surface asks for
  // -------------------------------------------------------------------------------------------------------

  get current(): Status.Status {
    return this.options.status.value
  }

  connect(): void {
    if (this.current._tag === "Ended") this.views.recover()
    this.batch(() => this.link.restart())
  }

  wake(): void {
    this.batch(() => this.link.wake())
  }

  close(): void {
    this.batch(() => {
      this.link.close()
      this.outbox.fail((action) => ClientClosed.of(action.sequence > 0))
      this.views.end()
      this.answerAskers(Exit.fail(ClientClosed.of(false)))
    })
    this.options.timers.close()
    for (const watcher of this.rejections) watcher.end()
  }

  /** Takes an action, or gives why not. */
  submit(
    tag: string,
    payload: unknown,
    optimistic: PendingAction["optimistic"],
    settle: PendingAction["settle"]
  ): PendingAction | QueueFull | ClientClosed | InvalidPayload {
    const { queueLimit } = this.options
    if (this.current._tag === "Closed") return ClientClosed.of(false)
    if (this.outbox.actions.length >= queueLimit) return QueueFull.of(queueLimit)
    let json: string
    try {
      json = JSON.stringify(this.codec(tag).encode(payload)) ?? "null"
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return new InvalidPayload({ name: tag, message: `${tag} cannot be sent: ${why}` })
    }
    if (json.length > this.requests.frameLimit) return this.tooLarge(tag)
    const action = new PendingAction(tag, payload, json, optimistic, settle)
    this.batch(() => {
      if (this.current._tag === "Ended") this.settled(action, Exit.fail(SessionGone.of(this.current.reason)))
      else {
        this.outbox.add(action)
        this.views.touch(action)
      }
    })
    return action
  }

  tooLarge(name: string): InvalidPayload {
    const { frameLimit } = this.requests
    const most = frameLimit === Infinity ? "" : `: ${frameLimit} bytes`
    return new InvalidPayload({ name, message: `${name} is larger than the server takes${most}` })
  }

  /** Nobody waits for this action any more; it is taken back if it was not sent. */
  abandon(action: PendingAction): void {
    action.settle = undefined
    this.batch(() => {
      if (this.outbox.withdraw(action)) this.views.touch(action)
    })
  }

  /** The view of this name, for one more user. */
  acquire(name: string, make: () => SubscriptionRef<Option.Option<any>>): ViewReplica {
    let replica = this.views.find(name)
    if (replica === undefined) {
      replica = this.views.add(name, make())
      const status = this.current
      if (status._tag === "Ended") replica.failure = Cause.fail(SessionGone.of(status.reason))
      else if (this.link.isOpen && this.gone === undefined) this.batch(() => this.views.mount(replica!))
    }
    replica.users++
    return replica
  }

  release(replica: ViewReplica): void {
    if (--replica.users > 0) return
    this.batch(() => this.views.remove(replica))
  }

  /** Follows a view until it is released. */
  watch(replica: ViewReplica, watcher: Watcher): void {
    if (this.current._tag === "Closed") watcher.end()
    else replica.watch(watcher)
  }

  /** Follows the rejections until that is cancelled with the function that it gives. */
  watchRejections(watcher: RejectionWatcher): () => void {
    if (this.current._tag === "Closed") watcher.end()
    this.rejections.add(watcher)
    return () => {
      this.rejections.delete(watcher)
    }
  }

  /** Asks in how many milliseconds the session expires; the answer may come from the next connection. */
  ask(asker: (exit: Exit.Exit<Option.Option<number>, any>) => void): () => void {
    const status = this.current
    if (status._tag === "Closed") asker(Exit.fail(ClientClosed.of(false)))
    else if (status._tag === "Ended") asker(Exit.fail(SessionGone.of(status.reason)))
    else {
      this.askers.push(asker)
      if (status._tag === "Open") this.batch(() => this.hello(() => {}))
    }
    return () => {
      this.askers = this.askers.filter((other) => other !== asker)
    }
  }

  private answerAskers(exit: Exit.Exit<Option.Option<number>, any>): void {
    for (const asker of this.askers.splice(0)) this.later.push(() => asker(exit))
  }

  // -------------------------------------------------------------------------------------------------------
  // the connection
  // -------------------------------------------------------------------------------------------------------

  opened(): void {
    this.batch(() => {
      this.hello((greeting) => {
        this.link.established(greeting.epoch)
        this.outbox.connected(greeting)
        if (greeting.tokenExpiresIn !== undefined) this.renewal.begin(greeting.tokenExpiresIn)
      })
      this.views.connected()
    })
  }

  private hello(greeted: (greeting: Greeting) => void): void {
    this.requests.send(Live.hello._tag, "null", [[Live.partsHeader, "true"]], {
      decode: decodeHello,
      exit: (exit: Exit.Exit<Greeting, any>) => {
        if (Exit.isSuccess(exit)) {
          const { expiresIn, maxFrameSize = Infinity } = exit.value
          this.requests.frameLimit = maxFrameSize
          greeted(exit.value)
          return this.answerAskers(Exit.succeed(Option.fromNullOr(expiresIn)))
        }
        const error = errorOf(exit)
        if (error instanceof SessionGone) return
        if (error === undefined || error instanceof Busy) this.link.retry()
        else this.link.stop({ _tag: "Refused", reason: (error as Error).message })
      }
    })
  }

  /** The server has said that the session is gone; it tells what else there is to tell, and closes the socket. */
  private ending(reason: SessionGone["reason"]): void {
    if (this.gone !== undefined) return
    this.gone = reason
    this.outbox.hold()
    this.cancelEnding = this.after(closeTimeout, () => this.over(reason))
  }

  /** The session is over. One that only moved, or whose server restarts, is there again soon. */
  private over(reason: SessionGone["reason"]): void {
    if (reason === "Moved" || reason === "Shutdown") this.link.retry(reason === "Moved")
    else {
      this.link.stop({ _tag: "Ended", reason })
      const error = SessionGone.of(reason)
      this.views.fail(Cause.fail(error))
      this.outbox.fail(() => error)
      this.answerAskers(Exit.fail(error))
    }
  }

  closed(code: number, text: string): void {
    this.batch(() => {
      const said = EndReason.tags.find((tag) => tag.toLowerCase() === text.toLowerCase())
      const gone = this.gone !== undefined ? this.gone : said
      switch (code) {
        case CloseCode.policyViolation:
          return this.link.stop({ _tag: "Refused", reason: text })
        case CloseCode.goingAway:
        // The token is over, not the session: the next connection asks for another one.
        case CloseCode.unauthorized:
          return this.link.retry()
        case CloseCode.serviceRestart:
          return this.link.retry(true)
        case CloseCode.normal:
          return this.over(gone === undefined ? "Stopped" : gone)
        case CloseCode.tooBig:
          this.outbox.blame(true)
          return this.link.retry()
        case CloseCode.internalError:
        case CloseCode.unsupportedData:
          // Something about this connection, or of what came over it, if it is not the session that has crashed.
          if (gone !== undefined) return this.over(gone)
          this.outbox.blame()
          return this.link.retry()
        default:
          return gone === undefined ? this.link.retry() : this.over(gone)
      }
    })
  }

  lost(): void {
    this.requests.clear()
    this.renewal.stop()
    this.gone = undefined
    this.cancelEnding()
    this.outbox.disconnected()
    this.views.disconnected()
  }

  status(status: Status.Status): void {
    publish(this.options.status, status)
  }

  ping(): void {
    this.batch(() => this.requests.ping())
  }

  // -------------------------------------------------------------------------------------------------------
  // messages
  // -------------------------------------------------------------------------------------------------------

  received(frame: string): void {
    this.batch(() => {
      try {
        for (const message of Wire.parse(frame)) this.handle(message)
      } catch (defect) {
        this.log("what the server of the live session sent cannot be read", defect)
        this.link.retry()
      }
    })
  }

  private handle(message: Wire.FromServer): void {
    if (message._tag === "Chunk") this.requests.chunk(String(message.requestId), message.values)
    else if (message._tag === "Exit") this.exited(String(message.requestId), message.exit)
    else if (message._tag === "Defect") {
      this.log("the server of the live session has a defect", message.defect)
      this.link.retry()
    }
  }

  private exited(id: string, json: unknown): void {
    const request = this.requests.take(id)
    if (request === undefined) return
    const exit = request.decode(json)
    // Before the request goes on: the outbox must not send more to a session that is gone.
    const error = errorOf(exit)
    if (error instanceof SessionGone) this.ending(error.reason)
    request.exit(exit)
  }

  private log(text: string, defect: unknown): void {
    this.options.timers.log(text, defect)
  }

  // -------------------------------------------------------------------------------------------------------
  // actions
  // -------------------------------------------------------------------------------------------------------

  send(action: PendingAction, headers: Headers): string | undefined {
    const { decode } = this.codec(action.tag)
    const id = this.requests.send(action.tag, action.json, headers, {
      decode: (json) => {
        try {
          return decode(json)
        } catch (defect) {
          return Exit.die(defect)
        }
      },
      exit: (exit) => this.outbox.answer(id!, exit)
    })
    return id
  }

  after(millis: number, f: () => void): () => void {
    return this.options.timers.after(millis, () => this.batch(f))
  }

  name(): string {
    let name = ""
    for (let i = 0; i < 4; i++) name += Math.floor(this.options.random() * 2 ** 32).toString(16).padStart(8, "0")
    return name
  }

  settled(action: PendingAction, answer: Exit.Exit<unknown, unknown>): void {
    this.views.touch(action)
    this.later.push(() => {
      const { settle } = action
      action.settle = undefined
      if (settle !== undefined) return settle(answer)
      if (Exit.isSuccess(answer)) return
      const { payload, tag } = action
      const error = errorOf(answer) ?? new Crashed({ message: String(Cause.squash(answer.cause)) })
      for (const watcher of this.rejections) watcher.next({ tag, payload, error })
    })
  }

  private codec(tag: string) {
    let codec = this.codecs.get(tag)
    if (codec === undefined) {
      const command = this.options.definition.commands.get(tag)
      if (command === undefined) throw new TypeError(`there is no command ${tag}`)
      const rpc = Live.commandRpc(command)
      codec = { encode: toJson(rpc.payloadSchema), decode: Wire.exitDecoder(rpc) }
      this.codecs.set(tag, codec)
    }
    return codec
  }

  /**
   * Does something, and then what follows from it, once: views are shown, messages are sent in few frames, and those
   * who wait for answers are told, in that order. Nothing is thrown: it runs in callbacks of sockets and timers.
   */
  private batch(f: () => void): void {
    this.depth++
    this.guard(f)
    if (--this.depth === 0) this.flush()
  }

  private guard(f: () => void): void {
    try {
      f()
    } catch (defect) {
      this.log("the client of a live session has a defect", defect)
      if (this.link.isOpen) this.link.retry()
    }
  }

  private flush(): void {
    for (const replica of this.views.takeStale()) this.guard(() => this.views.show(replica))
    for (const frame of this.requests.takeFrames()) this.guard(() => this.link.send(frame))
    const { options: { pending }, outbox: { actions } } = this
    if (pending.value !== actions.length) publish(pending, actions.length)
    for (const f of this.later.splice(0)) this.guard(f)
  }
}
