import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, References, Schema, Stream } from "effect"
import {
  Action,
  Middleware,
  Reducer,
  Selector,
  type Session,
  Store,
  StoreBroadcasts,
  type StoreError
} from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"

const counter = Reducer.make("counter", {
  prefix: "counter",
  state: Schema.Struct({ count: Schema.Int }),
  initial: { count: 0 },
  actions: { increment: Schema.Void, set: Schema.Int, often: Schema.Int, settle: Schema.Int, fail: Schema.Void },
  on: {
    increment: ({ count }) => ({ count: count + 1 }),
    set: (state, count) => state.count === count ? state : { count },
    often: (_, count) => ({ count }),
    settle: (_, count) => ({ count }),
    fail: () => {
      throw new Error("bad reducer")
    }
  },
  throttle: { often: "1s" },
  debounce: { settle: "500ms" }
})

const user = Reducer.make("user", {
  prefix: "user",
  state: Schema.Struct({ name: Schema.String, loading: Schema.Boolean }),
  initial: { name: "", loading: false },
  actions: { load: Schema.String, loaded: Schema.String },
  on: {
    load: (state) => ({ ...state, loading: true }),
    loaded: (_, name) => ({ name, loading: false })
  },
  concurrency: "latest",
  async: {
    load: ({ dispatch, payload }) =>
      Effect.andThen(Effect.sleep("1 second"), dispatch("user.loaded", payload.toUpperCase())).pipe(
        Effect.onInterrupt(() => Effect.sync(() => cancelled.push(payload)))
      )
  }
})

/** Sees everything. */
const log = Reducer.make("log", {
  state: Schema.Array(Schema.String),
  initial: [],
  actions: { "log.clear": Schema.Void },
  on: { "log.clear": () => [] },
  catchAll: (types, action) => action.type === "log.clear" ? types : [...types, action.type]
})

const cancelled: Array<string> = []

class Shop extends Store.Service<Shop>()("Shop", { reducers: [counter, user] }) {}
class Logged extends Store.Service<Logged>()("Logged", { reducers: [counter, log] }) {}

const provide = Effect.provide(TestSessions.layer(Layer.mergeAll(
  Shop.toLayer(Store.behavior(Shop, { history: 5 })),
  Logged.toLayer(Store.behavior(Logged))
)))

const shop = Effect.flatMap(Shop, (shops) => shops.start("a"))

