/**
 * Takes requests to the nodes that own their sessions.
 *
 * Where a place is changes. A request that finds it neither here nor at the node that the membership names, or whose node
 * certainly has not begun it, looks again, until its time is over. A request that a node may have begun, and has not answered,
 * is repeated only if that does no harm; otherwise its caller gets `NodeLost`.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type * as Tracer from "effect/Tracer"
import * as EndReason from "../../../contract/EndReason.ts"
import {
  CallTimeout,
  NodeLost,
  NodeUnavailable,
  type ReachError,
  SessionNotFound
} from "../../../contract/SessionError.ts"
import type { VersionedState, Watcher } from "../../../contract/SessionRef.ts"
import { backoff } from "../../../internal/backoff.ts"
import type { MonotonicClock } from "../../../internal/MonotonicClock.ts"
import type { Kind } from "../../../runtime/internal/host/Kind.ts"
import type { KindSessions } from "../../../runtime/internal/host/KindSessions.ts"
import { isNotHere, type Router } from "../../../runtime/internal/host/Placement.ts"
import type { Request } from "../../../runtime/internal/messages/Request.ts"
import type { RoutedRef } from "../../../runtime/internal/messages/RoutedRef.ts"
import { traceOf } from "../../../runtime/internal/messages/tracing.ts"
import { CallbackDeadline } from "../../../runtime/internal/time/Deadlines.ts"
import type { NodeAddress } from "../NodeAddress.ts"
import type { ClusterCounters } from "./clusterMetrics.ts"
import { KindCodec } from "./KindCodec.ts"
import type { Json, Link, Lost } from "./peers/model.ts"
import type { Place } from "./Place.ts"
import type { Places } from "./Places.ts"
import { RoutedWatch } from "./RoutedWatch.ts"
import { decodeAnswer, encodeRequest } from "./wire.ts"

/** The pauses between two looks for the owner of a place, in milliseconds, unless something is heard of it. */
const firstPause = 10
const longestPause = 250

export interface RouterOptions {
  readonly time: MonotonicClock
  readonly places: Places
  /** The link to another node. */
  readonly linkTo: (node: NodeAddress) => Link
  /** Makes the sessions of a kind. */
  readonly register: (kind: Kind, codec: KindCodec) => KindSessions
  readonly leave: Effect.Effect<void>
  readonly counters: ClusterCounters
}

/** Is told what is heard of a followed request. */
type OnEvent = (json: Json) => void

export class ClusterRouter implements Router {
  readonly time: MonotonicClock
  readonly places: Places
  readonly leave: Effect.Effect<void>
  readonly counters: ClusterCounters
  private readonly options: RouterOptions
  private readonly codecs = new Map<string, KindCodec>()
  private readonly mirrors = new Map<string, Deferred.Deferred<SubscriptionRef.SubscriptionRef<any>, ReachError>>()

  constructor(options: RouterOptions) {
    this.options = options
    this.time = options.time
    this.places = options.places
    this.leave = options.leave
    this.counters = options.counters
  }

  of(id: string): Place {
    return this.places.of(id)
  }

  register(kind: Kind): KindSessions {
    const codec = new KindCodec(kind.definition)
    this.codecs.set(kind.name, codec)
    return this.options.register(kind, codec)
  }

  codecOf(kind: string): KindCodec {
    return this.codecs.get(kind)!
  }

  linkTo(node: NodeAddress): Link {
    return this.options.linkTo(node)
  }

  route<A, E>(ref: RoutedRef, request: Request, here: Effect.Effect<A, E>, onEvent?: OnEvent): Effect.Effect<A, E> {
    return Effect.withFiber((fiber) =>
      new Routing<A, E>(this, ref, request, here, onEvent, traceOf(fiber)?.parent).attempt()
    )
  }

  // -------------------------------------------------------------------------------------------------------
  // requests that stay open, and go on when the session moves
  // -------------------------------------------------------------------------------------------------------

  /**
   * Repeats a request that ends with the session until the session has ended, and not only moved. The first failure is the
   * caller's; after that, a session that is not found any more has ended with its move.
   */
  private follow(once: Effect.Effect<EndReason.EndReason, ReachError>): Effect.Effect<EndReason.EndReason, ReachError> {
    let failures = 0
    const again: Effect.Effect<EndReason.EndReason> = Effect.matchEffect(once, {
      onFailure: (error) =>
        error._tag === "SessionNotFound"
          ? Effect.succeed(EndReason.moved)
          : Effect.andThen(
            Effect.sleep(backoff(++failures, firstPause, 4 * longestPause)),
            Effect.suspend(() => again)
          ),
      onSuccess: (reason) => {
        failures = 0
        return goOn(reason)
      }
    })
    const goOn = (reason: EndReason.EndReason): Effect.Effect<EndReason.EndReason> =>
      reason._tag === "Moved" ? again : Effect.succeed(reason)
    return Effect.flatMap(once, goOn)
  }

