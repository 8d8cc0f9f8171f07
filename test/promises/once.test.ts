import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Latch, type Result, Schema } from "effect"
import { EndReason, type KindOptions, Session, type SessionRef, Sessions, Supervision } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { busy, Counter, layer } from "./counter.ts"

const counters = (options?: Parameters<typeof layer>[0]) => Effect.provide(TestSessions.layer(layer(options)))
const provide = counters()

const once = (client: string, sequence: number, more?: Partial<SessionRef.OnceOptions>): SessionRef.OnceOptions => ({
  client,
  sequence,
  ...more
})

/** Runs it as far as it gets without waiting: what it sends is sent when this is done. */
const begin = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

class Failed extends Schema.TaggedError<Failed>()("Failed", { run: Schema.Int }) {}

/** Where and how an action is handled. */
const Step = Schema.Struct({ name: Schema.String, how: Schema.Literals(["now", "soon", "slowly", "fail", "throw"]) })

/** A kind that keeps a record of what its handler has run, whatever comes of it. No two runs have the same answer. */
class Ledger extends Session.Service<Ledger>()("Ledger", {
  state: Schema.Array(Schema.String),
  protocol: [Rpc.make("Do", { payload: Step, success: Schema.Int, error: Failed })]
}) {}

const ledger = (options?: KindOptions.KindOptions<"Do">) => {
  const ran: Array<string> = []
  const provide = Effect.provide(TestSessions.layer(Ledger.toLayer(
    Ledger.behavior({
      init: (): ReadonlyArray<string> => [],
      handlers: {
        Do: ({ payload: { how, name }, state }) => {
          const run = ran.push(name)
          const done = [[...state, name], run] as const
          switch (how) {
            case "now":
              return done
            case "soon":
              return Effect.as(Effect.yieldNow, done)
            case "slowly":
              return Effect.as(Effect.sleep("1 second"), done)
            case "fail":
              return Effect.fail(new Failed({ run }))
            case "throw":
              throw new Error(`run ${run}`)
          }
        }
      }
    }),
    { supervision: Supervision.resume({ maxCrashes: Infinity, backoff: () => 0 }), ...options }
  )))
  return { ran, provide }
}