describe("dispatch", () => {
  it.effect("reaches the reducer under its short type, and leaves the other slices as they are", () =>
    Effect.gen(function*() {
      const ref = yield* shop
      const before = yield* ref.state
      yield* Store.dispatch(ref, "counter.increment")
      yield* Store.dispatch(ref, "counter.set", 5)
      const after = yield* Store.dispatchWait(ref, "counter.increment")
      assert.deepStrictEqual(after, { counter: { count: 6 }, user: { name: "", loading: false } })
      assert.strictEqual(after.user, before.user)
    }).pipe(provide))

  it.effect("an action that changes nothing is no change: no version, no notification", () =>
    Effect.gen(function*() {
      const ref = yield* shop
      yield* Store.dispatch(ref, "counter.set", 0)
      assert.strictEqual((yield* ref.info).version, 0)
      assert.deepStrictEqual(yield* Store.history(ref), [])
    }).pipe(provide))

  it.effect("a catch-all sees every action with its full type", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Logged).start("a")
      yield* Store.dispatch(ref, "counter.increment")
      yield* Store.dispatch(ref, "counter.settle", 3)
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual((yield* ref.state).log, ["counter.increment", "counter.settle"])
      yield* Store.dispatch(ref, "log.clear")
      assert.deepStrictEqual(yield* ref.state, { counter: { count: 3 }, log: [] })
    }).pipe(provide))

  it.effect("meta can name the reducers, or filter by prefix", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Logged).start("a")
      yield* Store.dispatch(ref, "counter.increment", undefined, { reducers: ["log"] })
      assert.deepStrictEqual(yield* ref.state, { counter: { count: 0 }, log: ["counter.increment"] })
      yield* Store.dispatch(ref, "counter.increment", undefined, { prefix: "counter" })
      assert.deepStrictEqual(yield* ref.state, { counter: { count: 1 }, log: ["counter.increment"] })
    }).pipe(provide))

  it.effect("a reducer that throws is a crash of that action only", () =>
    Effect.gen(function*() {
      const ref = yield* shop
      yield* Store.dispatch(ref, "counter.set", 2)
      assert.strictEqual((yield* Effect.flip(Store.dispatchWait(ref, "counter.fail")))._tag, "SessionCrashed")
      assert.strictEqual((yield* ref.state).counter.count, 2)
    }).pipe(provide))

  it.effect.prop(
    "any interleaving of dispatches equals the fold of the reducers in mailbox order, and so does the history",
    [
      Schema.Array(Schema.Struct({
        sender: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 })),
        set: Schema.UndefinedOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))),
        wait: Schema.Boolean
      })).check(Schema.isMaxLength(40))
    ],
    ([script]) =>
      Effect.gen(function*() {
        const seen: Array<number> = []
        class Folded extends Store.Service<Folded>()("Folded", { reducers: [counter] }) {}
        const order: Array<Action.Action> = []
        const FoldedLayer = Folded.toLayer(Store.behavior(Folded, {
          history: 1_000,
          middleware: [(passing, next) =>
            Effect.suspend(() => {
              order.push(passing.action)
              return next(passing.action)
            })]
        }))
        yield* Effect.gen(function*() {
          const ref = yield* (yield* Folded).start("a")
          yield* Effect.forkChild(
            Stream.runForEach(
              ref.changes((state) => state.counter.count),
              (count) => Effect.sync(() => seen.push(count))
            )
          )
          const send = (step: typeof script[number]) =>
            step.set === undefined
              ? step.wait ? Store.dispatchWait(ref, "counter.increment") : Store.dispatch(ref, "counter.increment")
              : step.wait
              ? Store.dispatchWait(ref, "counter.set", step.set)
              : Store.dispatch(ref, "counter.set", step.set)
          yield* Effect.forEach(
            [0, 1, 2],
            (sender) =>
              Effect.forEach(script.filter((step) => step.sender === sender), (step) =>
                Effect.andThen(Effect.yieldNow, send(step))),
            {
              concurrency: "unbounded"
            }
          )
          yield* TestSessions.settle
          const fold = order.reduce(
            (count, { payload, type }) =>
              type === "counter.set" ? payload as number : count + 1,
            0
          )
          assert.strictEqual(order.length, script.length)
          assert.strictEqual((yield* ref.state).counter.count, fold)
          const steps = yield* Store.history(ref)
          assert.deepStrictEqual(steps.map(({ version }) => version), steps.map((_, i) => i + 1))
          // A selector never fires without a change.
          assert.isTrue(seen.every((count, i) => i === 0 || count !== seen[i - 1]))
          assert.strictEqual(seen.at(-1), fold)
        }).pipe(Effect.provide(TestSessions.layer(FoldedLayer)))
      })
  )
})

describe("throttle and debounce", () => {
  it.effect("a throttled action is handled at most once in its time", () =>
    Effect.gen(function*() {
      const ref = yield* shop
      const count = Effect.map(ref.state, (state) => state.counter.count)
      yield* Store.dispatch(ref, "counter.often", 1)
      yield* Store.dispatch(ref, "counter.often", 2)
      assert.strictEqual(yield* count, 1)
      yield* TestSessions.elapse("999 millis")
      yield* Store.dispatch(ref, "counter.often", 3)
      assert.strictEqual(yield* count, 1)
      yield* TestSessions.elapse("1 millis")
      yield* Store.dispatch(ref, "counter.often", 4)
      assert.strictEqual(yield* count, 4)
    }).pipe(provide))

  it.effect("a debounced action is handled when none came for its time; the last one counts", () =>
    Effect.gen(function*() {
      const ref = yield* shop
      const count = Effect.map(ref.state, (state) => state.counter.count)
      yield* Store.dispatch(ref, "counter.settle", 1)
      yield* TestSessions.elapse("400 millis")
      yield* Store.dispatch(ref, "counter.settle", 2)
      yield* TestSessions.elapse("499 millis")
      assert.strictEqual(yield* count, 0)
      yield* TestSessions.elapse("1 millis")
      assert.strictEqual(yield* count, 2)
    }).pipe(provide))
})

