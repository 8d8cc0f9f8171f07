import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Latch, Result, Schema, Stream } from "effect"
import { Session, Sessions, Supervision } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { busy, Counter, layer } from "./counter.ts"

const noPause = { backoff: () => 0 }

describe("Crash", () => {
  for (const tag of ["Throw", "Die"] as const) {
    it.effect(`a session resumes with its last good state after ${tag}`, () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        yield* ref.call("Add", 1)
        const error = yield* Effect.flip(ref.call(tag, "poison"))
        assert.strictEqual(error._tag, "SessionCrashed")
        assert.include(error.message, "poison")
        assert.isFalse(error.retrySafe)
        assert.deepStrictEqual(yield* ref.call("All"), [1])
        const letters = yield* TestSessions.deadLetters
        assert.strictEqual(letters.length, 1)
        const [letter] = letters
        assert.deepInclude(letter, { kind: "Counter", id: "a", tag, payload: "poison" })
        assert.isTrue(letter!.reason._tag === "Crashed" && Cause.hasDies(letter!.reason.cause))
      }).pipe(Effect.provide(TestSessions.layer(layer()))))
  }

  it.effect("a crash ends no other session, and messages behind the poison message are handled", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const a = yield* counters.start("a")
      const b = yield* counters.start("b")
      const latch = yield* busy(a)
      yield* a.cast("Die", "poison")
      yield* a.cast("Add", 1)
      yield* latch.open
      assert.deepStrictEqual(yield* a.call("All"), [0, 1])
      assert.strictEqual(yield* b.call("Add", 1), 1)
      assert.strictEqual((yield* TestSessions.deadLetters).length, 1)
    }).pipe(Effect.provide(TestSessions.layer(layer()))))

  it.effect("whatever is thrown, the session goes on and the answer describes it", () =>
    Effect.gen(function*() {
      class Thrower extends Session.Service<Thrower>()("Thrower", {
        state: Schema.Void,
        protocol: [Rpc.make("Throw", { payload: Schema.Unknown })]
      }) {}
      const ThrowerLayer = Thrower.toLayer(
        Thrower.behavior({
          init: () => undefined,
          handlers: {
            Throw: ({ payload }) => {
              throw payload
            }
          }
        }),
        { supervision: Supervision.resume({ maxCrashes: Infinity, ...noPause }) }
      )
      const circular: Record<string, unknown> = Object.create(null)
      circular["self"] = circular
      yield* Effect.gen(function*() {
        const ref = yield* (yield* Thrower).start("a")
        for (
          const thrown of [
            Object.create(null),
            circular,
            undefined,
            null,
            Symbol("s"),
            5n,
            { code: 5 },
            "",
            new Error("")
          ]
        ) {
          const error = yield* Effect.flip(ref.call("Throw", thrown))
          assert.strictEqual(error._tag, "SessionCrashed")
          assert.match(error.message, /crashed while handling Throw: \S/)
        }
        assert.isTrue(yield* ref.isLive)
      }).pipe(Effect.provide(TestSessions.layer(ThrowerLayer)))
    }))

  it.effect("a handler that interrupts itself counts as crashed", () =>
    Effect.gen(function*() {
      class Quitter extends Session.Service<Quitter>()("Quitter", {
        state: Schema.Int,
        protocol: [Rpc.make("Quit"), Rpc.make("Get", { success: Schema.Int })]
      }) {}
      const QuitterLayer = Quitter.toLayer(Quitter.behavior({
        init: () => 7,
        handlers: { Quit: () => Effect.interrupt, Get: ({ state }) => [state, state] }
      }))
      yield* Effect.gen(function*() {
        const ref = yield* (yield* Quitter).start("a")
        assert.strictEqual((yield* Effect.flip(ref.call("Quit")))._tag, "SessionCrashed")
        assert.strictEqual(yield* ref.call("Get"), 7)
      }).pipe(Effect.provide(TestSessions.layer(QuitterLayer)))
    }))

  it.effect("the pauses after crashes grow, and messages wait meanwhile", () =>
    Effect.gen(function*() {
      const { health } = yield* Sessions
      const ref = yield* (yield* Counter).start("a")
      yield* Effect.flip(ref.call("Throw", "1"))
      yield* Effect.flip(ref.call("Throw", "2"))
      assert.deepStrictEqual(yield* health, { total: 1, healthy: 0, crashed: 1 })
      const waiting = yield* Effect.forkChild(ref.call("Add", 1))
      yield* TestSessions.elapse("99 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestSessions.elapse("1 millis")
      assert.strictEqual(yield* Fiber.join(waiting), 1)
      assert.deepStrictEqual(yield* health, { total: 1, healthy: 1, crashed: 0 })
    }).pipe(Effect.provide(TestSessions.layer(layer({
      supervision: Supervision.resume({ backoff: Supervision.exponential({ base: "100 millis" }) })
    })))))

  it.effect("too many crashes end that session only, and everybody who waits has an answer", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const a = yield* counters.start("a")
      const b = yield* counters.start("b")
      for (const n of ["1", "2", "3"]) {
        yield* Effect.flip(a.call("Throw", n))
        yield* Effect.flip(b.call("Throw", n))
      }
      const latch = yield* busy(a)
      const poison = yield* Effect.forkChild(Effect.flip(a.call("Throw", "4")))
      const call = yield* Effect.forkChild(Effect.flip(a.call("Add", 1)))
      const end = yield* Effect.forkChild(a.awaitEnd)
      yield* TestSessions.settle
      yield* a.cast("Add", 2)
      yield* latch.open
      assert.strictEqual((yield* Fiber.join(poison))._tag, "SessionCrashed")
      const ended = yield* Fiber.join(call)
      assert.isTrue(ended._tag === "SessionEnded" && ended.reason._tag === "Crashed" && ended.retrySafe)
      assert.strictEqual((yield* Fiber.join(end))._tag, "Crashed")
      assert.isFalse(yield* a.isLive)
      assert.isTrue(yield* b.isLive)
      const letters = yield* TestSessions.deadLetters
      const undelivered = letters.filter((letter) => letter.reason._tag === "Undelivered")
      assert.deepStrictEqual(undelivered.map(({ id, payload, tag }) => ({ id, payload, tag })), [
        { id: "a", payload: 2, tag: "Add" }
      ])
    }).pipe(Effect.provide(TestSessions.layer(layer({
      supervision: Supervision.resume({ maxCrashes: 3, within: "10 seconds", ...noPause })
    })))))

  it.effect("a caller that learns of a crash finds the session resumed", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      const caller = yield* Effect.forkChild(
        Effect.andThen(Effect.flip(ref.call("Throw", "poison")), Effect.result(ref.call("Add", 1)))
      )
      yield* TestSessions.settle
      yield* latch.open
      const after = yield* Fiber.join(caller)
      assert.isTrue(Result.isFailure(after) && after.failure._tag === "SessionNotFound")
    }).pipe(Effect.provide(TestSessions.layer(layer({ supervision: Supervision.stop })))))

  it.effect("crashes that lie further apart than the window do not add up", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      for (let i = 0; i < 20; i++) {
        yield* Effect.flip(ref.call("Throw", "x"))
        yield* TestSessions.elapse("6 seconds")
      }
      assert.isTrue(yield* ref.isLive)
      assert.strictEqual((yield* ref.info).crashes, 20)
    }).pipe(Effect.provide(TestSessions.layer(layer({
      supervision: Supervision.resume({ maxCrashes: 2, within: "10 seconds", ...noPause })
    })))))

  it.effect("reset releases what the session held and starts a new incarnation with the same arguments", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      class Holder extends Session.Service<Holder>()("Holder", {
        state: Schema.String,
        args: Schema.String,
        protocol: [
          Rpc.make("Set", { payload: Schema.String }),
          Rpc.make("Die"),
          Rpc.make("Get", { success: Schema.String })
        ]
      }) {}
      const HolderLayer = Holder.toLayer(
        Holder.behavior({
          init: ({ args }) =>
            Effect.as(
              Effect.acquireRelease(
                Effect.sync(() => log.push(`acquire ${args}`)),
                () => Effect.sync(() => log.push(`release ${args}`))
              ),
              args
            ),
          handlers: {
            Set: ({ payload }) => [payload],
            Die: ({ self, state }) =>
              Effect.gen(function*() {
                yield* self.fork(
                  Effect.onInterrupt(Effect.never, () => Effect.sync(() => log.push("worker interrupted")))
                )
                yield* self.after("1 minute", "Set", "from a timer of the old incarnation")
                yield* Effect.yieldNow
                return yield* Effect.die(state)
              }),
            Get: ({ state }) => [state, state]
          }
        }),
        { supervision: Supervision.reset(noPause) }
      )
      yield* Effect.gen(function*() {
        const ref = yield* (yield* Holder).start("a", { args: "first" })
        const before = yield* ref.info
        yield* ref.call("Set", "second")
        const seen = yield* Effect.forkChild(Stream.runCollect(Stream.take(ref.changes(), 2)))
        yield* TestSessions.settle
        yield* Effect.flip(ref.call("Die"))
        assert.strictEqual(yield* ref.call("Get"), "first")
        const after = yield* ref.info
        assert.isAbove(after.epoch, before.epoch)
        assert.strictEqual(after.version, 0)
        assert.deepStrictEqual(yield* Fiber.join(seen), ["second", "first"])
        yield* TestSessions.elapse("2 minutes")
        assert.strictEqual(yield* ref.call("Get"), "first")
        assert.deepStrictEqual(log, ["acquire first", "worker interrupted", "release first", "acquire first"])
      }).pipe(Effect.provide(TestSessions.layer(HolderLayer)))
      assert.strictEqual(log.at(-1), "release first")
    }))

  it.effect("stop ends the session at its first crash", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      assert.strictEqual((yield* Effect.flip(ref.call("Die", "x")))._tag, "SessionCrashed")
      yield* TestSessions.settle
      assert.isFalse(yield* ref.isLive)
      const { of } = yield* TestSessions.Recorder
      assert.deepStrictEqual((yield* of("Stop")).map(({ reason }) => reason._tag), ["Crashed"])
    }).pipe(Effect.provide(TestSessions.layer(layer({ supervision: Supervision.stop })))))

  it.effect("a handler that gives neither a pair nor an Effect of one is a crash with a clear text", () =>
    Effect.gen(function*() {
      class Wrong extends Session.Service<Wrong>()("Wrong", {
        state: Schema.Int,
        protocol: [Rpc.make("Now"), Rpc.make("Later")]
      }) {}
      const WrongLayer = Wrong.toLayer(Wrong.behavior({
        init: () => 0,
        handlers: { Now: (() => undefined) as never, Later: (() => Effect.succeed(5)) as never }
      }))
      yield* Effect.gen(function*() {
        const ref = yield* (yield* Wrong).start("a")
        for (const tag of ["Now", "Later"] as const) {
          assert.include((yield* Effect.flip(ref.call(tag))).message, `Wrong.${tag} gave neither [state, reply]`)
        }
        assert.isTrue(yield* ref.isLive)
      }).pipe(Effect.provide(TestSessions.layer(WrongLayer)))
    }))

  it.effect("a call that is not answered in time says whether its handler had begun", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = Latch.makeUnsafe()
      const begun = yield* Effect.forkChild(Effect.flip(ref.call("AddWhen", { latch, n: 1 })))
      yield* TestSessions.settle
      const waiting = yield* Effect.forkChild(Effect.flip(ref.call("Add", 2, { timeout: "1 second" })))
      yield* TestSessions.elapse("1 second")
      const second = yield* Fiber.join(waiting)
      assert.isTrue(second._tag === "CallTimeout" && !second.begun && second.retrySafe)
      assert.isUndefined(begun.pollUnsafe())
      yield* TestSessions.elapse("4 seconds")
      const first = yield* Fiber.join(begun)
      assert.isTrue(first._tag === "CallTimeout" && first.begun && !first.retrySafe)
      yield* latch.open
      // The message that had begun completed; the other one was skipped.
      assert.deepStrictEqual(yield* ref.call("All"), [1])
    }).pipe(Effect.provide(TestSessions.layer(layer()))))
})
