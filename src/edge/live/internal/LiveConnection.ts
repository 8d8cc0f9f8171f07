/**
 * A connection over which a client sees views and does actions. It speaks the JSON messages of Effect RPC, so that any
 * `RpcClient` is a client; what it tells of views is pushed by callbacks, and no fiber waits for it.
 *
 * A view may have so many chunks under way that the client has not acknowledged. Beyond that, or while the socket has not
 * taken what was sent, changes are not sent one by one: the client gets the difference to the newest state when it is
 * ready again. What is kept for a client is one reference a view.
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
import { Busy, Forbidden, SessionGone, Unknown, ViewError } from "../../../contract/LiveError.ts"
import type { SessionRef } from "../../../contract/SessionRef.ts"
import { SocketConnection, type SocketRoute } from "../../socket/internal/SocketConnection.ts"
import type { Commands } from "./Commands.ts"

/** What a connection's route does for it. */
export interface LiveRoute extends SocketRoute {
  /** Milliseconds since 1970. */
  readonly date: () => number
  readonly views: Live.Views<any, string>
  readonly commands: Commands
  /** How many chunks of a view may be unacknowledged. */
  readonly window: number
  readonly run: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
}

/** What is known of the client: its session, and what it may see and do. */
export interface Client {
  readonly session: SessionRef<any, any>
  readonly allows: (name: string) => Effect.Effect<boolean>
}

/** Views that one connection may have mounted. */
const maxViews = 100

/** How many requests over the rate are answered with a refusal before the connection is closed. */
const maxRefused = 1_000

export class LiveConnection extends SocketConnection {
  private readonly live: LiveRoute
  private readonly client: Client
  private readonly views = new Map<RequestEncoded["id"], View>()
  private readonly actions = new Map<RequestEncoded["id"], Fiber.Fiber<unknown, unknown>>()
  private refused = 0
  constructor(route: LiveRoute, client: Client, closed: () => void) {
    super(route, closed)
    this.live = route
    this.client = client
  }

  protected opened(): void {}

  protected override drained(): void {
    for (const view of this.views.values()) this.flush(view)
  }

  protected gone(): void {
    for (const id of Array.from(this.views.keys())) this.unmount(id)
    const actions = Array.from(this.actions.values())
    this.actions.clear()
    for (const fiber of actions) fiber.interruptUnsafe()
  }

  /** The session has ended: what waits for it is told so, and the connection closes. */
  ended(reason: EndReason): void {
    // Actions that waited for it have their answers next.
    for (const view of Array.from(this.views.values())) this.viewEnded(view, reason)
    this.live.run(Effect.andThen(
      Effect.yieldNow,
      Effect.sync(() => this.close(CloseCode.ofEnd(reason, false), reason._tag.toLowerCase()))
    ))
  }

  // -------------------------------------------------------------------------------------------------------
  // in
  // -------------------------------------------------------------------------------------------------------

  protected received(text: string): void {
    for (const line of text.split("\n")) {
      if (line === "") continue
      let messages: unknown
      try {
        messages = JSON.parse(line)
      } catch {
        return this.close(CloseCode.policyViolation, "JSON is expected")
      }
      for (const message of Array.isArray(messages) ? messages : [messages]) {
        if (!this.isOpen) return
        this.handle(message)
      }
    }
  }

  private handle(message: FromClientEncoded | null): void {
    switch (message?._tag) {
      case "Request":
        if (isRequest(message)) return this.request(message)
        break
      case "Ack": {
        const view = this.views.get(message.requestId)
        // The view may be over by now.
        if (view === undefined) return
        view.unacknowledged = Math.max(0, view.unacknowledged - 1)
        return this.flush(view)
      }
      case "Interrupt":
        return this.interrupt(message.requestId)
      case "Ping":
        if (this.overdraws() === 0) this.sendFrame(pong)
        return
      case "Eof":
        return this.close(CloseCode.normal, "bye")
    }
    this.close(CloseCode.policyViolation, "a message of Effect RPC is expected")
  }

  private request(request: RequestEncoded): void {
    const { id } = request
    if (this.views.has(id) || this.actions.has(id)) return this.close(CloseCode.policyViolation, "an id is used twice")
    const wait = this.overdraws()
    if (wait > 0 && ++this.refused > maxRefused) return this.close(CloseCode.policyViolation, "too many messages")
    if (wait === 0) this.refused = 0
    if (request.tag === Live.view._tag) return this.mount(id, request.payload)
    const exit = request.tag === Live.hello._tag
      ? Effect.map(Effect.exit(this.hello), encodeHello)
      : Effect.map(
        Effect.exit(wait > 0 ? Effect.fail(Busy.of(wait)) : this.act(request)),
        (exit) => this.live.commands.encodeExit(request.tag, exit)
      )
    const fiber = this.live.run(
      Effect.tapDefect(
        exit,
        (defect) => Effect.logError(`a request of ${request.tag.slice(0, 80)} could not be answered`, defect)
      )
    )
    this.actions.set(id, fiber)
    fiber.addObserver((exit) => {
      if (!this.actions.delete(id)) return
      // What an action did is told before its answer.
      for (const view of this.views.values()) this.flush(view, true)
      if (request.isNotification !== true) this.respond(id, Exit.isSuccess(exit) ? exit.value : defect)
    })
  }