  watch(ref: RoutedRef, watcher: Watcher<any>): Effect.Effect<VersionedState<any>, ReachError, Scope.Scope> {
    return Effect.suspend(() => {
      const watch = new RoutedWatch(this.codecOf(ref.kind), watcher, () => SessionNotFound.of(ref.kind, ref.id))
      const here = Effect.scoped(Effect.suspend(() => {
        const over = Deferred.makeUnsafe<EndReason.EndReason>()
        const ended = (reason: EndReason.EndReason) => Deferred.doneUnsafe(over, Effect.succeed(reason))
        return Effect.flatMap(
          ref.watchHere({ changed: watch.changed, identified: watch.identified, ended }),
          (first) => {
            watch.changed(first.state, first.version, first.epoch)
            return Effect.andThen(Effect.map(ref.infoHere, watch.identifies), Deferred.await(over))
          }
        )
      }))
      const follow = this.follow(this.route(ref, { op: "watch" }, here, watch.heard))
      return Effect.andThen(forkFollow(follow, (exit) => watch.over(exit)), watch.first)
    })
  }

  awaitEnd(ref: RoutedRef): Effect.Effect<EndReason.EndReason, ReachError> {
    return this.follow(this.route(ref, { op: "awaitEnd" }, ref.awaitEndHere, () => {}))
  }

  attach(ref: RoutedRef): Effect.Effect<void, ReachError, Scope.Scope> {
    return Effect.suspend(() => {
      const attached = Deferred.makeUnsafe<void, ReachError>()
      const counted = () => Deferred.doneUnsafe(attached, Effect.void)
      const here = Effect.scoped(
        Effect.andThen(Effect.tap(ref.attachHere, () => Effect.sync(counted)), ref.awaitEndHere)
      )
      const follow = this.follow(this.route(ref, { op: "attach" }, here, counted))
      const over = (exit: Exit.Exit<unknown, ReachError>) => Deferred.doneUnsafe(attached, Exit.asVoid(exit))
      return Effect.andThen(forkFollow(follow, over), Deferred.await(attached))
    })
  }

  mirror(ref: RoutedRef): Effect.Effect<SubscriptionRef.SubscriptionRef<any>, ReachError> {
    const key = `${ref.kind}/${ref.id}`
    return Effect.suspend(() => {
      const found = this.mirrors.get(key)
      if (found !== undefined) return Deferred.await(found)
      // At once, so that all who ask meanwhile get the same one.
      const made = Deferred.makeUnsafe<SubscriptionRef.SubscriptionRef<any>, ReachError>()
      this.mirrors.set(key, made)
      ref.home.runFork(
        Effect.catchCause(this.follows(ref, made), (cause) => Deferred.failCause(made, cause)).pipe(
          Effect.ensuring(Effect.sync(() => this.mirrors.delete(key)))
        )
      )
      return Deferred.await(made)
    })
  }

  /** Makes the mirror, and sets it to each state of the session until that has ended. */
  private follows(
    ref: RoutedRef,
    made: Deferred.Deferred<SubscriptionRef.SubscriptionRef<any>, ReachError>
  ): Effect.Effect<void, ReachError> {
    return Effect.scoped(Effect.gen({ self: this }, function*() {
      const over = Deferred.makeUnsafe<void>()
      const states = new MirroredStates()
      const { state } = yield* this.watch(ref, {
        changed: (state) => states.changed(state),
        ended: () => Deferred.doneUnsafe(over, Effect.void)
      })
      const mirror = yield* SubscriptionRef.make(state)
      states.into(mirror)
      yield* Deferred.succeed(made, mirror)
      yield* Deferred.await(over)
    }))
  }
}

/** Keeps the latest state until there is a mirror for it. */
class MirroredStates {
  private mirror: SubscriptionRef.SubscriptionRef<any> | undefined
  private latest: { readonly state: unknown } | undefined

  changed(state: unknown): void {
    this.latest = { state }
    if (this.mirror === undefined) return
    this.mirror.value = state
    PubSub.publishUnsafe(this.mirror.pubsub, state)
  }

  into(mirror: SubscriptionRef.SubscriptionRef<any>): void {
    this.mirror = mirror
    if (this.latest !== undefined) this.changed(this.latest.state)
  }
}

/** Follows for as long as the Scope lives, and says how that ends if it ends before. */
const forkFollow = <A>(
  follow: Effect.Effect<A, ReachError>,
  over: (exit: Exit.Exit<A, ReachError>) => void
): Effect.Effect<unknown, never, Scope.Scope> =>
  Effect.forkScoped(Effect.onExit(follow, (exit) => {
    if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return Effect.void
    over(exit)
    return Exit.isFailure(exit) && Cause.hasDies(exit.cause)
      ? Effect.logError("a session in the cluster is not followed any more", exit.cause)
      : Effect.void
  }))

/** One request, until it is answered. */
class Routing<A, E> {
  private readonly router: ClusterRouter
  private readonly ref: RoutedRef
  private readonly here: Effect.Effect<A, E>
  private readonly onEvent: OnEvent | undefined
  private readonly span: Tracer.AnySpan | undefined
  private readonly place: Place
  private readonly timeout: number
  private request: Request
  /** The encoded request. */
  private json: Json = undefined
  private deadline: number
  private looks = 0
  /** May a node have begun it, and not have answered? */
  private mayHaveBegun = false

