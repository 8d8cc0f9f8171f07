/** A WebSocket without a network, and the far end of it. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Session } from "effect-sessions"
import { Live, LiveClient } from "effect-sessions/client"
import * as Rpc from "effect/rpc/Rpc"
import * as Socket from "effect/socket/Socket"
import { TestClock } from "effect/testing"

const Item = Schema.Struct({ sku: Schema.String, count: Schema.Int })
export class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { left: Schema.Int }) {}

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Struct({ items: Schema.Array(Item) }),
  protocol: [
    Rpc.make("Add", { payload: Item, success: Schema.Int, error: OutOfStock }),
    Rpc.make("Clear"),
    Rpc.make("Due", { payload: Schema.Date, success: Schema.Date }),
    Rpc.make("Hidden")
  ]
}) {}

export class CartLive extends Live.Service<CartLive>()("CartLive", {
  kind: Cart,
  views: { items: Schema.Array(Item), total: Schema.Int, due: Schema.Date },
  messages: ["Add", "Clear", "Due"]
}) {}

class Notes extends Session.Service<Notes>()("Notes", {
  state: Schema.Struct({ notes: Schema.Array(Schema.Json) }),
  protocol: [Rpc.make("Note", { payload: Schema.Unknown })]
}) {}

/** One whose payloads may be anything. */
export class NotesLive extends Live.Service<NotesLive>()("NotesLive", {
  kind: Notes,
  views: { rows: Schema.Array(Schema.Struct({ id: Schema.Int, text: Schema.String })) },
  messages: ["Note"]
}) {}

type Listener = (event: Socket.WebSocketEvent) => void

export class FakeSocket implements Socket.WebSocketLike {
  readyState = 0
  readonly url: string
  readonly protocols: unknown
  /** All messages of the client, in order. */
  readonly messages: Array<any> = []
  readonly frames: Array<string> = []
  /** With what the client has closed it. */
  closedWith: number | undefined = undefined
  onMessage: (message: any) => void = () => {}
  private readonly listeners = new Map<string, Set<Listener>>()
  private seen = 0

  constructor(url: string, protocols: unknown) {
    this.url = url
    this.protocols = protocols
  }

  addEventListener(type: string, listener: Listener): void {
    const set = this.listeners.get(type) ?? new Set()
    this.listeners.set(type, set.add(listener))
  }

  removeEventListener(type: string, listener: Listener): void {
    this.listeners.get(type)?.delete(listener)
  }

  private emit(type: string, event: Socket.WebSocketEvent): void {
    for (const listener of Array.from(this.listeners.get(type) ?? [])) listener(event)
  }

  send(frame: string | Uint8Array): void {
    assert.strictEqual(this.readyState, 1, "sent on a socket that is not open")
    this.frames.push(String(frame))
    for (const line of String(frame).split("\n")) {
      const message = JSON.parse(line)
      this.messages.push(message)
      this.onMessage(message)
    }
  }

  close(code?: number): void {
    assert.isTrue(code === 1000 || (code ?? 0) >= 3000, "no code that a browser may use")
    this.closedWith ??= code
    this.readyState = 3
  }

  /** How many listeners there are that could be called. */
  get listening(): number {
    let count = 0
    for (const [type, set] of this.listeners) if (type !== "error") count += set.size
    return count
  }

  // what the server does

  open(): this {
    this.readyState = 1
    this.emit("open", {})
    return this
  }

  frame(data: unknown): void {
    this.emit("message", { data })
  }

  /** Sends messages in one frame. */
  say(...messages: ReadonlyArray<unknown>): void {
    this.frame(messages.map((message) => JSON.stringify(message)).join("\n"))
  }

  /** Closes it, or lets it break. */
  drop(code = 1006, reason = ""): void {
    this.readyState = 3
    this.emit("close", { code, reason })
  }

  /** The messages that came since it was last asked. */
  take(): Array<any> {
    const taken = this.messages.slice(this.seen)
    this.seen = this.messages.length
    return taken
  }