  private get hello(): Effect.Effect<typeof Live.hello.successSchema.Type, SessionGone> {
    return this.client.session.info.pipe(
      Effect.map(({ epoch, expiresAt, remembers }) => ({
        epoch,
        window: remembers,
        expiresIn: expiresAt === undefined ? null : Math.max(0, expiresAt - this.live.date())
      })),
      Effect.mapError(() => SessionGone.of(null))
    )
  }

  private act({ headers, payload, tag }: RequestEncoded): Effect.Effect<unknown, unknown> {
    return Effect.flatMap(this.allows(tag), () =>
      this.live.commands.run(this.client.session, {
        name: tag,
        payload,
        header: (name) => headers.find(([key]) => key === name)?.[1]
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
    if (fiber !== undefined) {
      this.actions.delete(id)
      fiber.interruptUnsafe()
    } else if (!this.unmount(id)) return
    this.respond(id, interrupted)
  }

  // -------------------------------------------------------------------------------------------------------
  // views
  // -------------------------------------------------------------------------------------------------------

  private mount(id: RequestEncoded["id"], payload: unknown): void {
    if (this.views.size >= maxViews) return this.close(CloseCode.policyViolation, "too many views")
    const scope = Scope.makeUnsafe()
    const view: View = {
      id,
      head: `{"_tag":"Chunk","requestId":${JSON.stringify(id)},"values":[`,
      scope,
      mounted: undefined,
      unacknowledged: 0
    }
    this.views.set(id, view)
    const { session } = this.client
    const mounting = decodeMount(payload).pipe(
      Effect.mapError(() => Unknown.of("view", viewName(payload))),
      Effect.flatMap(({ after, view: name }) =>
        Effect.andThen(
          this.allows(name),
          this.live.views.mount(session, name, {
            changed: () => this.flush(view),
            ended: (reason) => this.viewEnded(view, reason)
          }, { after })
        )
      ),
      Scope.provide(scope)
    )
    this.live.run(mounting).addObserver((exit) => {
      if (this.views.get(id) !== view) return
      if (Exit.isSuccess(exit)) {
        view.mounted = exit.value
        return this.flush(view)
      }
      this.unmount(id)
      const { cause } = exit
      const isRefusal = cause.reasons.every((reason) => reason._tag === "Fail" && isViewError(reason.error))
      this.respond(id, isRefusal ? encodeViewExit(exit) : defect)
    })
  }

  private unmount(id: RequestEncoded["id"]): boolean {
    const view = this.views.get(id)
    if (view === undefined) return false
    this.views.delete(id)
    this.live.run(Scope.close(view.scope, Exit.void))
    return true
  }

  private viewEnded(view: View, reason: EndReason): void {
    if (this.views.get(view.id) !== view) return
    this.flush(view, true)
    this.unmount(view.id)
    this.respond(view.id, encodeViewExit(Exit.fail(SessionGone.of(reason._tag))))
  }

  /** Tells what is new, if the client is ready for it, or at once when `force` is set. */
  private flush(view: View, force = false): void {
    const { mounted } = view
    if (mounted === undefined || !this.isOpen) return
    while (mounted.isBehind) {
      if (!force) {
        if (view.unacknowledged >= this.live.window) return
        if (this.isFull) return
      }
      const event = mounted.nextJson()
      if (event === undefined) return
      view.unacknowledged++
      this.sendFrame(`${view.head}${event}]}\n`)
    }
  }

  private respond(requestId: RequestEncoded["id"], exit: unknown): void {
    this.sendFrame(`${JSON.stringify({ _tag: "Exit", requestId, exit })}\n`)
  }
}

/** A connection whose client has no session: it is told so, and closed. */
export class RefusedConnection extends SocketConnection {
  private readonly why: string

  constructor(route: SocketRoute, closed: () => void, why: string) {
    super(route, closed)
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
  /** What each of its chunks begins with. */
  readonly head: string
  readonly scope: Scope.Closeable
  mounted: Live.Mounted | undefined
  unacknowledged: number
}

const pong = "{\"_tag\":\"Pong\"}\n"

const defect = { _tag: "Failure", cause: [{ _tag: "Die", defect: "the request could not be handled" }] }

const interrupted = { _tag: "Failure", cause: [{ _tag: "Interrupt", fiberId: null }] }

const isRequest = ({ headers, id, tag }: RequestEncoded): boolean =>
  (typeof id === "string" || typeof id === "number") && typeof tag === "string" && Array.isArray(headers) &&
  headers.every((header) => Array.isArray(header) && header.every((part) => typeof part === "string"))

const json = <A>(schema: Schema.Schema<A>) =>
  Schema.toCodecJson(schema as Schema.Top) as unknown as Schema.Codec<A, unknown>

const decodeMount = Schema.decodeUnknownEffect(json(Live.view.payloadSchema))

/** What a request that is not one for a view calls it. */
const viewName = (payload: unknown): string => {
  const name = (payload as { readonly view?: unknown } | null)?.view
  return typeof name === "string" ? name : ""
}

const isViewError = Schema.is(ViewError)

const encodeViewExit = Schema.encodeUnknownSync(json(Rpc.exitSchema(Live.view) as Schema.Schema<unknown>))

const encodeHello = Schema.encodeUnknownSync(json(Rpc.exitSchema(Live.hello) as Schema.Schema<unknown>))
