/**
 * Layers and helpers for tests of sessions.
 *
 * Everything timed in this library runs on Effect's Clock. Under `it.effect` of `@effect/vitest` that is the
 * TestClock, so a test moves an hour of session life in a millisecond:
 *
 * ```ts
 * it.effect("a cart expires after an hour", () =>
 *   Effect.gen(function*() {
 *     const carts = yield* Cart
 *     yield* carts.start("ada")
 *     yield* TestSessions.elapse("1 hour")
 *     assert.isFalse(yield* carts.has("ada"))
 *   }).pipe(Effect.provide(TestSessions.layer(CartLayer))))
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import * as EndReason from "../contract/EndReason.ts"
import type { InvalidConfig } from "../contract/SessionError.ts"
import type { SessionEvent } from "../contract/SessionEvent.ts"
import * as SessionsConfig from "../policy/SessionsConfig.ts"
import { type DeadLetter, DeadLetters } from "../runtime/DeadLetters.ts"
import { SessionEvents } from "../runtime/SessionEvents.ts"
import { type Provided, Sessions } from "../runtime/Sessions.ts"

/**
 * Records the events of the sessions of a test, in order.
 *
 * @since 0.1.0
 * @category services
 */
export class Recorder extends Context.Service<Recorder, {
  /** All events so far. */
  readonly events: Effect.Effect<ReadonlyArray<SessionEvent>>
  /** The events with this tag so far. */
  readonly of: <T extends SessionEvent["_tag"]>(
    tag: T
  ) => Effect.Effect<ReadonlyArray<Extract<SessionEvent, { readonly _tag: T }>>>
  /** Removes the events so far. */
  readonly clear: Effect.Effect<void>
}>()("effect-sessions/testing/Recorder") {}

const recorder: Layer.Layer<Recorder, never, SessionEvents> = Layer.effect(
  Recorder,
  Effect.gen(function*() {
    const bus = yield* SessionEvents
    let events: Array<SessionEvent> = []
    yield* bus.listen((event) => {
      events.push(event)
    })
    return {
      events: Effect.sync(() => [...events]),
      of: (tag) => Effect.sync(() => events.filter((event) => event._tag === tag) as never),
      clear: Effect.sync(() => {
        events = []
      })
    }
  })
)

/**
 * Ends all sessions when a test is over. Moves the TestClock, so that the grace period of a busy session passes.
 */
const endInTime: Layer.Layer<never, never, Sessions | SessionsConfig.SessionsConfig> = Layer.effectDiscard(
  Effect.gen(function*() {
    const sessions = yield* Sessions
    const { shutdownGrace } = yield* SessionsConfig.SessionsConfig
    const clock = yield* Clock.Clock
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        const end = yield* Effect.forkChild(Effect.ignore(sessions.endAll({ reason: EndReason.shutdown })), {
          startImmediately: true
        })
        yield* settle
        if ("adjust" in clock) {
          while (end.pollUnsafe() === undefined) yield* TestClock.adjust(shutdownGrace)
        }
        yield* Fiber.join(end)
      })
    )
  })
)

/**
 * The services for one test: the given kinds in a `Sessions` of their own, a `Recorder`, and a metric registry of their own.
 * There is no start rate limit unless `config` sets one.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <A, E, R>(
  kinds: Layer.Layer<A, E, R>,
  config?: SessionsConfig.Options
): Layer.Layer<A | Provided | Recorder, E | InvalidConfig, Exclude<R, Provided | Recorder>> =>
  Layer.provideMerge(
    Layer.provideMerge(endInTime, kinds),
    recorder.pipe(
      Layer.provideMerge(Sessions.layer({ startRate: false, ...config })),
      Layer.provideMerge(Layer.sync(Metric.MetricRegistry, () => new Map()))
    )
  )

/**
 * Moves the TestClock: timers fire and deadlines pass, each at its time; then expired sessions are swept.
 *
 * @since 0.1.0
 * @category helpers
 */
export const elapse = (duration: Duration.Input): Effect.Effect<void, never, Sessions> =>
  Effect.gen(function*() {
    const sessions = yield* Sessions
    yield* TestClock.adjust(duration)
    yield* sessions.sweep
    yield* settle
  })

/**
 * Lets all runnable fibers run, without moving the clock.
 *
 * @since 0.1.0
 * @category helpers
 */
export const settle: Effect.Effect<void> = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, {
  discard: true
})

/**
 * Collects the values of a stream in the background. `seen` has the values so far; joining `fiber` gives the exit of the
 * stream. The values that the stream emits at once are in `seen` on return.
 *
 * @since 0.1.0
 * @category helpers
 */
export const collect = <A, E, R>(
  stream: Stream.Stream<A, E, R>
): Effect.Effect<{ readonly seen: ReadonlyArray<A>; readonly fiber: Fiber.Fiber<Exit.Exit<void, E>> }, never, R> =>
  Effect.gen(function*() {
    const seen: Array<A> = []
    const fiber = yield* Effect.forkChild(
      Effect.exit(Stream.runForEach(stream, (value) => Effect.sync(() => seen.push(value))))
    )
    yield* settle
    return { seen, fiber }
  })

/**
 * The dead letters so far.
 *
 * @since 0.1.0
 * @category helpers
 */
export const deadLetters: Effect.Effect<ReadonlyArray<DeadLetter>, never, DeadLetters> = Effect.flatMap(
  DeadLetters,
  (letters) => letters.recent
)
