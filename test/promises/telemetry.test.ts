import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Option, Stream, Tracer } from "effect"
import {
  DeadLetters,
  Expiry,
  MessageLimiter,
  type SessionEvent,
  SessionEvents,
  Sessions,
  SessionsConfig,
  StartLimiter
} from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import { busy, Counter, layer } from "./counter.ts"

const provide = Effect.provide(TestSessions.layer(layer({ mailboxCapacity: 1, overflow: "reject" })))

/** What an event says, without what differs from run to run. */
const gist = ({ at: _at, ...event }: SessionEvent.SessionEvent) => {
  const { duration: _duration, error, ...rest } = event as typeof event & { duration?: number; error?: any }
  return error === undefined ? rest : { ...rest, error: error._tag ?? error.message }
}

/** Keeps the spans that end, with the native tracer's ids. */
const spansKept = () => {
  const ended: Array<Tracer.Span> = []
  const native = Context.get(Context.empty(), Tracer.Tracer)
  const tracer = Tracer.make({
    span(options) {
      const span = native.span(options)
      const { end } = span
      span.end = (...args) => {
        ended.push(span)
        return end.apply(span, args)
      }
      return span
    }
  })
  return { ended, tracer }
}

describe("Telemetry", () => {
  it.effect("typed events describe the life of a session in order", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const ref = yield* counters.start("a")
      yield* ref.call("Add", 1)
      yield* ref.cast("Add", 2)
      yield* Effect.flip(ref.call("AddSlowly", -1))
      yield* ref.cast("AddSlowly", -1)
      yield* Effect.flip(ref.call("Throw", "poison"))
      yield* ref.end({ reason: { _tag: "Evicted" } })
      const { events } = yield* TestSessions.Recorder
      const a = { kind: "Counter", id: "a" }
      assert.deepStrictEqual((yield* events).map(gist), [
        { _tag: "RateLimitCheck", ...a },
        { _tag: "Start", ...a },
        { _tag: "Call", ...a, tag: "Add", outcome: "success" },
        { _tag: "Cast", ...a, tag: "Add", outcome: "success" },
        { _tag: "Call", ...a, tag: "AddSlowly", outcome: "failure" },
        { _tag: "Cast", ...a, tag: "AddSlowly", outcome: "failure" },
        { _tag: "CommunicationError", ...a, tag: "AddSlowly", error: "Refused" },
        { _tag: "Call", ...a, tag: "Throw", outcome: "failure" },
        { _tag: "Crash", ...a, tag: "Throw", defect: new Error("poison"), action: "resume", pause: 0 },
        { _tag: "Cleanup", ...a },
        { _tag: "Stop", ...a, reason: { _tag: "Evicted" }, messages: 5, connections: 0 }
      ] as never)
    }).pipe(provide))

  it.effect("refusals have events too", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      yield* Effect.flip(counters.start("no id"))
      const ref = yield* counters.start("a")
      yield* Effect.flip(counters.start("b"))
      const latch = yield* busy(ref)
      yield* ref.cast("Add", 1)
      yield* Effect.flip(ref.cast("Add", 2))
      yield* latch.open
      const { of } = yield* TestSessions.Recorder
      assert.deepStrictEqual((yield* of("StartError")).map(gist), [
        { _tag: "StartError", kind: "Counter", id: "no id", error: "InvalidSessionId" },
        { _tag: "StartError", kind: "Counter", id: "b", error: "StartRateExceeded" }
      ] as never)
      assert.deepStrictEqual((yield* of("RateLimitExceeded")).map(gist), [
        { _tag: "RateLimitExceeded", kind: "Counter", id: "b", limit: "starts", retryAfter: 60_000 }
      ] as never)
      assert.deepStrictEqual((yield* of("CommunicationError")).map(gist), [
        { _tag: "CommunicationError", kind: "Counter", id: "a", tag: "Add", error: "MailboxFull" }
      ] as never)
    }).pipe(Effect.provide(TestSessions.layer(layer({ mailboxCapacity: 1, overflow: "reject" }), {
      startRate: { limit: 1, window: "1 minute" }
    }))))

  it.effect("durations run on the session's clock", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const call = yield* Effect.forkChild(ref.call("AddSlowly", 1))
      yield* TestSessions.settle
      yield* TestSessions.elapse("1 second")
      yield* Fiber.join(call)
      yield* ref.end()
      const { of } = yield* TestSessions.Recorder
      assert.deepStrictEqual((yield* of("Call")).map(({ duration }) => duration), [1_000])
      assert.deepStrictEqual((yield* of("Stop")).map(({ duration }) => duration), [1_000])
    }).pipe(provide))

  it.effect("no event is created without a listener", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      yield* ref.call("Add", 1)
      yield* ref.end()
    }).pipe(Effect.provide(
      layer().pipe(
        Layer.provideMerge(Sessions.layerNoDeps),
        Layer.provideMerge(Layer.mergeAll(
          Expiry.layer,
          StartLimiter.layer,
          MessageLimiter.layer,
          DeadLetters.layer,
          Layer.succeed(SessionEvents, {
            active: false,
            publish: () => assert.fail("an event was made"),
            listen: () => Effect.void,
            listenUnsafe: () => () => {},
            stream: () => Stream.empty
          })
        )),
        Layer.provide(Layer.effect(SessionsConfig.SessionsConfig, SessionsConfig.make()))
      )
    )))

  it.effect("a handler is a span of its caller's trace, and so is what it does", () =>
    Effect.gen(function*() {
      const { ended, tracer } = spansKept()
      const ref = yield* (yield* Counter).start("a")
      yield* ref.call("Add", 1).pipe(Effect.withSpan("pure caller"), Effect.withTracer(tracer))
      const slow = yield* Effect.forkChild(
        ref.call("AddSlowly", 2).pipe(Effect.withSpan("slow caller"), Effect.withTracer(tracer))
      )
      yield* TestSessions.settle
      yield* TestSessions.elapse("1 second")
      yield* Fiber.join(slow)
      const parents = ended.map((span) => [
        span.name,
        Option.getOrUndefined(Option.map(span.parent, (parent) => parent._tag === "Span" ? parent.name : parent._tag))
      ])
      assert.deepStrictEqual(parents, [
        ["Counter.Add", "pure caller"],
        ["pure caller", undefined],
        ["Counter.AddSlowly", "slow caller"],
        ["slow caller", undefined]
      ])
      assert.strictEqual(ended[0]!.traceId, ended[1]!.traceId)
      assert.deepInclude(Object.fromEntries(ended[0]!.attributes), { "session.kind": "Counter", "session.id": "a" })
    }).pipe(provide))

  it.effect("a crash is a failed span", () =>
    Effect.gen(function*() {
      const { ended, tracer } = spansKept()
      const ref = yield* (yield* Counter).start("a")
      yield* Effect.flip(ref.call("Throw", "poison")).pipe(Effect.withTracer(tracer))
      const [span] = ended
      assert.strictEqual(span?.name, "Counter.Throw")
      assert.isTrue(span?.status._tag === "Ended" && span.status.exit._tag === "Failure")
    }).pipe(provide))
})
