/**
 * The client without its types: what comes from the socket goes to the views and actions, and what they send to the
 * socket. Everything is plain fields and callbacks; `LiveClient` puts Effects on top.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
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
import { Decoder } from "./Decoder.ts"
import { Link, type LinkHandler, type LinkOptions } from "./Link.ts"
import { errorOf, Outbox, type OutboxHost, PendingAction } from "./Outbox.ts"
import { publish } from "./publish.ts"
import { noop, type Scheduler } from "./Scheduler.ts"
import { type ReplicaHost, ViewReplica, type Watcher } from "./ViewReplica.ts"
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
}

interface Request {
  readonly chunk?: (values: ReadonlyArray<any>) => boolean
  readonly exit: (json: unknown) => void
}

/** Messages that are sent together are at most so long, in bytes. */
const maxFrame = 16_384

/** How long a change waits for the answer of the action that may have made it, and that was sent once or again. */
const answerDelay = 50
const againDelay = 1_000

/** So many chunks are acknowledged together, */
const maxAcks = 16

/** or those of so long. Milliseconds. */
const ackDelay = 50

/** How long the server may take to close the socket of a session that has ended. Milliseconds. */
const closeTimeout = 2_000

type Greeting = typeof Live.hello.successSchema.Type

const decodeHello = Wire.exitDecoder(Live.hello)
const decodeView = Wire.exitDecoder(Live.view)

export class Engine implements LinkHandler, OutboxHost, ReplicaHost {
  private readonly options: EngineOptions
  private readonly link: Link
  private readonly outbox: Outbox
  private readonly rejections = new Set<RejectionWatcher>()
  private readonly replicas = new Map<string, ViewReplica>()
  private readonly codecs = new Map<string, {
    readonly encode: (payload: unknown) => unknown
    readonly decode: (json: unknown) => Exit.Exit<unknown, unknown>
  }>()
  /** What is under way on this connection, by id. */
  private readonly requests = new Map<string, Request>()
  private ids = 0
  /** Why the session is gone, as soon as the server has said so and until the socket is closed. */
  private gone: SessionGone["reason"] | undefined = undefined
  private cancelEnding = noop
  /** The largest frame that the server takes, in bytes, as far as it has said so. */
  private frameLimit = Infinity
  private askers: Array<(exit: Exit.Exit<Option.Option<number>, any>) => void> = []

  // What is put off until all of a frame is looked at.
  private depth = 0
  private readonly stale = new Set<ViewReplica>()
  /** Views that wait for the answer of an action before they are shown, and how to cancel that. */
  private readonly held = new Map<ViewReplica, () => void>()
  private out: Array<string> = []
  /** The requests whose chunks are yet to be acknowledged. */
  private acks: Array<string> = []
  private cancelAcks = noop
  private later: Array<() => void> = []

  constructor(options: EngineOptions) {
    this.options = options
    this.link = new Link(options, this, options.timers)
    this.outbox = new Outbox(this)
  }

  // -------------------------------------------------------------------------------------------------------
  // what the surface asks for
  // -------------------------------------------------------------------------------------------------------

  get current(): Status.Status {
    return this.options.status.value
  }

  connect(): void {
    if (this.current._tag === "Ended") { for (const replica of this.replicas.values()) replica.recover() }
    this.batch(() => this.link.restart())
  }

  wake(): void {
    this.batch(() => this.link.wake())
  }

