import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Latch, Layer, Schema, Scope, Stream } from "effect"
import { DeadLetters, Session, Sessions } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"
import { busy, Counter, layer } from "./counter.ts"

/** Builds a Layer whose Scope the test closes. */
const closable = <A, E>(built: Layer.Layer<A, E>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(built, scope)
    return { context, close: Scope.close(scope, Exit.void) }
  })

const hosted = <A, E>(kinds: Layer.Layer<A, E, Layer.Success<ReturnType<typeof Sessions.layer>>>) =>
  closable(Layer.provideMerge(kinds, Sessions.layer({ shutdownGrace: "10 seconds" })))

describe("Shutdown", () => {
  it.effect("what was accepted is handled before the sessions end, and nothing new is accepted", () =>
    Effect.gen(function*() {
      const { close, context } = yield* hosted(layer())
      const counters = Context.get(context, Counter)
      const ref = yield* counters.start("a")
      const idle = yield* counters.start("idle")
      const latch = yield* busy(ref)
      const accepted = yield* Effect.forkChild(ref.call("Add", 1))
      yield* TestSessions.settle
      const end = yield* Effect.forkChild(ref.awaitEnd)
      const idleEnd = yield* Effect.forkChild(idle.awaitEnd)
      yield* TestSessions.settle
      const closing = yield* Effect.forkChild(close)
      yield* TestSessions.settle
      assert.strictEqual((yield* Effect.flip(ref.call("Add", 2)))._tag, "SessionNotFound")
      assert.strictEqual((yield* Effect.flip(counters.start("b")))._tag, "SessionsClosed")
      assert.deepStrictEqual(yield* Fiber.join(idleEnd), { _tag: "Shutdown" })
      assert.isUndefined(closing.pollUnsafe())
      yield* latch.open
      assert.strictEqual(yield* Fiber.join(accepted), 2)
      assert.deepStrictEqual(yield* Fiber.join(end), { _tag: "Shutdown" })
      yield* Fiber.join(closing)
    }))

  it.effect("after the grace period what is left is answered, and its casts are dead letters", () =>
    Effect.gen(function*() {
      const { close, context } = yield* hosted(layer())
      const counters = Context.get(context, Counter)
      const ref = yield* counters.start("a")
      const hanging = yield* Effect.forkChild(Effect.flip(ref.call("Hang", undefined, { timeout: "1 hour" })))
      yield* TestSessions.settle
      const waiting = yield* Effect.forkChild(Effect.flip(ref.call("Add", 1, { timeout: "1 hour" })))
      yield* TestSessions.settle
      yield* ref.cast("Add", 2)
      const closing = yield* Effect.forkChild(close)
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      const first = yield* Fiber.join(hanging)
      assert.isTrue(first._tag === "SessionEnded" && first.begun && first.reason._tag === "Shutdown")
      const second = yield* Fiber.join(waiting)
      assert.isTrue(second._tag === "SessionEnded" && !second.begun && second.retrySafe)
      const letters = yield* Context.get(context, DeadLetters).recent
      assert.deepStrictEqual(letters.map(({ payload, reason, tag }) => ({ payload, reason, tag })), [
        { payload: 2, reason: { _tag: "Undelivered", end: { _tag: "Shutdown" } }, tag: "Add" }
      ])
    }))

  it.effect("end hooks run with the reason while the services of the kind are still there", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      class Store extends Context.Service<Store, { readonly save: (text: string) => Effect.Effect<void> }>()("Store") {
        static readonly layer = Layer.effect(
          Store,
          Effect.acquireRelease(
            Effect.succeed({ save: (text: string) => Effect.sync(() => log.push(text)) }),
            () => Effect.sync(() => log.push("store closed"))
          )
        )
      }
      class Note extends Session.Service<Note>()("Note", { state: Schema.String, protocol: [] }) {}
      const NoteLayer = Note.toLayer(Effect.gen(function*() {
        const store = yield* Store
        return Note.behavior({
          init: ({ id }) =>
            Effect.as(
              Effect.acquireRelease(Effect.void, () => Effect.sync(() => log.push(`released ${id}`))),
              `note ${id}`
            ),
          handlers: {},
          end: ({ reason, state }) => Effect.andThen(Effect.sleep("1 second"), store.save(`${state}: ${reason._tag}`))
        })
      })).pipe(Layer.provide(Store.layer))
      const { close, context } = yield* hosted(NoteLayer)
      yield* Context.get(context, Note).startAll(["a", "b"])
      const closing = yield* Effect.forkChild(close)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(log, ["note a: Shutdown", "released a", "note b: Shutdown", "released b", "store closed"])
    }))

  it.effect("an end hook that hangs, or a handler that cannot be interrupted, does not hold the shutdown for ever", () =>
    Effect.gen(function*() {
      class Stubborn extends Session.Service<Stubborn>()("Stubborn", {
        state: Schema.Void,
        protocol: [Rpc.make("Insist")]
      }) {}
      const StubbornLayer = Stubborn.toLayer(Stubborn.behavior({
        init: () => undefined,
        handlers: { Insist: () => Effect.uninterruptible(Effect.never) },
        end: ({ self }) => self.id === "hook" ? Effect.never : Effect.void
      }))
      const { close, context } = yield* hosted(StubbornLayer)
      const stubborn = Context.get(context, Stubborn)
      yield* stubborn.start("hook")
      const ref = yield* stubborn.start("handler")
      const call = yield* Effect.forkChild(Effect.flip(ref.call("Insist", undefined, { timeout: "Infinity" })))
      yield* TestSessions.settle
      const closing = yield* Effect.forkChild(close)
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual((yield* Fiber.join(call))._tag, "SessionEnded")
    }))

  it.effect("streams of states end with the reason", () =>
    Effect.gen(function*() {
      const { close, context } = yield* hosted(layer())
      const ref = yield* Context.get(context, Counter).start("a")
      const seen: Array<ReadonlyArray<number>> = []
      const watching = yield* Effect.forkChild(
        Effect.flip(Stream.runForEach(ref.changes(), (state) => Effect.sync(() => seen.push(state))))
      )
      yield* TestSessions.settle
      yield* ref.call("Add", 1)
      yield* close
      const error = yield* Fiber.join(watching)
      assert.isTrue(error._tag === "SessionEnded" && error.reason._tag === "Shutdown")
      // The last state is delivered before the end.
      assert.deepStrictEqual(seen.at(-1), [1])
    }))

  it.effect("an end without draining interrupts the handler at once", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const call = yield* Effect.forkChild(Effect.flip(ref.call("Hang")))
      yield* TestSessions.settle
      assert.isTrue(yield* ref.end({ drain: false, reason: { _tag: "Evicted" } }))
      const error = yield* Fiber.join(call)
      assert.isTrue(error._tag === "SessionEnded" && error.begun && error.reason._tag === "Evicted")
      assert.isFalse(yield* ref.end())
    }).pipe(Effect.provide(TestSessions.layer(layer()))))

  it.effect("a start waits for the end of the session that had the id, so that two never live at once", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const ref = yield* counters.start("a")
      const latch = Latch.makeUnsafe()
      yield* ref.cast("AddWhen", { latch, n: 1 })
      const end = yield* Effect.forkChild(counters.end("a"))
      yield* TestSessions.settle
      const again = yield* Effect.forkChild(counters.start("a"))
      yield* TestSessions.settle
      assert.isUndefined(again.pollUnsafe())
      yield* latch.open
      assert.isTrue(yield* Fiber.join(end))
      yield* Fiber.join(again)
      // The old ref is an address: it reaches the new session.
      assert.deepStrictEqual(yield* ref.call("All"), [])
      assert.strictEqual(yield* ref.call("Add", 7), 1)
    }).pipe(Effect.provide(TestSessions.layer(layer()))))
})
