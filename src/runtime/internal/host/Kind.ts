/**
 * A registered kind: its definition and behavior, its settings, its live sessions and its counters.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Queue from "effect/Queue"
import * as Tracer from "effect/Tracer"
import * as EndReason from "../../../contract/EndReason.ts"
import type { KindOptions } from "../../../contract/KindOptions.ts"
import type * as Session from "../../../contract/Session.ts"
import { type InvalidConfig, InvalidMetadata, type LoadError, type StartError } from "../../../contract/SessionError.ts"
import type * as SessionRef from "../../../contract/SessionRef.ts"
import { observe } from "../../../internal/guard.ts"
import { findUnfit } from "../../../internal/jsonValue.ts"
import type * as Supervision from "../../../policy/Supervision.ts"
import type { Envelope, Route } from "../messages/Envelope.ts"
import { LocalRef } from "../messages/LocalRef.ts"
import { makeMailbox } from "../messages/mailbox.ts"
import { RoutedRef } from "../messages/RoutedRef.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { ending } from "../session/status.ts"
import { Persistence } from "../snapshots/Persistence.ts"
import { Hibernation } from "../time/Hibernation.ts"
import type { HostContext } from "./HostContext.ts"
import * as KindSettings from "./KindSettings.ts"

/** Plain numbers, read when metrics are scraped. */
export class Counters {
  started = 0
  startFailures = 0
  calls = 0
  casts = 0
  crashes = 0
  resets = 0
  timeouts = 0
  /** Messages refused by a full mailbox or by the rate of messages. */
  rejected = 0
  /** Messages dropped to make room for another one. */
  dropped = 0
  deadLetters = 0
  /** Clients that are connected now. */
  connections = 0
  /** Clients that have connected since the Layer was built. */
  connected = 0
  readonly ended: Record<EndReason.EndReason["_tag"], number> = Object.fromEntries(
    EndReason.tags.map((tag) => [tag, 0])
  ) as never
}

export type Behavior = Session.Behavior<any, any, any, any, any>

/** Brings sessions into memory. */
export interface Activator {
  /** Finds the session, loads it from the store, or starts it. */
  start(
    id: string,
    options?: Session.StartOptions & { readonly args?: unknown }
  ): Effect.Effect<SessionRef.Any, StartError>
  /** Loads the session from the store unless it is in memory; `false` when there is none. */
  activate(id: string): Effect.Effect<boolean, LoadError>
}

export class Kind {
  readonly host: HostContext
  readonly definition: Session.Any
  readonly name: string
  readonly behavior: Behavior
  readonly routes: ReadonlyMap<string, Route>
  readonly supervision: Supervision.Resolved
  readonly mailboxCapacity: number
  readonly batch: number
  readonly idleTimeout: number
  readonly absoluteTimeout: number
  readonly callTimeout: number
  readonly startTimeout: number
  readonly reconnectWindow: number
  readonly messageRate: { readonly limit: number; readonly window: number } | undefined
  /** Do its starts count for the rate of starts? */
  readonly limitsStarts: boolean
  /** Stores its sessions; `undefined` for a kind without snapshots. */
  readonly persistence: Persistence | undefined
  readonly activator: Activator
  /** Lets its idle sessions hibernate; `undefined` when they do not. */
  readonly hibernation: Hibernation | undefined
  /** The mailbox of hibernating and ended sessions. It stays empty. */
  readonly noMailbox: Queue.Queue<Envelope>
  readonly remember: { readonly answers: number; readonly clients: number }
  /** The services of the behavior. */
  readonly context: Context.Context<never>
  readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  readonly sessions = new Map<string, LiveSession>()
  readonly counters = new Counters()
  /** `true` once its Layer is closing: nothing starts any more. */
  closed = false

