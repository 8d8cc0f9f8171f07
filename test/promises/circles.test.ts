import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { Session } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"

/** What a handler is to do, given by the test. */
const Work = Schema.declare((u: unknown): u is Effect.Effect<unknown, unknown> => Effect.isEffect(u))

class Node extends Session.Service<Node>()("Node", {
  state: Schema.Int,
  protocol: [
    Rpc.make("Run", { payload: Work, success: Schema.Unknown }),
    Rpc.make("Fork", { payload: Work }),
    Rpc.make("Count", { success: Schema.Int })
  ]
}) {}

const provide = Effect.provide(TestSessions.layer(
  Node.toLayer(
    Node.behavior({
      init: () => 0,
      handlers: {
        Run: ({ payload, state }) => Effect.map(Effect.orDie(payload), (result) => [state + 1, result] as const),
        Fork: ({ payload, self, state }) => Effect.as(self.fork(payload), [state + 1] as const),
        Count: ({ state }) => [state, state]
      }
    }),
    { mailboxCapacity: 2 }
  )
))

const three = Effect.flatMap(
  Node,
  (nodes) => Effect.forEach(["a", "b", "c"], (id) => nodes.start(id))
) as Effect.Effect<
  [Session.Ref<typeof Node>, Session.Ref<typeof Node>, Session.Ref<typeof Node>],
  never,
  Node
>

/** The message of the defect of which a call's handler died, without any time passing. */
const crashOf = (call: Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.flip(call))
    yield* TestSessions.settle
    assert.isDefined(fiber.pollUnsafe(), "told at once")
    const error = yield* Fiber.join(fiber)
    assert.strictEqual(error._tag, "SessionCrashed")
    return error.message
  })

/** The value of a call, without any time passing. */
const atOnce = <A, E>(call: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(call)
    yield* TestSessions.settle
    assert.isDefined(fiber.pollUnsafe(), "answered at once")
    return yield* Fiber.join(fiber)
  })

describe("Calls in a circle fail at once", () => {
  it.effect("a handler that calls its own session", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      assert.include(yield* crashOf(a.call("Run", Effect.orDie(a.call("Count")))), "Node/a calls itself (Count)")
    }).pipe(provide))

  it.effect("also from a fiber of the handler: under a timeout, in parallel, forked", () =>
    Effect.gen(function*() {
      type Way = (self: Session.Ref<typeof Node>) => Effect.Effect<unknown, unknown>
      const ways: Record<string, Way> = {
        timeout: (self) => Effect.timeout(self.call("Count"), "1 minute"),
        all: (self) => Effect.all([self.call("Count"), Effect.void], { concurrency: "unbounded" }),
        fork: (self) => Effect.flatMap(Effect.forkChild(self.call("Count")), Fiber.join),
        once: (self) => Effect.timeout(self.callOnce("Count", undefined, { client: "x", sequence: 1 }), "1 minute")
      }
      for (const [id, way] of Object.entries(ways)) {
        const self = yield* (yield* Node).start(id)
        assert.include(yield* crashOf(self.call("Run", way(self))), "calls itself (Count)")
      }
    }).pipe(provide))

  it.effect("two and three sessions that call each other, with the path", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* three
      const [d, e] = [yield* (yield* Node).start("d"), yield* (yield* Node).start("e")]
      assert.include(
        yield* crashOf(d.call("Run", e.call("Run", d.call("Count")))),
        "circle (Node/d → Node/e → Node/d, Count)"
      )
      for (const node of [d, e]) assert.strictEqual(yield* node.call("Count"), 0)
      const inner = c.call("Run", Effect.timeout(a.call("Count"), "1 minute"))
      const all = a.call("Run", b.call("Run", inner))
      assert.include(yield* crashOf(all), "(Node/a → Node/b → Node/c → Node/a")
    }).pipe(provide))

  it.effect("a handler that casts into its own full mailbox is refused", () =>
    Effect.gen(function*() {
      const [a] = yield* three
      const fill = Effect.forEach([1, 2, 3], () => a.cast("Run", Effect.void), { discard: true })
      const full = yield* atOnce(a.call("Run", Effect.flip(fill)))
      assert.strictEqual((full as { _tag: string })._tag, "MailboxFull")
      assert.strictEqual(yield* a.call("Count"), 3)
    }).pipe(provide))

  it.effect("but not work beside a session, calls without a circle, and who has stopped waiting", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* three
      // Work that a handler forked calls the session, idle and busy.
      yield* atOnce(a.call("Fork", Effect.orDie(a.call("Run", Effect.void))))
      yield* TestSessions.settle
      assert.strictEqual(yield* a.call("Count"), 2)
      const count = Effect.andThen(Effect.sleep("1 second"), Effect.orDie(a.call("Run", Effect.void)))
      yield* a.call("Fork", count)
      const long = yield* Effect.forkChild(a.call("Run", Effect.sleep("2 seconds")))
      yield* TestSessions.elapse("2 seconds")
      yield* Fiber.join(long)
      assert.strictEqual(yield* a.call("Count"), 5)
      // A diamond is no circle.
      const diamond = a.call("Run", Effect.all([b.call("Run", c.call("Count")), c.call("Count")].map(Effect.orDie)))
      assert.deepStrictEqual(yield* atOnce(diamond), [0, 0])
      // a stops waiting for b, which then calls a while a still works.
      const slow = b.call("Run", Effect.andThen(Effect.sleep("3 seconds"), Effect.exit(a.call("Count"))))
      const impatient = Effect.andThen(Effect.exit(Effect.timeout(slow, "1 second")), Effect.sleep("3 seconds"))
      const call = yield* Effect.forkChild(a.call("Run", impatient))
      yield* TestSessions.elapse("4 seconds")
      yield* Fiber.join(call)
      assert.strictEqual((yield* b.info).crashes, 0)
      assert.strictEqual(yield* b.call("Count"), 2)
    }).pipe(provide))
})