describe("asynchronous actions", () => {
  it.effect("reduce first, then work beside the session, and dispatch what they find", () =>
    Effect.gen(function*() {
      const ref = yield* shop
      const during = yield* Store.dispatchWait(ref, "user.load", "ada")
      assert.deepStrictEqual(during.user, { name: "", loading: true })
      yield* Store.dispatch(ref, "counter.increment")
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(yield* ref.state, { counter: { count: 1 }, user: { name: "ADA", loading: false } })
    }).pipe(provide))

  it.effect("are cancelled by id, by a newer one of their type, and by the end of the session, each once", () =>
    Effect.gen(function*() {
      cancelled.length = 0
      const ref = yield* shop
      yield* Store.dispatchWait(ref, "user.load", "by id")
      yield* TestSessions.settle
      assert.strictEqual(yield* Store.cancel(ref, "user.load"), 1)
      assert.strictEqual(yield* Store.cancel(ref, "user.load"), 0)
      yield* Store.dispatchWait(ref, "user.load", "by a newer one")
      yield* TestSessions.settle
      yield* Store.dispatchWait(ref, "user.load", "by the end")
      yield* TestSessions.settle
      yield* ref.end()
      assert.deepStrictEqual(cancelled, ["by id", "by a newer one", "by the end"])
    }).pipe(provide))
})

describe("asynchronous actions of a reducer that does not ask for more", () => {
  it.effect("run side by side", () =>
    Effect.gen(function*() {
      const done: Array<number> = []
      const both = Reducer.make("both", {
        state: Schema.Void,
        initial: undefined,
        actions: { work: Schema.Int },
        async: { work: ({ payload }) => Effect.andThen(Effect.sleep(payload), Effect.sync(() => done.push(payload))) }
      })
      class Both extends Store.Service<Both>()("Both", { reducers: [both] }) {}
      yield* Effect.gen(function*() {
        const ref = yield* (yield* Both).start("a")
        yield* Store.dispatchWait(ref, "work", 20)
        yield* Store.dispatchWait(ref, "work", 10)
        yield* TestSessions.elapse("20 millis")
        assert.deepStrictEqual(done, [10, 20])
      }).pipe(Effect.provide(TestSessions.layer(Both.toLayer(Store.behavior(Both)))))
    }))
})

describe("middleware", () => {
  it.effect("runs in order, around the reducers, and can stop or rewrite an action", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const named = (name: string): Middleware.Middleware => (passing, next) =>
        Effect.gen(function*() {
          order.push(`${name} in`)
          const state = yield* next(passing.action)
          order.push(`${name} out`)
          return state
        })
      class Guarded extends Store.Service<Guarded>()("Guarded", { reducers: [counter] }) {}
      const GuardedLayer = Guarded.toLayer(Store.behavior(Guarded, {
        middleware: [
          named("first"),
          Middleware.validation((action) => action.payload === 13 ? "no thirteen" : undefined),
          ({ action }, next) => next(action.payload === 7 ? Action.make("counter.increment") : action),
          named("last")
        ]
      }))
      yield* Effect.gen(function*() {
        const ref = yield* (yield* Guarded).start("a")
        yield* Store.dispatchWait(ref, "counter.set", 4)
        assert.deepStrictEqual(order, ["first in", "last in", "last out", "first out"])
        const stopped = yield* Effect.flip(Store.dispatchWait(ref, "counter.set", 13))
        assert.isTrue(stopped._tag === "ActionStopped" && stopped.message === "no thirteen")
        assert.strictEqual((yield* Store.dispatchWait(ref, "counter.set", 7)).counter.count, 5)
      }).pipe(Effect.provide(TestSessions.layer(GuardedLayer)))
    }))
})