  requests(tag: string): Array<any> {
    return this.messages.filter((message) => message._tag === "Request" && message.tag === tag)
  }

  last(tag: string): any {
    const request = this.requests(tag).at(-1)
    assert.isDefined(request, `there was no request ${tag}`)
    return request
  }

  view(name: string): any {
    const request = this.requests("live.view").findLast((request) => request.payload.view === name)
    assert.isDefined(request, `the view ${name} was not mounted`)
    return request
  }

  hello(epoch = 1, window = 8, expiresIn: number | null = null, more: object = {}): this {
    this.say(succeed(this.last("live.hello"), { epoch, window, expiresIn, ...more }))
    return this
  }

  snapshot(name: string, version: number, state: unknown, epoch = 1): void {
    this.say(chunk(this.view(name), { _tag: "snapshot", epoch, version, state }))
  }

  patch(name: string, from: number, version: number, patch: ReadonlyArray<unknown>, epoch = 1): void {
    this.say(chunk(this.view(name), { _tag: "patch", epoch, from, version, patch }))
  }

  /** The actions that came since it was last asked, as `[tag, sequence, again]`. */
  actions(): Array<readonly [string, number, boolean]> {
    return this.take().filter((message) => message._tag === "Request" && !message.tag.startsWith("live.")).map((
      message
    ) => [message.tag, Number(header(message, "live-sequence")), header(message, "live-again") === "true"] as const)
  }
}

export const header = (request: any, name: string): string | undefined =>
  request.headers.find(([key]: [string, string]) => key === name)?.[1]

export const chunk = (request: any, ...values: ReadonlyArray<unknown>) => ({
  _tag: "Chunk",
  requestId: request.id,
  values
})

export const succeed = (request: any, value: unknown = null) => ({
  _tag: "Exit",
  requestId: request.id,
  exit: { _tag: "Success", value }
})

export const fail = (request: any, error: unknown) => ({
  _tag: "Exit",
  requestId: request.id,
  exit: { _tag: "Failure", cause: [{ _tag: "Fail", error }] }
})

const message = "…"
export const errors = {
  busy: (retryAfter: number) => ({ _tag: "Busy", retryAfter, message }),
  outOfOrder: (sequence: number, expected: number) => ({ _tag: "ActionOutOfOrder", sequence, expected, message }),
  forgotten: (sequence: number) => ({ _tag: "ActionForgotten", sequence, message }),
  unanswered: { _tag: "Unanswered", message },
  invalid: { _tag: "InvalidPayload", name: "Add", message },
  gone: (reason: string | null) => ({ _tag: "SessionGone", reason, message }),
  forbidden: { _tag: "Forbidden", name: "items", message },
  crashed: { _tag: "Crashed", message }
}

/** The far end of a client. */
export class FakeServer {
  readonly sockets: Array<FakeSocket> = []
  onSocket: (socket: FakeSocket) => void = () => {}

  readonly layer = Layer.succeed(Socket.WebSocketConstructor)((url, protocols) => {
    const socket = new FakeSocket(url, protocols)
    this.sockets.push(socket)
    this.onSocket(socket)
    return socket
  })

  get socket(): FakeSocket {
    return this.sockets.at(-1)!
  }

  /** Lets the client in. */
  accept(epoch = 1, window = 8, more?: object): FakeSocket {
    return this.socket.open().hello(epoch, window, null, more)
  }
}

/** A client and its server. */
export const connect = (options: Partial<LiveClient.Options> = {}) => {
  const server = new FakeServer()
  return LiveClient.make(CartLive, { url: "ws://cart", ...options }).pipe(
    Effect.provide(server.layer),
    Effect.map((client) => ({ client, server }))
  )
}

/** A client that is connected. */
export const connected = (options: Partial<LiveClient.Options> = {}, window = 8, more?: object) =>
  Effect.tap(connect(options), ({ server }) => Effect.sync(() => server.accept(1, window, more).take()))

/** Lets every fiber do what it can. */
export const settle = TestClock.adjust(0)

export const pen = { sku: "pen", count: 1 }
export const ink = { sku: "ink", count: 2 }