  constructor(
    router: ClusterRouter,
    ref: RoutedRef,
    request: Request,
    here: Effect.Effect<A, E>,
    onEvent: OnEvent | undefined,
    span: Tracer.AnySpan | undefined
  ) {
    const { home } = ref
    this.router = router
    this.ref = ref
    this.request = request
    this.here = here
    this.onEvent = onEvent
    this.span = span
    this.place = router.of(ref.id)
    this.timeout = "timeout" in request && request.op !== "setIdleTimeout"
      ? request.timeout
      : request.op === "start" && home.startTimeout < Infinity
      ? home.startTimeout + home.callTimeout
      : home.callTimeout
    this.deadline = home.host.now() + this.timeout
  }

  /** Does it here, or asks the node that owns the place. */
  attempt(): Effect.Effect<A, any> {
    const { host } = this.ref.home
    const { places } = this.router
    const now = host.now()
    if (this.looks > 0 && now >= this.deadline) return this.late()
    if (this.place.isHere(now)) {
      // What it does here has time limits of its own, but those begin when it does.
      const here = this.looks === 0 || this.onEvent !== undefined ? this.here : Effect.timeoutOrElse(this.here, {
        duration: this.deadline - now,
        orElse: () => {
          this.mayHaveBegun = true
          return this.late()
        }
      })
      return Effect.catchIf(here, isNotHere, () => this.later())
    }
    const owner = places.ownerOf(this.place)
    return owner === undefined || places.isMine(this.place) ? this.later() : this.ask(owner)
  }

  private ask(owner: NodeAddress): Effect.Effect<A, any> {
    const { home, kind } = this.ref
    const { deadlines } = home.host
    const codec = this.router.codecOf(kind)
    return Effect.callback<A, any>((resume) => {
      // A payload that does not fit its schema cannot be sent.
      this.json ??= encodeRequest(codec, this.ref, this.request, this.span)
      const limit = new CallbackDeadline(() => {
        withdraw()
        this.mayHaveBegun = true
        resume(this.late())
      })
      deadlines.set(limit, this.deadline)
      this.router.counters.sent++
      const withdraw = this.router.linkTo(owner).ask(this.json, {
        event: (json) => {
          // It has been found; from now on it takes as long as it takes.
          deadlines.cancel(limit)
          this.deadline = Infinity
          try {
            this.onEvent?.(json)
          } catch (defect) {
            withdraw()
            resume(Effect.die(defect))
          }
        },
        end: (json) => {
          deadlines.cancel(limit)
          try {
            resume(decodeAnswer(codec, this.ref, this.request, json))
          } catch (defect) {
            resume(Effect.die(defect))
          }
        },
        lost: (lost) => {
          deadlines.cancel(limit)
          resume(this.lost(lost))
        }
      })
      return Effect.sync(() => {
        deadlines.cancel(limit)
        withdraw()
      })
    })
  }

  /** There is no answer. */
  private lost({ reason, sent }: Lost): Effect.Effect<A, any> {
    const { id, kind } = this.ref
    if (reason === "unsendable") {
      return Effect.die(new Error(`a request for ${kind}/${id} is too large for another node`))
    }
    if (this.deadline === Infinity) this.deadline = this.ref.home.host.now() + this.timeout
    if (!sent) return this.later()
    const { request } = this
    if (request.op === "call" || request.op === "cast") {
      this.router.counters.lost++
      return Effect.fail(NodeLost.of(kind, id, request.tag))
    }
    this.mayHaveBegun = true
    if (request.op === "once") {
      this.request = { ...request, action: { ...request.action, again: true } }
      this.json = undefined
    }
    return this.later()
  }

  /** Looks again when something is heard of the place, or after a pause. */
  private later(): Effect.Effect<A, any> {
    const { place } = this
    const { host } = this.ref.home
    this.router.counters.retries++
    const pause = Effect.callback<void>((resume) => {
      const stop = () => {
        host.deadlines.cancel(timer)
        forgetOpen()
        forgetChange()
      }
      const done = () => {
        stop()
        resume(Effect.void)
      }
      const timer = new CallbackDeadline(done)
      const forgetOpen = place.onOpen(done)
      const forgetChange = this.router.places.onChange(done)
      host.deadlines.set(timer, Math.min(this.deadline, host.now() + backoff(++this.looks, firstPause, longestPause)))
      return Effect.sync(stop)
    })
    return Effect.flatMap(pause, () => this.attempt())
  }

  private late(): Effect.Effect<A, any> {
    const { request, ref: { home, id, kind } } = this
    if (request.op !== "call" && request.op !== "once") {
      this.router.counters.unavailable++
      return Effect.fail(NodeUnavailable.of(kind, id))
    }
    home.counters.timeouts++
    return Effect.fail(CallTimeout.of(kind, id, request.tag, request.timeout, this.mayHaveBegun))
  }
}