describe("an action that fails on its way back", () => {
  it.effect("leaves state, history and work as they were", () =>
    Effect.gen(function*() {
      cancelled.length = 0
      class Fragile extends Store.Service<Fragile>()("Fragile", { reducers: [counter, user] }) {}
      const FragileLayer = Fragile.toLayer(Store.behavior(Fragile, {
        history: 10,
        middleware: [
          Middleware.after((action) =>
            action.payload === 13 || action.payload === "mal" ? Effect.die("on the way back") : Effect.void
          )
        ]
      }))
      yield* Effect.gen(function*() {
        const ref = yield* (yield* Fragile).start("a")
        yield* Store.dispatchWait(ref, "counter.set", 1)
        assert.strictEqual((yield* Effect.flip(Store.dispatchWait(ref, "counter.set", 13)))._tag, "SessionCrashed")
        assert.strictEqual((yield* ref.state).counter.count, 1)
        assert.deepStrictEqual((yield* Store.history(ref)).map(({ version }) => version), [1])
        yield* Store.dispatchWait(ref, "counter.increment")
        assert.strictEqual((yield* Store.look(ref, 2)).counter.count, 2)
        yield* Effect.flip(Store.dispatchWait(ref, "user.load", "mal"))
        yield* TestSessions.elapse("1 minute")
        assert.deepStrictEqual((yield* ref.state).user, { name: "", loading: false })
      }).pipe(Effect.provide(TestSessions.layer(FragileLayer)))
    }))
})

describe("history", () => {
  it.effect("keeps the latest steps, travels without running anything, and builds on where it went", () =>
    Effect.gen(function*() {
      const ref = yield* shop
      for (const n of [1, 2, 3, 4, 5, 6, 7]) yield* Store.dispatch(ref, "counter.set", n)
      const steps = yield* Store.history(ref)
      assert.deepStrictEqual(steps.map(({ version }) => version), [3, 4, 5, 6, 7])
      assert.strictEqual((yield* Store.travel(ref, 4)).counter.count, 4)
      assert.deepStrictEqual(
        (yield* Store.history(ref)).filter(({ current }) => current).map(({ version }) => version),
        [4]
      )
      const gone = yield* Effect.flip(Store.travel(ref, 2))
      assert.strictEqual(gone._tag, "VersionGone")
      assert.strictEqual((yield* Store.travel(ref, 7)).counter.count, 7)
      yield* Store.travel(ref, 5)
      yield* Store.dispatch(ref, "counter.increment")
      const last = (yield* Store.history(ref)).at(-1)
      assert.deepInclude(last, { version: 8, from: 5, type: "counter.increment" })
      assert.strictEqual((yield* ref.state).counter.count, 6)
      assert.strictEqual((yield* Store.travel(ref, 0)).counter.count, 0)
      assert.strictEqual((yield* Store.look(ref, 7)).counter.count, 7)
      assert.strictEqual((yield* Effect.flip(Store.look(ref, 1)))._tag, "VersionGone")
      assert.strictEqual((yield* ref.state).counter.count, 0)
    }).pipe(provide))

  it.effect("reset starts again and cancels work", () =>
    Effect.gen(function*() {
      cancelled.length = 0
      const ref = yield* shop
      yield* Store.dispatchWait(ref, "user.load", "ada")
      yield* Store.dispatch(ref, "counter.settle", 7)
      yield* TestSessions.settle
      const state = yield* Store.reset(ref)
      assert.deepStrictEqual(state, { counter: { count: 0 }, user: { name: "", loading: false } })
      yield* TestSessions.elapse("1 minute")
      assert.deepStrictEqual(yield* ref.state, state)
      assert.deepStrictEqual(cancelled, ["ada"])
      assert.deepStrictEqual(yield* Store.history(ref), [])
    }).pipe(provide))

  it.effect("a state is serialised and restored through the schemas", () =>
    Effect.gen(function*() {
      const ref = yield* shop
      yield* Store.dispatch(ref, "counter.set", 9)
      const json = JSON.parse(JSON.stringify(yield* Store.serialize(Shop, ref)))
      yield* Store.reset(ref)
      yield* Effect.flip(Store.restore(Shop, ref, { counter: { count: "nine" } }))
      assert.strictEqual((yield* ref.state).counter.count, 0)
      assert.strictEqual((yield* Store.restore(Shop, ref, json)).counter.count, 9)
      yield* Store.dispatch(ref, "counter.increment")
      assert.strictEqual((yield* Store.look(ref, 0)).counter.count, 9)
      assert.strictEqual((yield* Store.reset(ref)).counter.count, 0)
    }).pipe(provide))
})