  private constructor(
    host: HostContext,
    definition: Session.Any,
    behavior: Behavior,
    context: Context.Context<never>,
    settings: KindSettings.KindSettings,
    makeActivator: (kind: Kind) => Activator
  ) {
    this.host = host
    this.definition = definition
    this.name = definition.kind
    this.behavior = behavior
    this.supervision = settings.supervision
    this.mailboxCapacity = settings.mailboxCapacity
    this.batch = settings.batch
    this.idleTimeout = settings.idleTimeout
    this.absoluteTimeout = settings.absoluteTimeout
    this.callTimeout = settings.callTimeout
    this.startTimeout = settings.startTimeout
    this.reconnectWindow = settings.reconnectWindow
    this.messageRate = settings.messageRate
    this.limitsStarts = settings.limitsStarts
    this.remember = settings.remember
    this.hibernation = settings.hibernateAfter === Infinity
      ? undefined
      : new Hibernation(settings.hibernateAfter, settings.snapshots?.passivateAfter ?? Infinity, host.deadlines)
    this.noMailbox = this.makeMailbox()
    // Without this, the span of the Layer's construction would be the parent of all spans of its sessions.
    this.context = Context.omit(Tracer.ParentSpan)(context) as Context.Context<never>
    this.runFork = Effect.runForkWith(this.context)
    this.activator = makeActivator(this)
    this.persistence = settings.snapshots === undefined ? undefined : new Persistence(
      definition,
      host,
      settings.snapshots.store,
      this.runFork,
      (id) => this.activator.activate(id),
      this.sessions,
      { ...settings.snapshots, idleTimeout: settings.idleTimeout }
    )
    const routes = new Map<string, Route>()
    for (const tag of definition.protocol.keys()) {
      routes.set(tag, {
        tag,
        handler: (behavior.handlers as Record<string, Route["handler"]>)[tag]!,
        overflow: settings.overflow.get(tag)!
      })
    }
    this.routes = routes
  }

  /** Checks the options. Fails with `InvalidConfig` on the first that is not usable. */
  static make(
    host: HostContext,
    definition: Session.Any,
    behavior: Behavior,
    options: KindOptions,
    context: Context.Context<never>,
    makeActivator: (kind: Kind) => Activator
  ): Effect.Effect<Kind, InvalidConfig> {
    return Effect.map(
      KindSettings.resolve(host.config, definition.kind, options, definition.protocol.keys(), context),
      (settings) => new Kind(host, definition, behavior, context, settings, makeActivator)
    )
  }

  /** `true` when no session starts any more. */
  get isClosing(): boolean {
    return this.closed || this.host.closed
  }

  /** The address of a session. */
  ref(id: string, session?: LiveSession): LocalRef {
    const { router } = this.host
    return router === undefined ? new LocalRef(this, id, session) : new RoutedRef(this, id, session, router)
  }

  /** The session with this id, if it is in memory and can take messages. */
  findLive(id: string): LiveSession | undefined {
    const session = this.sessions.get(id)
    if (session === undefined || session.status >= ending || !this.host.isHere(id)) return undefined
    // While nothing has expired, the time need not be read.
    return this.host.expiry.expired.size === 0 || session.isLive(this.host.now()) ? session : undefined
  }

  /** The number of sessions that have neither ended nor expired. */
  get count(): number {
    let { size } = this.sessions
    for (const { kind } of this.host.expiry.expired) if (kind === this) size--
    return size
  }

  /** The route of a message. A tag that the protocol lacks is a bug of the caller: it throws. */
  route(tag: string): Route {
    const route = this.routes.get(tag)
    if (route === undefined) throw new TypeError(`session kind ${this.name} has no message ${tag}`)
    return route
  }

  /** The error if the store could not hold this metadata. */
  checkMetadata(id: string, metadata: Readonly<Record<string, unknown>> | undefined): InvalidMetadata | undefined {
    if (metadata === undefined || this.persistence === undefined) return undefined
    const unfit = findUnfit(metadata, "metadata")
    return unfit === undefined ? undefined : InvalidMetadata.of(this.name, id, unfit.path, unfit.what)
  }

  makeMailbox(): Queue.Queue<Envelope> {
    return makeMailbox(this.mailboxCapacity)
  }

  run(effect: Effect.Effect<unknown>, done: (exit: Exit.Exit<unknown>) => void): Fiber.Fiber<unknown> {
    const fiber = this.runFork(effect)
    observe(this, fiber, (_, exit) => done(exit))
    return fiber
  }

  /** One of its callbacks has thrown: logs the defect. */
  threw(defect: unknown): void {
    this.runFork(Effect.logError(`something in the sessions of ${this.name} has failed`, defect))
  }
}