describe("Once", () => {
  describe("an action that is sent again after its answer", () => {
    it.effect("gets the same answer, and is handled once", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        assert.strictEqual(yield* ref.callOnce("Add", 7, once("c", 1)), 1)
        yield* ref.cast("Add", 8)
        for (const more of [undefined, { again: true }, { again: true, epoch: -1 }]) {
          assert.strictEqual(yield* ref.callOnce("Add", 7, once("c", 1, more)), 1)
        }
        assert.deepStrictEqual(yield* ref.state, [7, 8])
        const { totals } = yield* (yield* Sessions).stats
        assert.deepInclude(totals["Counter"], { calls: 1, casts: 1 })
      }).pipe(provide))

    it.effect("gets the same answer when there is nothing in it", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        assert.isUndefined(yield* ref.callOnce("Sample", 7, once("c", 1)))
        assert.isUndefined(yield* ref.callOnce("Sample", 7, once("c", 1)))
        assert.deepStrictEqual(yield* ref.state, [7])
      }).pipe(provide))

    it.effect("gets the same declared error", () => {
      const { provide, ran } = ledger()
      return Effect.gen(function*() {
        const ref = yield* (yield* Ledger).start("a")
        const send = Effect.flip(ref.callOnce("Do", { name: "x", how: "fail" }, once("c", 1)))
        assert.deepStrictEqual(yield* send, new Failed({ run: 1 }))
        assert.deepStrictEqual(yield* send, new Failed({ run: 1 }))
        assert.deepStrictEqual(ran, ["x"])
        // It was the client's first action all the same.
        assert.strictEqual(yield* ref.callOnce("Do", { name: "y", how: "now" }, once("c", 2)), 2)
      }).pipe(provide)
    })

    it.effect("gets the same crash, and crashes nothing again", () => {
      const { provide, ran } = ledger()
      return Effect.gen(function*() {
        const ref = yield* (yield* Ledger).start("a")
        const send = Effect.flip(ref.callOnce("Do", { name: "x", how: "throw" }, once("c", 1)))
        for (const error of [yield* send, yield* send]) {
          assert.strictEqual(error._tag, "SessionCrashed")
          assert.include(error.message, "run 1")
        }
        assert.deepStrictEqual(ran, ["x"])
        assert.strictEqual((yield* ref.info).crashes, 1)
        assert.strictEqual((yield* TestSessions.deadLetters).length, 1)
        assert.strictEqual(yield* ref.callOnce("Do", { name: "y", how: "now" }, once("c", 2)), 2)
      }).pipe(provide)
    })

    it.effect("is not mistaken for the same number of another client or of another session", () =>
      Effect.gen(function*() {
        const a = yield* (yield* Counter).start("a")
        const b = yield* (yield* Counter).start("b")
        assert.strictEqual(yield* a.callOnce("Add", 1, once("c", 1)), 1)
        assert.strictEqual(yield* a.callOnce("Add", 2, once("d", 1)), 2)
        assert.strictEqual(yield* a.callOnce("Add", 1, once("c", 1)), 1)
        assert.strictEqual(yield* b.callOnce("Add", 3, once("d", 1)), 1)
        assert.deepStrictEqual(yield* a.state, [1, 2])
      }).pipe(provide))

    it.effect("is found by any ref of the session", () =>
      Effect.gen(function*() {
        const counter = yield* Counter
        const ref = yield* counter.start("a")
        assert.strictEqual(yield* ref.callOnce("Add", 1, once("c", 1)), 1)
        assert.strictEqual(yield* counter.ref("a").callOnce("Add", 1, once("c", 1)), 1)
        assert.deepStrictEqual(yield* ref.state, [1])
      }).pipe(provide))
  })

  describe("an action that is sent again while it is under way", () => {
    it.effect("is joined: all get the answer of its one run", () => {
      const { provide, ran } = ledger()
      return Effect.gen(function*() {
        const ref = yield* (yield* Ledger).start("a")
        const send = ref.callOnce("Do", { name: "x", how: "slowly" }, once("c", 1))
        const senders = [yield* begin(send), yield* begin(send), yield* begin(send)]
        yield* TestSessions.elapse("999 millis")
        for (const sender of senders) assert.isUndefined(sender.pollUnsafe())
        yield* TestSessions.elapse("1 millis")
        assert.deepStrictEqual(yield* Fiber.joinAll(senders), [1, 1, 1])
        assert.deepStrictEqual(ran, ["x"])
        assert.deepStrictEqual(yield* ref.state, ["x"])
      }).pipe(provide)
    })

    it.effect("is joined while it still waits for its turn", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const latch = yield* busy(ref)
        const send = ref.callOnce("Add", 7, once("c", 1))
        const senders = [yield* begin(send), yield* begin(send)]
        assert.strictEqual((yield* ref.info).mailbox, 1)
        yield* latch.open
        assert.deepStrictEqual(yield* Fiber.joinAll(senders), [2, 2])
        assert.deepStrictEqual(yield* ref.call("All"), [0, 7])
      }).pipe(provide))

    it.effect("is joined by a sender that learned from its handler that it runs", () =>
      Effect.gen(function*() {
        class Teller extends Session.Service<Teller>()("Teller", {
          state: Schema.Int,
          protocol: [Rpc.make("Tell", { success: Schema.Int })]
        }) {}
        const begun = yield* Deferred.make<void>()
        const TellerLayer = Teller.toLayer(Teller.behavior({
          init: () => 0,
          handlers: {
            Tell: ({ state }) =>
              Deferred.done(begun, Exit.void).pipe(
                Effect.andThen(Effect.sleep("1 second")),
                Effect.as([state + 1, state + 1] as const)
              )
          }
        }))
        yield* Effect.gen(function*() {
          const ref = yield* (yield* Teller).start("a")
          const send = ref.callOnce("Tell", undefined, once("c", 1))
          const second = yield* begin(Effect.andThen(Deferred.await(begun), send))
          const first = yield* begin(send)
          yield* TestSessions.elapse("2 seconds")
          assert.deepStrictEqual(yield* Fiber.joinAll([first, second]), [1, 1])
          assert.strictEqual(yield* ref.state, 1)
        }).pipe(Effect.provide(TestSessions.layer(TellerLayer)))
      }))

    it.effect("may be followed by the next one of who saw what it did", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const context = yield* Effect.context<never>()
        const seen: Array<Exit.Exit<number, unknown>> = []
        yield* ref.watch({
          changed: ({ length }) => {
            if (length === 1) {
              Effect.runForkWith(context)(ref.callOnce("Add", 2, once("c", 2))).addObserver((exit) => seen.push(exit))
            }
          },
          ended() {}
        })
        assert.strictEqual(yield* ref.callOnce("Add", 1, once("c", 1)), 1)
        yield* TestSessions.settle
        assert.deepStrictEqual(seen, [Exit.succeed(2)])
        assert.deepStrictEqual(yield* ref.state, [1, 2])
      }).pipe(Effect.scoped, provide))

    it.effect("fails for all who wait when it fails", () => {
      const { provide, ran } = ledger()
      return Effect.gen(function*() {
        const ref = yield* (yield* Ledger).start("a")
        yield* ref.cast("Do", { name: "busy", how: "slowly" })
        const fail = Effect.flip(ref.callOnce("Do", { name: "x", how: "fail" }, once("c", 1)))
        const crash = Effect.flip(ref.callOnce("Do", { name: "y", how: "throw" }, once("c", 2)))
        const senders = [yield* begin(fail), yield* begin(crash), yield* begin(fail), yield* begin(crash)]
        yield* TestSessions.elapse("1 second")
        const errors = yield* Fiber.joinAll(senders)
        assert.deepStrictEqual(errors.map(({ _tag }) => _tag), [
          "Failed",
          "SessionCrashed",
          "Failed",
          "SessionCrashed"
        ])
        assert.deepStrictEqual(ran, ["busy", "x", "y"])
      }).pipe(provide)
    })
  })

  describe("who sent an action", () => {
    it.effect("does not withdraw it when it is interrupted", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const latch = yield* busy(ref)
        const sender = yield* begin(ref.callOnce("Add", 7, once("c", 1)))
        yield* Fiber.interrupt(sender)
        yield* latch.open
        assert.deepStrictEqual(yield* ref.call("All"), [0, 7])
        assert.strictEqual(yield* ref.callOnce("Add", 7, once("c", 1, { again: true })), 2)
        assert.deepStrictEqual(yield* ref.call("All"), [0, 7])
      }).pipe(provide))

    it.effect("can be interrupted without disturbing the others who wait for it", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const latch = Latch.makeUnsafe()
        const send = ref.callOnce("AddWhen", { latch, n: 7 }, once("c", 1))
        const [first, second, third] = [yield* begin(send), yield* begin(send), yield* begin(send)]
        yield* Fiber.interrupt(first)
        yield* Fiber.interrupt(third)
        yield* latch.open
        assert.strictEqual(yield* Fiber.join(second), 1)
        // Nothing is left of their deadlines.
        yield* TestSessions.elapse("1 minute")
        assert.strictEqual((yield* (yield* Sessions).stats).totals["Counter"]?.timeouts, 0)
      }).pipe(provide))

    it.effect("gets a timeout while there is no answer yet, and the answer later", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const latch = yield* busy(ref)
        const send = (timeout: `${number} seconds`) => ref.callOnce("Add", 7, once("c", 1, { timeout }))
        const first = yield* begin(Effect.flip(send("1 seconds")))
        const patient = yield* begin(send("10 seconds"))
        yield* TestSessions.elapse("999 millis")
        assert.isUndefined(first.pollUnsafe())
        yield* TestSessions.elapse("1 millis")
        const error = yield* Fiber.join(first)
        assert.deepInclude(error, { _tag: "CallTimeout", tag: "Add", timeout: 1_000 })
        // It takes place yet: neither "skipped", nor safe to be sent as another action.
        assert.isTrue(error._tag === "CallTimeout" && error.begun && !error.retrySafe)
        assert.notInclude(error.message, "skipped")
        // Who joins has a deadline of its own.
        const second = yield* begin(Effect.flip(send("2 seconds")))
        yield* TestSessions.elapse("2 seconds")
        assert.strictEqual((yield* Fiber.join(second))._tag, "CallTimeout")
        assert.isUndefined(patient.pollUnsafe())
        yield* latch.open
        assert.strictEqual(yield* Fiber.join(patient), 2)
        assert.strictEqual(yield* send("1 seconds"), 2)
        assert.deepStrictEqual(yield* ref.call("All"), [0, 7])
        const { totals } = yield* (yield* Sessions).stats
        assert.strictEqual(totals["Counter"]?.timeouts, 2)
      }).pipe(provide))

    it.effect("waits as long as the kind's calls do, unless it says otherwise", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const sender = yield* begin(Effect.flip(ref.callOnce("Hang", undefined, once("c", 1))))
        yield* TestSessions.elapse("2999 millis")
        assert.isUndefined(sender.pollUnsafe())
        yield* TestSessions.elapse("1 millis")
        assert.deepInclude(yield* Fiber.join(sender), { _tag: "CallTimeout", timeout: 3_000 })
      }).pipe(counters({ callTimeout: "3 seconds" })))
  })

  describe("the order of a client's actions", () => {
    it.effect("has no gaps: an action before its turn fails with the expected number, and has no effect", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        yield* ref.callOnce("Add", 1, once("c", 1))
        for (const sequence of [3, 4, 1_000]) {
          const error = yield* Effect.flip(ref.callOnce("Add", sequence, once("c", sequence)))
          assert.deepInclude(error, { _tag: "ActionOutOfOrder", sequence, expected: 2, retrySafe: true })
        }
        assert.deepStrictEqual(yield* ref.state, [1])
        assert.strictEqual(yield* ref.callOnce("Add", 2, once("c", 2)), 2)
        assert.strictEqual(yield* ref.callOnce("Add", 3, once("c", 3)), 3)
        assert.deepStrictEqual(yield* ref.state, [1, 2, 3])
      }).pipe(provide))

    it.effect("counts from what is accepted, not from what is answered", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const latch = yield* busy(ref)
        const senders = [
          yield* begin(ref.callOnce("Add", 1, once("c", 1))),
          yield* begin(ref.callOnce("Add", 2, once("c", 2)))
        ]
        const error = yield* Effect.flip(ref.callOnce("Add", 4, once("c", 4)))
        assert.deepInclude(error, { _tag: "ActionOutOfOrder", expected: 3 })
        yield* latch.open
        assert.deepStrictEqual(yield* Fiber.joinAll(senders), [2, 3])
      }).pipe(provide))

    it.effect("is the order in which one sender sends, however it sends", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const latch = yield* busy(ref)
        yield* begin(ref.callOnce("Add", 1, once("c", 1)))
        yield* ref.cast("Add", 2)
        yield* begin(ref.callOnce("AddSlowly", 3, once("c", 2)))
        yield* begin(ref.call("Add", 4))
        yield* begin(ref.callOnce("Add", 5, once("c", 3)))
        assert.isTrue(ref.castUnsafe("Add", 6))
        yield* begin(ref.callOnce("Add", 1, once("c", 1)))
        yield* begin(ref.callOnce("Add", 7, once("c", 4)))
        yield* latch.open
        yield* TestSessions.elapse("1 second")
        assert.deepStrictEqual(yield* ref.call("All"), [0, 1, 2, 3, 4, 5, 6, 7])
      }).pipe(provide))
  })

  describe("what a session remembers", () => {
    it.effect("are as many answers of a client as its kind says, the last ones", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        assert.strictEqual((yield* ref.info).remembers, 3)
        for (const n of [1, 2, 3, 4, 5]) yield* ref.callOnce("Add", n, once("c", n))
        for (const n of [3, 4, 5]) assert.strictEqual(yield* ref.callOnce("Add", n, once("c", n)), n)
        for (const sequence of [1, 2]) {
          for (const again of [true, false]) {
            const error = yield* Effect.flip(ref.callOnce("Add", sequence, once("c", sequence, { again })))
            assert.deepInclude(error, { _tag: "ActionForgotten", sequence, retrySafe: false })
          }
        }
        assert.deepStrictEqual(yield* ref.state, [1, 2, 3, 4, 5])
        assert.strictEqual(yield* ref.callOnce("Add", 6, once("c", 6)), 6)
        assert.strictEqual((yield* Effect.flip(ref.callOnce("Add", 3, once("c", 3))))._tag, "ActionForgotten")
      }).pipe(counters({ remember: { answers: 3 } })))

    it.effect("are 64 answers, and 1,024 clients, unless its kind says otherwise", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        assert.strictEqual((yield* ref.info).remembers, 64)
        for (let n = 1; n <= 65; n++) yield* ref.callOnce("Add", n, once("0", n))
        assert.strictEqual(yield* ref.callOnce("Add", 2, once("0", 2)), 2)
        assert.strictEqual((yield* Effect.flip(ref.callOnce("Add", 1, once("0", 1))))._tag, "ActionForgotten")
        for (let n = 1; n < 1_024; n++) yield* ref.callOnce("Add", 0, once(`${n}`, 1))
        assert.strictEqual(yield* ref.callOnce("Add", 65, once("0", 65)), 65)
        yield* ref.callOnce("Add", 0, once("1024", 1))
        const error = yield* Effect.flip(ref.callOnce("Add", 0, once("1", 1, { again: true })))
        assert.strictEqual(error._tag, "ActionForgotten")
        assert.strictEqual(yield* ref.callOnce("Add", 0, once("2", 1, { again: true })), 67)
      }).pipe(provide))

    it.effect("are the last answer of each client, and not all older ones of many", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const clients = Array.from({ length: 40 }, (_, i) => `c${i}`)
        for (let n = 1; n <= 2; n++) {
          for (const [i, client] of clients.entries()) yield* ref.callOnce("Add", i, once(client, n))
        }
        for (const [i, client] of clients.entries()) {
          assert.strictEqual(yield* ref.callOnce("Add", i, once(client, 2, { again: true })), 40 + i + 1)
          const older = Effect.result(ref.callOnce("Add", i, once(client, 1, { again: true })))
          assert.strictEqual((yield* older)._tag, i < 40 - 32 ? "Failure" : "Success")
        }
        assert.strictEqual((yield* ref.state).length, 80)
      }).pipe(counters({ remember: { answers: 2 } })))

    it.effect("is all that is under way, however many clients that is of", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const latch = yield* busy(ref)
        const send = (i: number, n: number) => ref.callOnce("Add", i, once(`c${i}`, n))
        const senders = yield* Effect.forEach(
          Array.from({ length: 40 }, (_, i) => [send(i, 1), send(i, 2)]).flat(),
          begin
        )
        const again = yield* Effect.forEach(Array.from({ length: 40 }, (_, i) => send(i, 1)), begin)
        yield* latch.open
        yield* Fiber.joinAll([...senders, ...again])
        assert.strictEqual((yield* ref.state).length, 81)
      }).pipe(counters({ remember: { answers: 2 } })))

    it.effect("are its last clients: the client that has been silent for longest is forgotten", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        yield* ref.callOnce("Add", 1, once("c", 1))
        yield* ref.callOnce("Add", 2, once("d", 1))
        // To send something again, or out of order, is to send something.
        yield* ref.callOnce("Add", 1, once("c", 1))
        yield* ref.callOnce("Add", 3, once("e", 1))
        assert.strictEqual(yield* ref.callOnce("Add", 1, once("c", 1, { again: true })), 1)
        assert.strictEqual(
          (yield* Effect.flip(ref.callOnce("Add", 2, once("d", 1, { again: true }))))._tag,
          "ActionForgotten"
        )
        assert.strictEqual((yield* Effect.flip(ref.callOnce("Add", 4, once("d", 2))))._tag, "ActionForgotten")
        // What was refused has not made a client of it: the others are known yet.
        assert.strictEqual(yield* ref.callOnce("Add", 3, once("e", 1, { again: true })), 3)
        yield* Effect.flip(ref.callOnce("Add", 9, once("c", 9)))
        yield* ref.callOnce("Add", 4, once("f", 1))
        assert.strictEqual(yield* ref.callOnce("Add", 5, once("c", 2)), 5)
        assert.strictEqual((yield* Effect.flip(ref.callOnce("Add", 3, once("e", 2))))._tag, "ActionForgotten")
        assert.deepStrictEqual(yield* ref.state, [1, 2, 3, 4, 5])
      }).pipe(counters({ remember: { clients: 2 } })))

    it.effect("is still answered to waiting callers when it is forgotten", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const latch = yield* busy(ref)
        const first = yield* begin(ref.callOnce("Add", 1, once("c", 1)))
        const second = yield* begin(ref.callOnce("Add", 2, once("c", 2)))
        const other = yield* begin(ref.callOnce("Add", 3, once("d", 1)))
        assert.strictEqual(
          (yield* Effect.flip(ref.callOnce("Add", 1, once("c", 1, { again: true }))))._tag,
          "ActionForgotten"
        )
        yield* latch.open
        assert.deepStrictEqual(yield* Fiber.joinAll([first, second, other]), [2, 3, 4])
      }).pipe(counters({ remember: { answers: 1, clients: 1 } })))
  })

  describe("a client that the session does not know", () => {
    it.effect("begins with its first action, even where others were forgotten", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        for (const [i, client] of ["c", "d", "e"].entries()) {
          assert.strictEqual(yield* ref.callOnce("Add", i, once(client, 1, { again: false, epoch: -1 })), i + 1)
        }
      }).pipe(counters({ remember: { clients: 1 } })))

    it.effect("may send its first action again to the same incarnation: it cannot have come before", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const { epoch } = yield* ref.info
        assert.strictEqual(yield* ref.callOnce("Add", 1, once("c", 1, { again: true, epoch })), 1)
        assert.strictEqual(yield* ref.callOnce("Add", 1, once("c", 1, { again: true, epoch })), 1)
        assert.strictEqual(yield* ref.callOnce("Add", 2, once("d", 1, { again: true, epoch })), 2)
        assert.deepStrictEqual(yield* ref.state, [1, 2])
      }).pipe(provide))

    it.effect("may not when a client was ever forgotten, which may be this one", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const { epoch } = yield* ref.info
        yield* ref.callOnce("Add", 1, once("c", 1))
        yield* ref.callOnce("Add", 2, once("d", 1))
        const error = yield* Effect.flip(ref.callOnce("Add", 3, once("e", 1, { again: true, epoch })))
        assert.strictEqual(error._tag, "ActionForgotten")
        assert.deepStrictEqual(yield* ref.state, [1, 2])
      }).pipe(counters({ remember: { clients: 1 } })))

    it.effect("may when none was forgotten since it knew how many actions were accepted", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        for (const [i, client] of ["c", "d", "e"].entries()) yield* ref.callOnce("Add", i, once(client, 1))
        const { accepted, epoch } = yield* ref.info
        assert.strictEqual(accepted, 3)
        const again = { again: true, epoch, accepted }
        assert.strictEqual(yield* ref.callOnce("Add", 3, once("f", 1, again)), 4)
        assert.strictEqual(yield* ref.callOnce("Add", 3, once("f", 1, again)), 4)
        // One of a client that may be forgotten is not it, whatever else it says.
        yield* ref.callOnce("Add", 4, once("g", 1))
        for (const [client, more] of [["f", again], ["h", again], ["h", { ...again, accepted: undefined }]] as const) {
          const error = yield* Effect.flip(ref.callOnce("Add", 5, once(client, 1, more)))
          assert.strictEqual(error._tag, "ActionForgotten")
        }
        for (const other of [epoch - 1, epoch + 1, undefined]) {
          const more = { ...again, accepted: 99, epoch: other }
          const error = yield* Effect.flip(ref.callOnce("Add", 5, once("h", 1, more)))
          assert.strictEqual(error._tag, "ActionForgotten")
        }
        assert.strictEqual((yield* ref.state).length, 5)
      }).pipe(counters({ remember: { clients: 1 } })))

    it.effect("and whose action was certainly not handled, starts again under another name", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        yield* ref.callOnce("Add", 1, once("c", 1))
        yield* ref.callOnce("Add", 2, once("d", 1))
        const { accepted, epoch } = yield* ref.info
        const error = yield* Effect.flip(ref.callOnce("Add", 3, once("c", 2, { again: true, epoch, accepted })))
        assert.deepInclude(error, { _tag: "ActionOutOfOrder", sequence: 2, expected: 1, retrySafe: true })
        // The name stays unknown: what is late finds no place.
        assert.strictEqual((yield* Effect.flip(ref.callOnce("Add", 3, once("c", 2))))._tag, "ActionForgotten")
        assert.deepStrictEqual(yield* ref.state, [1, 2])
      }).pipe(counters({ remember: { clients: 1 } })))

    it.effect("may not when it sent it to another incarnation, or does not know to which", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const { epoch } = yield* ref.info
        for (const other of [epoch - 1, epoch + 1, undefined]) {
          const error = yield* Effect.flip(ref.callOnce("Add", 1, once("c", 1, { again: true, epoch: other })))
          assert.deepInclude(error, { _tag: "ActionForgotten", sequence: 1 })
        }
        assert.deepStrictEqual(yield* ref.state, [])
        // Nothing of that was noted.
        assert.strictEqual(yield* ref.callOnce("Add", 1, once("c", 1)), 1)
      }).pipe(provide))

    it.effect("cannot go on with a later action", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const { epoch } = yield* ref.info
        for (const more of [undefined, { again: true, epoch }, { epoch }]) {
          const error = yield* Effect.flip(ref.callOnce("Add", 2, once("c", 2, more)))
          assert.deepInclude(error, { _tag: "ActionForgotten", sequence: 2 })
        }
        assert.deepStrictEqual(yield* ref.state, [])
      }).pipe(provide))
  })

  describe("over the end of an incarnation", () => {
    it.effect("a new session under the same id does not know what the old one did", () =>
      Effect.gen(function*() {
        const counter = yield* Counter
        const ref = yield* counter.start("a")
        const { epoch } = yield* ref.info
        yield* ref.callOnce("Add", 1, once("c", 1))
        yield* ref.end()
        const again = once("c", 1, { again: true, epoch })
        assert.strictEqual((yield* Effect.flip(ref.callOnce("Add", 1, again)))._tag, "SessionNotFound")
        yield* counter.start("a")
        assert.strictEqual((yield* Effect.flip(ref.callOnce("Add", 1, again)))._tag, "ActionForgotten")
        assert.strictEqual((yield* Effect.flip(ref.callOnce("Add", 2, once("c", 2))))._tag, "ActionForgotten")
        assert.deepStrictEqual(yield* ref.state, [])
        assert.strictEqual(yield* ref.callOnce("Add", 5, once("d", 1)), 1)
      }).pipe(provide))

    it.effect("a session that is reset after a crash remembers its answers and the next numbers", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const { epoch } = yield* ref.info
        assert.strictEqual(yield* ref.callOnce("Add", 1, once("c", 1)), 1)
        const crashed = Effect.flip(ref.callOnce("Die", "poison", once("c", 2)))
        assert.strictEqual((yield* crashed)._tag, "SessionCrashed")
        yield* TestSessions.settle
        assert.isAbove((yield* ref.info).epoch, epoch)
        assert.deepStrictEqual(yield* ref.state, [])
        assert.strictEqual(yield* ref.callOnce("Add", 1, once("c", 1, { again: true, epoch })), 1)
        assert.strictEqual((yield* crashed)._tag, "SessionCrashed")
        assert.strictEqual((yield* ref.info).crashes, 1)
        assert.deepStrictEqual(yield* ref.state, [])
        assert.strictEqual(yield* ref.callOnce("Add", 3, once("c", 3)), 1)
        // It remembers all that came to the incarnation before, and this did not.
        assert.strictEqual(yield* ref.callOnce("Add", 4, once("d", 1, { again: true, epoch })), 2)
      }).pipe(counters({ supervision: Supervision.reset({ backoff: () => 0 }) })))

    it.effect("what waits is handled by the incarnation after a reset", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const latch = yield* busy(ref)
        const crash = yield* begin(Effect.flip(ref.callOnce("Die", "poison", once("c", 1))))
        const next = yield* begin(ref.callOnce("Add", 7, once("c", 2)))
        yield* latch.open
        assert.strictEqual((yield* Fiber.join(crash))._tag, "SessionCrashed")
        assert.strictEqual(yield* Fiber.join(next), 1)
        assert.strictEqual(yield* ref.callOnce("Add", 7, once("c", 2)), 1)
        assert.deepStrictEqual(yield* ref.state, [7])
      }).pipe(counters({ supervision: Supervision.reset({ backoff: () => 0 }) })))

    it.effect("all waiting callers learn of the end, and whether their action had begun", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const begun = Effect.flip(ref.callOnce("Hang", undefined, once("c", 1)))
        const waiting = Effect.flip(ref.callOnce("Add", 1, once("c", 2)))
        const senders = [yield* begin(begun), yield* begin(begun), yield* begin(waiting), yield* begin(waiting)]
        yield* ref.end({ drain: false, reason: EndReason.evicted })
        const errors = yield* Fiber.joinAll(senders)
        assert.deepStrictEqual(
          errors.map((error) => error._tag === "SessionEnded" && [error.begun, error.reason._tag]),
          [[true, "Evicted"], [true, "Evicted"], [false, "Evicted"], [false, "Evicted"]]
        )
      }).pipe(provide))

    it.effect("an end that drains handles what was accepted first", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const slow = yield* begin(ref.callOnce("AddSlowly", 1, once("c", 1)))
        const next = yield* begin(ref.callOnce("Add", 2, once("c", 2)))
        const end = yield* begin(ref.end())
        assert.strictEqual((yield* Effect.flip(ref.callOnce("Add", 3, once("c", 3))))._tag, "SessionNotFound")
        yield* TestSessions.elapse("1 second")
        assert.deepStrictEqual(yield* Fiber.joinAll([slow, next]), [1, 2])
        assert.isTrue(yield* Fiber.join(end))
      }).pipe(provide))

    it.effect("an action that waits for the start of its session is handled then", () =>
      Effect.gen(function*() {
        class Late extends Session.Service<Late>()("Late", {
          state: Schema.Int,
          protocol: [Rpc.make("Add", { success: Schema.Int })]
        }) {}
        const LateLayer = Late.toLayer(Late.behavior({
          init: () => Effect.as(Effect.sleep("1 second"), 0),
          handlers: { Add: ({ state }) => [state + 1, state + 1] }
        }))
        yield* Effect.gen(function*() {
          const late = yield* Late
          yield* begin(late.start("a"))
          const send = late.ref("a").callOnce("Add", undefined, once("c", 1))
          const senders = [yield* begin(send), yield* begin(send)]
          yield* TestSessions.elapse("1 second")
          assert.deepStrictEqual(yield* Fiber.joinAll(senders), [1, 1])
        }).pipe(Effect.provide(TestSessions.layer(LateLayer)))
      }))
  })

  describe("an action that is not accepted leaves its number free", () => {
    const small = counters({ mailboxCapacity: 1, overflow: { Sample: "dropOldest", Urgent: "reject" } })

    for (const tag of ["Urgent", "Sample", "Add"] as const) {
      it.effect(`when the mailbox is full, for which ${tag} does not wait`, () =>
        Effect.gen(function*() {
          const ref = yield* (yield* Counter).start("a")
          const latch = yield* busy(ref)
          yield* ref.cast("AddSlowly", 1)
          for (const n of [8, 9]) {
            const error = yield* Effect.flip(ref.callOnce(tag, n, once("c", 1)))
            assert.deepInclude(error, { _tag: "MailboxFull", tag, retrySafe: true })
          }
          // Nor is the client known by it.
          assert.strictEqual((yield* Effect.flip(ref.callOnce(tag, 9, once("c", 2))))._tag, "ActionForgotten")
          const { totals } = yield* (yield* Sessions).stats
          assert.deepInclude(totals["Counter"], { calls: 0, casts: 2, rejected: 2 })
          assert.strictEqual((yield* ref.info).accepted, 0)
          yield* latch.open
          yield* TestSessions.elapse("1 second")
          const { epoch } = yield* ref.info
          yield* ref.callOnce(tag, 9, once("c", 1, { again: true, epoch }))
          yield* ref.callOnce(tag, 9, once("c", 1, { again: true, epoch }))
          assert.deepStrictEqual(yield* ref.call("All"), [0, 1, 9])
        }).pipe(small))
    }

    it.effect("when it is not the client's first one", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        yield* ref.callOnce("Add", 1, once("c", 1))
        const latch = yield* busy(ref)
        yield* ref.cast("AddSlowly", 2)
        assert.strictEqual((yield* Effect.flip(ref.callOnce("Add", 3, once("c", 2))))._tag, "MailboxFull")
        // What came before needs no room.
        assert.strictEqual(yield* ref.callOnce("Add", 1, once("c", 1)), 1)
        assert.deepInclude(yield* Effect.flip(ref.callOnce("Add", 4, once("c", 3))), {
          _tag: "ActionOutOfOrder",
          expected: 2
        })
        yield* latch.open
        yield* TestSessions.elapse("1 second")
        assert.strictEqual(yield* ref.callOnce("Add", 3, once("c", 2)), 4)
        assert.deepStrictEqual(yield* ref.state, [1, 0, 2, 3])
      }).pipe(small))

    it.effect("when it must not take the place of another one's last answer", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        yield* ref.callOnce("Add", 1, once("c", 1))
        const latch = yield* busy(ref)
        yield* ref.cast("Add", 2)
        assert.strictEqual((yield* Effect.flip(ref.callOnce("Add", 3, once("d", 1))))._tag, "MailboxFull")
        assert.strictEqual((yield* Effect.flip(ref.callOnce("Add", 3, once("c", 2))))._tag, "MailboxFull")
        assert.strictEqual(yield* ref.callOnce("Add", 1, once("c", 1, { again: true })), 1)
        yield* latch.open
      }).pipe(counters({ mailboxCapacity: 1, remember: { answers: 1, clients: 1 } })))

    it.effect("when the session gets more messages than its rate allows", () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        yield* ref.callOnce("Add", 1, once("c", 1))
        yield* ref.callOnce("Add", 2, once("c", 2))
        const error = yield* Effect.flip(ref.callOnce("Add", 3, once("c", 3)))
        assert.deepInclude(error, { _tag: "MessageRateExceeded", retrySafe: true })
        // Answers that are there already do not count.
        for (const n of [1, 2, 1, 2]) assert.strictEqual(yield* ref.callOnce("Add", n, once("c", n)), n)
        assert.deepInclude(yield* Effect.flip(ref.callOnce("Add", 4, once("c", 4))), {
          _tag: "ActionOutOfOrder",
          expected: 3
        })
        yield* TestSessions.elapse("1 minute")
        assert.strictEqual(yield* ref.callOnce("Add", 3, once("c", 3)), 3)
        assert.deepStrictEqual(yield* ref.state, [1, 2, 3])
      }).pipe(counters({ messageRate: { limit: 2, window: "1 minute" } })))
  })

  it.effect("a sample with a number is not dropped for a newer one, which takes the place of one without", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      const first = yield* begin(ref.callOnce("Sample", 1, once("c", 1)))
      const plain = yield* begin(Effect.flip(ref.call("Sample", 2)))
      const second = yield* begin(ref.callOnce("Sample", 4, once("c", 2)))
      assert.strictEqual((yield* Fiber.join(plain))._tag, "MailboxFull")
      assert.strictEqual((yield* Effect.flip(ref.call("Sample", 3)))._tag, "MailboxFull")
      assert.strictEqual((yield* Effect.flip(ref.callOnce("Sample", 5, once("c", 3))))._tag, "MailboxFull")
      yield* latch.open
      yield* Fiber.joinAll([first, second])
      assert.deepStrictEqual(yield* ref.call("All"), [0, 1, 4])
    }).pipe(counters({ mailboxCapacity: 2, overflow: { Sample: "dropOldest" } })))

  describe("is not for", () => {
    const malformed: ReadonlyArray<SessionRef.OnceOptions> = [
      once("", 1),
      once("c".repeat(65), 1),
      ...[0, -1, 1.5, NaN, Infinity, 2 ** 53].map((sequence) => once("c", sequence)),
      once("c", "1" as never)
    ]
    it.effect.each(malformed.map((options) => [options]))(
      "what is not a client and a number: %j",
      ([options]) =>
        Effect.gen(function*() {
          const ref = yield* (yield* Counter).start("a")
          const exit = yield* Effect.exit(ref.callOnce("Add", 1, options!))
          assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
          if (Exit.isFailure(exit)) {
            assert.include(String(Cause.squash(exit.cause)), "TypeError: an action needs a client")
          }
          assert.deepStrictEqual(yield* ref.state, [])
          assert.strictEqual(yield* ref.callOnce("Add", 1, once("c".repeat(64), 1)), 1)
        }).pipe(provide)
    )

    it.effect("a session that calls itself, which would wait for ever", () =>
      Effect.gen(function*() {
        class Narcissus extends Session.Service<Narcissus>()("Narcissus", {
          state: Schema.Void,
          protocol: [Rpc.make("Look", { success: Schema.String })]
        }) {}
        let narcissus!: Narcissus["Service"]
        const NarcissusLayer = Narcissus.toLayer(Narcissus.behavior({
          init: () => undefined,
          handlers: {
            Look: ({ self }) =>
              Effect.map(
                Effect.orDie(narcissus.ref(self.id).callOnce("Look", undefined, once("me", 1))),
                (it) => [undefined, it] as const
              )
          }
        }))
        yield* Effect.gen(function*() {
          narcissus = yield* Narcissus
          const error = yield* Effect.flip((yield* narcissus.start("a")).call("Look"))
          assert.strictEqual(error._tag, "SessionCrashed")
          assert.include(error.message, "calls itself")
        }).pipe(Effect.provide(TestSessions.layer(NarcissusLayer)))
      }))

    it.effect("sessions that are not live: it fails", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip((yield* Counter).ref("a").callOnce("Add", 1, once("c", 1)))
        assert.strictEqual(error._tag, "SessionNotFound")
      }).pipe(provide))
  })

  const Move = Schema.Struct({
    client: Schema.Literals(["c", "d", "e"]),
    move: Schema.Literals(["send", "send", "sendAll", "again", "gap", "lose", "reconnect", "pause"]),
    how: Step.fields.how,
    /** Which one of those sent so far. */
    which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 }))
  })

  it.effect.prop(
    "whatever clients lose and send again, each action is handled once, in order, and each retry gets its answer",
    [Schema.Array(Move).check(Schema.isMaxLength(40))],
    ([script]) => {
      const { provide, ran } = ledger({ callTimeout: "1 hour" })
      return Effect.gen(function*() {
        const ref = yield* (yield* Ledger).start("a")
        const { epoch } = yield* ref.info
        type Answer = Result.Result<number, { readonly _tag: string }>
        type Sender = Fiber.Fiber<Answer, never>
        interface Action {
          readonly how: typeof Step.Type["how"]
          readonly senders: Array<Sender>
        }
        const clients = new Map<string, Array<Action>>([["c", []], ["d", []], ["e", []]])
        const lost = new Set<Sender>()

        const send = (client: string, sequence: number, again: boolean) =>
          Effect.gen(function*() {
            const { how, senders } = clients.get(client)![sequence - 1]!
            const action = ref.callOnce("Do", { name: `${client}${sequence}`, how }, {
              client,
              sequence,
              again,
              epoch
            })
            senders.push(yield* begin(Effect.result(action)))
          })
        const loseAll = (client: string) =>
          Effect.forEach(clients.get(client)!.flatMap(({ senders }) => senders), (sender) => {
            if (sender.pollUnsafe() !== undefined) return Effect.void
            lost.add(sender)
            return Fiber.interrupt(sender)
          }, { discard: true })

        for (const { client, how, move, which } of script) {
          const actions = clients.get(client)!
          const sequence = actions.length === 0 ? 0 : which % actions.length + 1
          switch (move) {
            case "send":
              actions.push({ how, senders: [] })
              yield* send(client, actions.length, false)
              break
            case "sendAll":
              for (let i = 0; i < 3; i++) {
                actions.push({ how, senders: [] })
                yield* send(client, actions.length, false)
              }
              break
            case "again":
              if (sequence > 0) yield* send(client, sequence, true)
              break
            case "gap": {
              const far = ref.callOnce("Do", { name: "gap", how }, once(client, actions.length + 2))
              const { _tag } = yield* Effect.flip(far)
              assert.strictEqual(_tag, actions.length === 0 ? "ActionForgotten" : "ActionOutOfOrder")
              break
            }
            case "lose":
              yield* loseAll(client)
              break
            case "reconnect":
              yield* loseAll(client)
              for (let n = Math.max(1, sequence); n <= actions.length; n++) yield* send(client, n, true)
              break
            case "pause":
              yield* TestSessions.elapse("500 millis")
              break
          }
        }
        yield* TestSessions.elapse("10 minutes")

        const handled = new Map<string, unknown>()
        for (const [client, actions] of clients) {
          const names = actions.map((_, i) => `${client}${i + 1}`)
          assert.deepStrictEqual(ran.filter((name) => name.startsWith(client)), names)
          for (const [i, { how, senders }] of actions.entries()) {
            yield* send(client, i + 1, true)
            const answers = yield* Effect.forEach(senders.filter((sender) => !lost.has(sender)), Fiber.join)
            const values = answers.map((answer) => answer._tag === "Success" ? answer.success : answer.failure)
            // The same one, not only an equal one; and no other action's.
            for (const value of values) assert.strictEqual(value, values[0])
            const run = ran.indexOf(names[i]!) + 1
            if (how === "fail") assert.deepStrictEqual(values[0], new Failed({ run }))
            else if (how === "throw") assert.include(String(values[0]), `run ${run}`)
            else assert.strictEqual(values[0], run)
            handled.set(names[i]!, values[0])
          }
        }
        assert.sameMembers(ran, Array.from(handled.keys()))
        assert.deepStrictEqual(yield* ref.state, ran.filter((name) => typeof handled.get(name) === "number"))
      }).pipe(provide)
    },
    { arbitrary: { runs: 200 } }
  )
})