describe("actions from outside", () => {
  it.effect("are checked against the reducers", () =>
    Effect.gen(function*() {
      const ref = yield* shop
      yield* Store.dispatchAction(ref, yield* Store.decode(Shop, { type: "counter.set", payload: 3 }))
      assert.strictEqual((yield* ref.state).counter.count, 3)
      const errors = yield* Effect.forEach([
        { type: "counter.nope" },
        { type: "constructor" },
        { type: "counter.set", payload: "3" },
        { type: "counter.set" },
        { type: 5 },
        null,
        { type: "counter.set", payload: 3, meta: { reducers: "counter" } }
      ], (input) => Effect.flip(Store.decode(Shop, input)))
      assert.deepStrictEqual(errors.map(({ _tag }) => _tag), [
        "UnknownAction",
        "UnknownAction",
        "InvalidAction",
        "InvalidAction",
        "InvalidAction",
        "InvalidAction",
        "InvalidAction"
      ])
    }).pipe(provide))
})

describe("selectors", () => {
  it("compute again only when an input changed", () => {
    let computed = 0
    const double = Selector.make([(state: { readonly n: number; readonly other: number }) => state.n], (n) => {
      computed++
      return n * 2
    })
    assert.deepStrictEqual([{ n: 1, other: 0 }, { n: 1, other: 1 }, { n: 2, other: 1 }].map(double), [2, 2, 4])
    assert.deepStrictEqual([computed, double.hits(), double.misses()], [2, 1, 2])
  })
})

describe("unknown actions and reducers", () => {
  class Strict extends Store.Service<Strict>()("Strict", { reducers: [counter] }) {}
  const logged = (unmatched: "log" | "warn" | "silent") =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const ref = yield* Effect.gen(function*() {
        const ref = yield* (yield* Strict).start("a")
        yield* Store.dispatchAction(ref, Action.make("counter.nope") as never)
        yield* Store.dispatch(ref, "counter.set", 1, { reducers: ["counter", "nobody"] })
        return yield* ref.state
      }).pipe(Effect.provide(Layer.provideMerge(
        TestSessions.layer(Strict.toLayer(Store.behavior(Strict, { unmatched }))),
        Layer.merge(
          Logger.layer([Logger.make(({ logLevel, message }) => {
            lines.push(`${logLevel} ${String(message)}`)
          })]),
          Layer.succeed(References.MinimumLogLevel, "Debug")
        )
      )))
      assert.deepStrictEqual(ref, { counter: { count: 1 } })
      return lines
    })
  const unknownName = "Warn action counter.set names reducers that store Strict does not have: nobody"

  it.effect("is logged, warned of, or passed over in silence, as the store says", () =>
    Effect.gen(function*() {
      const text = "no reducer of store Strict knows the action counter.nope"
      assert.deepStrictEqual(yield* logged("log"), [`Debug ${text}`, unknownName])
      assert.deepStrictEqual(yield* logged("warn"), [`Warn ${text}`, unknownName])
      assert.deepStrictEqual(yield* logged("silent"), [unknownName])
    }))

  it.effect("goes to a function that the store names", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      yield* Effect.gen(function*() {
        const ref = yield* (yield* Strict).start("a")
        yield* Store.dispatchAction(ref, Action.make("counter.nope", 5) as never)
        assert.deepStrictEqual(seen, ["a counter.nope 5"])
      }).pipe(Effect.provide(TestSessions.layer(Strict.toLayer(Store.behavior(Strict, {
        unmatched: ({ payload, type }, self) => Effect.sync(() => seen.push(`${self.id} ${type} ${String(payload)}`))
      })))))
    }))
})