  close(): void {
    this.batch(() => {
      this.link.close()
      this.outbox.fail((action) => ClientClosed.of(action.sequence > 0))
      for (const replica of this.replicas.values()) replica.end()
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
    if (json.length > this.frameLimit) return this.tooLarge(tag)
    const action = new PendingAction(tag, payload, json, optimistic, settle)
    this.batch(() => {
      if (this.current._tag === "Ended") this.settled(action, Exit.fail(SessionGone.of(this.current.reason)))
      else {
        this.outbox.add(action)
        this.changed(action)
      }
    })
    return action
  }

  tooLarge(name: string): InvalidPayload {
    const most = this.frameLimit === Infinity ? "" : `: ${this.frameLimit} bytes`
    return new InvalidPayload({ name, message: `${name} is larger than the server takes${most}` })
  }

  /** Nobody waits for this action any more; it is taken back if it was not sent. */
  abandon(action: PendingAction): void {
    action.settle = undefined
    this.batch(() => {
      if (this.outbox.withdraw(action)) this.changed(action)
    })
  }

  /** The view of this name, for one more user. */
  acquire(name: string, make: () => SubscriptionRef<Option.Option<any>>): ViewReplica {
    let replica = this.replicas.get(name)
    if (replica === undefined) {
      replica = new ViewReplica(name, make(), new Decoder(this.options.definition.views[name]!), this)
      this.replicas.set(name, replica)
      const status = this.current
      if (status._tag === "Ended") replica.failure = Cause.fail(SessionGone.of(status.reason))
      else if (this.link.isOpen && this.gone === undefined) this.batch(() => replica!.mount())
    }
    replica.users++
    return replica
  }

  release(replica: ViewReplica): void {
    if (--replica.users > 0) return
    this.replicas.delete(replica.name)
    this.stale.delete(replica)
    this.held.get(replica)?.()
    this.held.delete(replica)
    this.batch(() => replica.unmount())
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
      })
      for (const replica of this.replicas.values()) replica.mount()
    })
  }

  private hello(greeted: (greeting: Greeting) => void): void {
    this.request(Live.hello._tag, "null", [[Live.partsHeader, "true"]], {
      exit: (json) => {
        const exit = decodeHello(json) as Exit.Exit<Greeting, any>
        if (Exit.isSuccess(exit)) {
          const { expiresIn, maxFrameSize = Infinity } = exit.value
          this.frameLimit = maxFrameSize
          greeted(exit.value)
          return this.answerAskers(Exit.succeed(Option.fromNullOr(expiresIn)))
        }
        const error = errorOf(exit)
        if (error instanceof SessionGone) this.ending(error.reason)
        else if (error === undefined || error instanceof Busy) this.link.retry()
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
      for (const replica of this.replicas.values()) replica.fail(Cause.fail(error))
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
    this.out = []
    this.acks = []
    this.cancelAcks()
    this.gone = undefined
    this.cancelEnding()
    this.outbox.disconnected()
    for (const replica of this.replicas.values()) replica.disconnected()
  }

  status(status: Status.Status): void {
    publish(this.options.status, status)
  }

  ping(): void {
    this.batch(() => this.say("Ping"))
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
    if (message._tag === "Chunk") {
      const id = String(message.requestId)
      if (this.requests.get(id)?.chunk?.(message.values) === true) this.acknowledge(id)
    } else if (message._tag === "Exit") {
      const id = String(message.requestId)
      const request = this.requests.get(id)
      this.requests.delete(id)
      request?.exit(message.exit)
    } else if (message._tag === "Defect") {
      this.log("the server of the live session has a defect", message.defect)
      this.link.retry()
    }
  }

  /** The server needs to know that changes are taken, but not at once: few messages tell of many. */
  private acknowledge(id: string): void {
    this.acks.push(id)
    if (this.acks.length >= maxAcks) this.sayAcks()
    else if (this.acks.length === 1) this.cancelAcks = this.after(ackDelay, () => this.sayAcks())
  }

  private sayAcks(): void {
    this.cancelAcks()
    for (const requestId of this.acks.splice(0)) this.say("Ack", requestId)
  }

  /** Sends a request and gives its id, unless the server does not take one that is so long. */
  private request(
    tag: string,
    payload: string,
    headers: ReadonlyArray<readonly [string, string]>,
    request: Request
  ): string | undefined {
    const id = String(++this.ids)
    const text = Wire.request(id, tag, payload, headers)
    // A character has at most three bytes.
    if (text.length * 3 > this.frameLimit && Wire.bytesOf(text) > this.frameLimit) return undefined
    this.requests.set(id, request)
    this.out.push(text)
    return id
  }

  private say(_tag: string, requestId?: string): void {
    this.out.push(JSON.stringify({ _tag, requestId }))
  }

  private log(text: string, defect: unknown): void {
    this.options.timers.run(Effect.logError(text, Cause.die(defect)))
  }

  // -------------------------------------------------------------------------------------------------------
  // views
  // -------------------------------------------------------------------------------------------------------

  mount(view: string, after: Live.Position | undefined): string | undefined {
    const replica = this.replicas.get(view)!
    return this.request(Live.view._tag, JSON.stringify({ view, after }), [], {
      chunk: (events) => replica.receive(events),
      exit: (json) => {
        const exit = decodeView(json)
        replica.request = undefined
        const error = errorOf(exit)
        if (error instanceof SessionGone) this.ending(error.reason)
        else if (error instanceof Busy) this.mountLater(replica, error.retryAfter)
        else if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) replica.fail(exit.cause)
        // It should not have ended. It is asked for again, but not without a pause.
        else this.mountLater(replica, 1_000)
      }
    })
  }

  mountLater(replica: ViewReplica, pause: number): void {
    this.after(pause, () => {
      if (!this.link.isOpen || this.replicas.get(replica.name) !== replica || replica.request !== undefined) return
      replica.mount()
    })
  }

  unmount(id: string): void {
    if (this.requests.delete(id)) this.say("Interrupt", id)
  }

  fold(view: string, value: unknown): unknown {
    for (const action of this.outbox.actions) {
      const update = Object.hasOwn(action.optimistic, view) ? action.optimistic[view] : undefined
      if (update === undefined) continue
      try {
        value = update(value)
      } catch (defect) {
        if (!action.logged) this.log(`the optimistic update of ${view} by ${action.tag} has thrown`, defect)
        action.logged = true
      }
    }
    return value
  }

  /**
   * A change that an action made comes shortly before its answer. Shown at once it would be seen twice: in the value of the
   * server, and as what the action, still without an answer, changes on top of it. So it waits for the answer, not for long.
   */
  dirty(replica: ViewReplica): void {
    const { name, ref } = replica
    let delay = 0
    for (const { again, optimistic, request } of Option.isSome(ref.value) ? this.outbox.actions : []) {
      if (!Object.hasOwn(optimistic, name)) continue
      // After a loss the change may come long before the answer, for which the action has to be sent again.
      if (again) delay = againDelay
      else if (request !== undefined) delay ||= answerDelay
    }
    if (delay === 0) this.stale.add(replica)
    else if (!this.held.has(replica)) {
      this.held.set(replica, this.after(delay, () => this.stale.add(replica)))
    }
  }

  private show(replica: ViewReplica): void {
    this.held.get(replica)?.()
    this.held.delete(replica)
    replica.show()
  }

  // -------------------------------------------------------------------------------------------------------
  // actions
  // -------------------------------------------------------------------------------------------------------

  send(action: PendingAction, headers: ReadonlyArray<readonly [string, string]>): string | undefined {
    const id = this.request(action.tag, action.json, headers, {
      exit: (json) => {
        let exit: Exit.Exit<unknown, unknown>
        try {
          exit = this.codec(action.tag).decode(json)
        } catch (defect) {
          exit = Exit.die(defect)
        }
        if (Exit.isFailure(exit)) {
          const error = errorOf(exit)
          if (error instanceof SessionGone) this.ending(error.reason)
        }
        this.outbox.answer(id!, exit)
      }
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
    this.changed(action)
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

  /** An action has come or gone: what it makes of views is to be looked at. */
  private changed(action: PendingAction): void {
    for (const name of Object.keys(action.optimistic)) {
      const replica = this.replicas.get(name)
      if (replica !== undefined) this.stale.add(replica)
    }
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
    const { stale } = this
    for (const replica of stale) {
      stale.delete(replica)
      this.guard(() => this.show(replica))
    }
    for (const frame of Wire.pack(this.out.splice(0), Math.min(maxFrame, this.frameLimit))) {
      this.guard(() => this.link.send(frame))
    }
    const { options: { pending }, outbox: { actions } } = this
    if (pending.value !== actions.length) publish(pending, actions.length)
    for (const f of this.later.splice(0)) this.guard(f)
  }
}