describe("telemetry", () => {
  it.effect("has an event for each action that says whether the state changed", () =>
    Effect.gen(function*() {
      const ref = yield* shop
      yield* Store.dispatch(ref, "counter.set", 0)
      yield* Store.dispatch(ref, "counter.set", 1)
      const told = yield* (yield* TestSessions.Recorder).of("Dispatch")
      assert.deepStrictEqual(told.map(({ changed, id, type }) => [id, type, changed]), [
        ["a", "counter.set", false],
        ["a", "counter.set", true]
      ])
    }).pipe(provide))

  it.effect("notes the trace in which an action was dispatched", () =>
    Effect.gen(function*() {
      const ref = yield* shop
      const traceId = yield* Effect.gen(function*() {
        yield* Store.dispatch(ref, "counter.increment")
        return (yield* Effect.currentSpan).traceId
      }).pipe(Effect.orDie, Effect.withSpan("caller"))
      yield* Store.dispatch(ref, "counter.increment")
      assert.deepStrictEqual((yield* Store.history(ref)).map((step) => step.traceId), [traceId, undefined])
    }).pipe(provide))
})

describe("broadcasts", () => {
  it.effect("contain every action with the state after it", () =>
    Effect.gen(function*() {
      const { stream } = yield* StoreBroadcasts
      const told = yield* Effect.forkChild(Stream.runCollect(Stream.take(stream, 2)))
      yield* TestSessions.settle
      const ref = yield* shop
      yield* Store.dispatch(ref, "counter.set", 3)
      yield* Store.dispatch(ref, "counter.increment")
      assert.deepStrictEqual(
        (yield* Fiber.join(told)).map((
          { action, id, kind, state }
        ) => [kind, id, action.type, (state as any).counter.count]),
        [["Shop", "a", "counter.set", 3], ["Shop", "a", "counter.increment", 4]]
      )
    }).pipe(Effect.provide(TestSessions.layer(
      Layer.provideMerge(Shop.toLayer(Store.behavior(Shop)), StoreBroadcasts.layer)
    ))))
})

describe("definitions", () => {
  const base = { state: Schema.Int, initial: 0, actions: { a: Schema.Void }, on: { a: () => 0 } }

  it("that cannot work throw with a clear text", () => {
    assert.throws(() => Reducer.make("2", base), /is not a name for a reducer/)
    assert.throws(() => Reducer.make("r", { ...base, prefix: "a.b" }), /is not a prefix/)
    assert.throws(() => Reducer.make("r", { ...base, on: {} }), /nothing handles its action a/)
    assert.throws(() => Reducer.make("r", { ...base, on: { ...base.on, b: () => 0 } as never }), /on names b/)
    assert.throws(
      () => Reducer.make("r", { ...base, throttle: { a: "soon" as never } }),
      /throttle of a is not a duration/
    )
    assert.throws(() => Reducer.make("r", { ...base, debounce: { b: "1s" } as never }), /debounce names b/)
    assert.throws(() => Reducer.make("r", { ...base, prefix: "p", catchAll: () => 0 }), /cannot have catchAll/)
    const r = Reducer.make("r", base)
    assert.throws(() => Store.Service<never>()("S", { reducers: [r, r] }), /two reducers are named r/)
  })

  it("are checked at compile time", () => {
    const check = (ref: Session.Ref<typeof Shop>) => {
      expectTypeOf(Store.dispatchWait(ref, "counter.set", 5)).toExtend<
        Effect.Effect<
          { readonly counter: { readonly count: number } },
          StoreError.ActionStopped | { readonly _tag: string }
        >
      >()
      return [
        // @ts-expect-error: no such action
        Store.dispatch(ref, "counter.nope"),
        // @ts-expect-error: the payload is missing
        Store.dispatch(ref, "counter.set"),
        // @ts-expect-error: the payload is a number
        Store.dispatch(ref, "counter.set", "5"),
        // @ts-expect-error: there is no payload
        Store.dispatch(ref, "counter.increment", 5)
      ]
    }
    assert.isFunction(check)
  })
})
