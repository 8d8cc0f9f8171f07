import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Schema, Scope, Stream } from "effect"
import {
  Action,
  type DeadLetters,
  Middleware,
  Reducer,
  type Sessions,
  SnapshotStore,
  Store,
  StoreBroadcasts,
  StoreError,
  Supervision
} from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"

const { elapse, settle } = TestSessions

const count = Reducer.make("count", {
  state: Schema.Struct({ n: Schema.Number }),
  initial: { n: 0 },
  actions: { inc: Schema.Void },
  on: { inc: ({ n }) => ({ n: n + 1 }) }
})

/** Every version that the history lists is what `look` gives, and the current one is the state. */
const agrees = (ref: any) =>
  Effect.gen(function*() {
    const state = yield* ref.state
    const steps = yield* Store.history(ref)
    const current = steps.find((step) => step.current)
    assert.deepStrictEqual(yield* Store.look(ref, current?.version ?? 0), state)
    for (const { version } of steps) yield* Store.look(ref, version)
    return steps.map(({ type }) => type)
  }) as Effect.Effect<Array<string>, never>

const crashes = (effect: Effect.Effect<unknown, any>) =>
  Effect.map(Effect.flip(effect), (error) => assert.strictEqual(error._tag, "SessionCrashed"))

describe("an action that cannot be handled to its end leaves state, history, throttle and work as they were", () => {
  const started: Array<string> = []
  const faulty = Reducer.make("faulty", {
    state: Schema.Struct({ n: Schema.Number }),
    initial: { n: 0 },
    actions: { throws: Schema.Void, noEffect: Schema.Void, work: Schema.Void, wipe: Schema.Void, later: Schema.Void },
    on: {
      throws: () => ({ n: 1 }),
      noEffect: () => ({ n: 2 }),
      work: () => ({ n: 3 }),
      wipe: (() => undefined) as never,
      later: () => ({ n: 5 })
    },
    async: {
      throws: () => {
        throw new Error("at once")
      },
      noEffect: (() => undefined) as unknown as () => Effect.Effect<void>,
      work: () => Effect.sync(() => started.push("work"))
    },
    debounce: { later: "1 second" }
  })
  /** Another reducer that handles the same actions. */
  const other = Reducer.make("other", {
    state: Schema.UndefinedOr(Schema.Number),
    initial: 0,
    actions: { wipe: Schema.Void, throws: Schema.Void, later: Schema.Void },
    on: { wipe: () => undefined, throws: () => 1, later: () => 6 },
    async: { throws: () => Effect.sync(() => started.push("other")) }
  })
  class Faulty extends Store.Service<Faulty>()("Faulty", { reducers: [count, faulty, other] }) {}
  const provide = (
    options: { readonly init?: () => any; readonly middleware?: ReadonlyArray<Middleware.Middleware> } = {}
  ) => Effect.provide(TestSessions.layer(Faulty.toLayer(Store.behavior(Faulty, { history: 10, ...options }))))

  for (const type of ["throws", "noEffect"] as const) {
    it.effect(`its work is a function that ${type === "throws" ? "throws" : "gives no Effect"}`, () =>
      Effect.gen(function*() {
        started.length = 0
        const ref = yield* (yield* Faulty).start("a")
        const before = yield* ref.state
        yield* crashes(Store.dispatchWait(ref, type))
        assert.strictEqual(yield* ref.state, before)
        assert.deepStrictEqual(yield* agrees(ref), [])
        yield* Store.dispatchWait(ref, "work")
        assert.deepStrictEqual(yield* agrees(ref), ["work"])
        yield* settle
        assert.deepStrictEqual(started, ["work"])
      }).pipe(provide()))
  }

  it.effect("a reducer that returns undefined, unless its state may be undefined", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Faulty).start("a")
      const before = yield* ref.state
      const error = yield* Effect.flip(Store.dispatchWait(ref, "wipe"))
      assert.include(error.message, "reducer faulty gave no state for the action wipe")
      assert.strictEqual(yield* ref.state, before)
      yield* Store.dispatchWait(ref, "wipe", undefined, { reducers: ["other"] })
      assert.deepStrictEqual(yield* ref.state, { ...before, other: undefined })
      assert.deepStrictEqual(yield* agrees(ref), ["wipe"])
    }).pipe(provide()))

  it.effect("a first state with slices that are undefined has the initial ones", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Faulty).start("a")
      assert.deepStrictEqual(yield* ref.state, { count: { n: 7 }, faulty: { n: 0 }, other: undefined })
    }).pipe(provide({ init: () => ({ count: { n: 7 }, faulty: undefined, other: undefined }) })))

  it.effect("a middleware that stops it after the fact, also for what is put off", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Faulty).start("a")
      const before = yield* ref.state
      assert.strictEqual((yield* Effect.flip(Store.dispatchWait(ref, "later")))._tag, "ActionStopped")
      yield* elapse("2 seconds")
      assert.strictEqual(yield* ref.state, before)
      assert.deepStrictEqual(yield* agrees(ref), [])
    }).pipe(provide({
      middleware: [(passing, next) =>
        Effect.andThen(
          next(passing.action),
          new StoreError.ActionStopped({ type: passing.action.type, message: "no" })
        )]
    })))

  it.effect("a transport of broadcasts that throws harms no session", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Faulty).start("a")
      yield* Store.dispatchWait(ref, "inc")
      assert.deepStrictEqual((yield* ref.state).count, { n: 1 })
      assert.deepStrictEqual(yield* agrees(ref), ["inc"])
    }).pipe(
      Effect.provide(TestSessions.layer(
        Faulty.toLayer(Store.behavior(Faulty, { history: 10 })).pipe(Layer.provide(
          Layer.mock(StoreBroadcasts)({
            publish: () => {
              throw new Error("no transport")
            }
          })
        ))
      ))
    ))
})

describe("middleware", () => {
  const retries = (times: number): Middleware.Middleware => ({ action }, next) => Effect.retry(next(action), { times })
  class Counts extends Store.Service<Counts>()("Counts", { reducers: [count] }) {}
  const run = <A, E>(
    middleware: ReadonlyArray<Middleware.Middleware>,
    test: Effect.Effect<A, E, Counts | Sessions>
  ) => Effect.provide(test, TestSessions.layer(Counts.toLayer(Store.behavior(Counts, { history: 10, middleware }))))

  it.effect("a middleware that retries does not handle twice what failed further in", () => {
    let failures = 2
    return run(
      [
        retries(2),
        ({ action }, next) =>
          Effect.tap(
            next(action),
            () => failures-- > 0 ? new StoreError.ActionStopped({ type: action.type, message: "not yet" }) : Effect.void
          )
      ],
      Effect.gen(function*() {
        const ref = yield* (yield* Counts).start("a")
        assert.deepStrictEqual(yield* Store.dispatchWait(ref, "inc"), { count: { n: 1 } })
        assert.deepStrictEqual(yield* agrees(ref), ["inc"])
      })
    )
  })

  it.effect("a middleware that recovers from what failed further in has the state from before", () =>
    run(
      [
        (passing, next) => Effect.catch(next(passing.action), () => Effect.succeed(passing.state)),
        ({ action }, next) =>
          Effect.andThen(next(action), new StoreError.ActionStopped({ type: action.type, message: "no" }))
      ],
      Effect.gen(function*() {
        const ref = yield* (yield* Counts).start("a")
        assert.deepStrictEqual(yield* Store.dispatchWait(ref, "inc"), { count: { n: 0 } })
        assert.deepStrictEqual(yield* agrees(ref), [])
      })
    ))

  it.effect("a middleware that calls next twice handles the action twice, and the history has both", () =>
    run(
      [({ action }, next) => Effect.andThen(next(action), next(action))],
      Effect.gen(function*() {
        const ref = yield* (yield* Counts).start("a")
        yield* Store.dispatchWait(ref, "inc")
        assert.deepStrictEqual((yield* ref.state).count, { n: 2 })
        assert.deepStrictEqual(yield* agrees(ref), ["inc", "inc"])
      })
    ))

  it.effect("a middleware that calls next after its end gets an error", () => {
    let late: Fiber.Fiber<unknown, unknown> | undefined
    return run(
      [({ action, state }, next) =>
        Effect.map(Effect.forkDetach(Effect.delay(next(action), "1 second")), (fiber) => {
          late = fiber
          return state
        })],
      Effect.gen(function*() {
        const ref = yield* (yield* Counts).start("a")
        yield* Store.dispatchWait(ref, "inc")
        yield* elapse("1 second")
        const exit = yield* Fiber.await(late!)
        assert.include(String(Exit.isFailure(exit) && exit.cause), "called next for inc when it was over")
        assert.deepStrictEqual(yield* agrees(ref), [])
      })
    )
  })

  it.effect("a middleware that throws crashes its action only", () => {
    let isBroken = true
    return run(
      [({ action }, next) => {
        if (isBroken) throw new Error("broken")
        return next(action)
      }],
      Effect.gen(function*() {
        const ref = yield* (yield* Counts).start("a")
        yield* crashes(Store.dispatchWait(ref, "inc"))
        isBroken = false
        yield* Store.dispatchWait(ref, "inc")
        assert.deepStrictEqual(yield* agrees(ref), ["inc"])
      })
    )
  })

  it.effect("an action that a middleware dispatches is handled after the current one", () =>
    run(
      [({ action, self, state }, next) =>
        state.count.n === 0 && action.type === "inc"
          ? Effect.andThen(Effect.orDie(self.cast("Dispatch", Action.make("inc"))), next(action))
          : next(action)],
      Effect.gen(function*() {
        const ref = yield* (yield* Counts).start("a")
        assert.deepStrictEqual(yield* Store.dispatchWait(ref, "inc"), { count: { n: 1 } })
        yield* settle
        assert.deepStrictEqual((yield* ref.state).count, { n: 2 })
      })
    ))

  it.effect("a middleware that rewrites the payload reaches no more reducers than before", () => {
    const put = (name: string, debounce: {}) =>
      Reducer.make(name, {
        state: Schema.String,
        initial: "",
        actions: { put: Schema.String },
        on: { put: (text, more) => text + more },
        debounce
      })
    class Both extends Store.Service<Both>()("Both", {
      reducers: [put("now", {}), put("later", { put: "1 second" })]
    }) {}
    const trim: Middleware.Middleware = ({ action }, next) =>
      next({ ...action, payload: (action.payload as string).trim() })
    return Effect.gen(function*() {
      const ref = yield* (yield* Both).start("a")
      yield* Store.dispatchWait(ref, "put", " x ")
      assert.deepStrictEqual(yield* ref.state, { now: "x", later: "" })
      yield* elapse("1 second")
      assert.deepStrictEqual(yield* ref.state, { now: "x", later: "x" })
      assert.deepStrictEqual(yield* agrees(ref), ["put", "put"])
    }).pipe(
      Effect.provide(TestSessions.layer(Both.toLayer(Store.behavior(Both, { history: 10, middleware: [trim] }))))
    )
  })
})

describe("throttle", () => {
  it.effect("counts what was handled, not what was stopped or died", () => {
    let fails = true
    let stops = false
    const one = Reducer.make("one", {
      state: Schema.Int,
      initial: 0,
      actions: { inc: Schema.Void },
      on: {
        inc: (n) => {
          if (fails) throw new Error("once")
          return n + 1
        }
      },
      throttle: { inc: "1 second" }
    })
    class One extends Store.Service<One>()("One", { reducers: [one] }) {}
    const middleware = [Middleware.validation(() => stops ? "not now" : undefined)]
    return Effect.gen(function*() {
      const ref = yield* (yield* One).start("a")
      yield* crashes(Store.dispatchWait(ref, "inc"))
      fails = false
      stops = true
      assert.strictEqual((yield* Effect.flip(Store.dispatchWait(ref, "inc")))._tag, "ActionStopped")
      stops = false
      assert.deepStrictEqual(yield* Store.dispatchWait(ref, "inc"), { one: 1 })
      assert.deepStrictEqual(yield* Store.dispatchWait(ref, "inc"), { one: 1 })
      yield* elapse("1 second")
      assert.deepStrictEqual(yield* Store.dispatchWait(ref, "inc"), { one: 2 })
    }).pipe(Effect.provide(TestSessions.layer(One.toLayer(Store.behavior(One, { middleware })))))
  })
})

describe("names that objects inherit", () => {
  const names = ["constructor", "toString", "__proto__", "hasOwnProperty"]
  const odd = Reducer.make("constructor", {
    state: Schema.Array(Schema.String),
    initial: [],
    actions: Object.fromEntries(names.map((name) => [name, Schema.String])),
    on: Object.fromEntries(names.map((name) => [name, (list: ReadonlyArray<string>, text: string) => [...list, text]]))
  })
  class Odd extends Store.Service<Odd>()("Odd", { reducers: [odd] }) {}

  it.effect("are names of actions and reducers as others are, and nothing where they are not declared", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Odd).start("a")
      for (const name of names) yield* Store.dispatchWait(ref, name as never, name as never)
      assert.deepStrictEqual(yield* ref.state, { constructor: names })
      for (const name of ["valueOf", "isPrototypeOf"]) yield* Store.dispatchWait(ref, name as never)
      assert.deepStrictEqual(yield* ref.state, { constructor: names })
      for (const type of ["valueOf", "isPrototypeOf"]) {
        assert.strictEqual((yield* Effect.flip(Store.decode(Odd, { type })))._tag, "UnknownAction")
      }
      const json = yield* Store.serialize(Odd, ref)
      yield* Store.reset(ref)
      assert.deepStrictEqual(yield* Store.restore(Odd, ref, json), { constructor: names })
    }).pipe(Effect.provide(TestSessions.layer(Odd.toLayer(Store.behavior(Odd))))))
})

describe("work that is under way", () => {
  const ended: Array<string> = []
  const load = Reducer.make("load", {
    state: Schema.Array(Schema.String),
    initial: [],
    actions: { load: Schema.String, quick: Schema.String, loaded: Schema.String },
    on: { loaded: (list, text) => [...list, text] },
    async: {
      load: ({ dispatch, payload }) =>
        Effect.andThen(Effect.sleep("1 second"), dispatch("loaded", payload)).pipe(
          Effect.onExit((exit) => Effect.sync(() => ended.push(`${payload} ${exit._tag}`)))
        ),
      quick: ({ dispatch, payload }) => dispatch("loaded", payload)
    }
  })
  class Loads extends Store.Service<Loads>()("Loads", { reducers: [load, count] }) {}
  /** Keeps the store busy. */
  const slowly: Middleware.Middleware = ({ action }, next) =>
    action.type === "inc" ? Effect.andThen(Effect.sleep("1 second"), next(action)) : next(action)
  const provide = Effect.provide(
    TestSessions.layer(Loads.toLayer(Store.behavior(Loads, { history: 10, middleware: [slowly] })))
  )

  it.effect("ends once, and what it found for the state before a reset does not come after it", () =>
    Effect.gen(function*() {
      ended.length = 0
      const ref = yield* (yield* Loads).start("a")
      yield* Store.dispatchWait(ref, "load", "ada's")
      yield* settle
      // The store is busy; the reset waits behind it, and what is found behind the reset.
      const busy = yield* Effect.forkChild(Store.dispatchWait(ref, "inc"))
      yield* settle
      const reset = yield* Effect.forkChild(Store.reset(ref))
      yield* settle
      yield* elapse("1 second")
      yield* Fiber.join(busy)
      yield* Fiber.join(reset)
      yield* elapse("5 seconds")
      assert.deepStrictEqual((yield* ref.state).load, [])
      assert.strictEqual(ended.length, 1)
      yield* Store.dispatchWait(ref, "quick", "bob's")
      yield* settle
      assert.deepStrictEqual((yield* ref.state).load, ["bob's"])
    }).pipe(provide))

  it.effect("a restored state is as safe from it as a state after a reset", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Loads).start("a")
      yield* Store.dispatchWait(ref, "load", "old")
      yield* settle
      yield* Store.restore(Loads, ref, { load: ["kept"], count: { n: 3 } })
      yield* elapse("5 seconds")
      assert.deepStrictEqual(yield* ref.state, { load: ["kept"], count: { n: 3 } })
      const bad = [null, {}, [], { load: "x", count: { n: 1 } }, { load: [], count: { n: {} } }]
      for (const json of bad) {
        assert.strictEqual((yield* Effect.flip(Store.restore(Loads, ref, json)))._tag, "SchemaError")
      }
      assert.deepStrictEqual(yield* ref.state, { load: ["kept"], count: { n: 3 } })
    }).pipe(provide))

  it.effect("continues over time travel, and builds on the new state", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Loads).start("a")
      yield* Store.dispatchWait(ref, "quick", "first")
      yield* settle
      yield* Store.dispatchWait(ref, "load", "second")
      yield* settle
      yield* Store.travel(ref, 0)
      yield* elapse("2 seconds")
      assert.deepStrictEqual((yield* ref.state).load, ["second"])
      assert.deepStrictEqual(yield* agrees(ref), ["loaded", "loaded"])
    }).pipe(provide))
})

describe("with a store", () => {
  class Point extends Schema.Class<Point>("Point")({ x: Schema.Int }) {}
  const payloads = {
    void: [Schema.Void, undefined],
    date: [Schema.Date, new Date(5)],
    option: [Schema.Option(Schema.Int), Option.some(3)],
    class: [Point, new Point({ x: 1 })],
    set: [Schema.ReadonlySet(Schema.String), new Set(["a"])],
    bigint: [Schema.BigInt, 42n],
    nan: [Schema.Number, NaN],
    absent: [Schema.Struct({ a: Schema.optional(Schema.Int) }), { a: undefined }]
  } as const
  const got: Array<unknown> = []
  const later = Reducer.make("later", {
    prefix: "later",
    state: Schema.Int,
    initial: 0,
    actions: Object.fromEntries(Object.entries(payloads).map(([name, [schema]]) => [name, schema])) as Reducer.Actions,
    on: Object.fromEntries(
      Object.keys(payloads).map((name) => [name, (n: number, payload: unknown) => {
        got.push(payload)
        return n + 1
      }])
    ),
    debounce: Object.fromEntries(Object.keys(payloads).map((name) => [name, "10 seconds"]))
  })
  class Kept extends Store.Service<Kept>()("Kept", { reducers: [count, later] }) {}
  type Save = "atEnd" | "everyChange"
  const process = <A, E>(
    save: Save,
    use: Effect.Effect<A, E, Kept | Sessions | Scope.Scope>,
    options?: { readonly init?: () => { readonly count: { readonly n: number } } }
  ) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const layer = Kept.toLayer(Store.behavior(Kept, { history: 5, ...options }), { snapshots: { save } })
      const context = yield* Layer.buildWithScope(TestSessions.layer(layer, { idleTimeout: "1 day" }), scope)
      const out = yield* Effect.scoped(Effect.provideContext(use, context))
      yield* Scope.close(scope, Exit.void)
      return out
    })
  const start = Effect.flatMap(Kept, (kept) => kept.start("a"))

  for (const save of ["atEnd", "everyChange"] as const) {
    for (const [name, [, payload]] of Object.entries(payloads)) {
      it.effect(`${save}: a pending debounced action with ${name} as its payload is stored, and so is the session`, () =>
        Effect.gen(function*() {
          got.length = 0
          yield* process(
            save,
            Effect.gen(function*() {
              const ref = yield* start
              yield* Store.dispatchWait(ref, "inc")
              yield* Store.dispatchWait(ref, `later.${name}` as never, payload as never)
              yield* Store.dispatchWait(ref, "inc")
            })
          )
          yield* process(
            save,
            Effect.gen(function*() {
              const ref = yield* start
              assert.deepStrictEqual(yield* ref.state, { count: { n: 2 }, later: 0 })
              yield* elapse("10 seconds")
              assert.deepStrictEqual(yield* ref.state, { count: { n: 2 }, later: 1 })
              assert.deepStrictEqual(got, [payload])
              assert.deepStrictEqual(yield* agrees(ref), [`later.${name}`])
            })
          )
        }).pipe(Effect.provide(MemoryStore.layer)))
    }
  }

  it.effect("a newer action replaces a restored one, and a reset cancels it", () =>
    Effect.gen(function*() {
      got.length = 0
      const put = (value: number) =>
        Effect.flatMap(start, (ref) => Store.dispatchWait(ref, "later.nan" as never, value as never))
      yield* process("everyChange", Effect.andThen(put(1), elapse("5 seconds")))
      yield* process("everyChange", Effect.andThen(put(2), elapse("9 seconds")))
      assert.deepStrictEqual(got, [])
      yield* process(
        "everyChange",
        Effect.gen(function*() {
          const ref = yield* start
          yield* Store.reset(ref)
          yield* elapse("20 seconds")
          assert.deepStrictEqual(yield* ref.state, { count: { n: 0 }, later: 0 })
        })
      )
      assert.deepStrictEqual(got, [])
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("a reset after a restart goes back to the first state, not to the restored one", () =>
    Effect.gen(function*() {
      const options = { init: () => ({ count: { n: 10 } }) }
      yield* process("atEnd", Effect.flatMap(start, (ref) => Store.dispatchWait(ref, "inc")), options)
      yield* process(
        "atEnd",
        Effect.gen(function*() {
          const ref = yield* start
          assert.deepStrictEqual((yield* ref.state).count, { n: 11 })
          yield* Store.reset(ref)
          assert.deepStrictEqual((yield* ref.state).count, { n: 10 })
        }),
        options
      )
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("the snapshot contains only what the schemas allow", () =>
    Effect.gen(function*() {
      yield* process(
        "everyChange",
        Effect.flatMap(start, (ref) =>
          Store.dispatchWait(ref, "later.date" as never, new Date(5) as never, { id: undefined, prefix: "later" }))
      )
      const store = Context.get(yield* Effect.context<SnapshotStore.SnapshotStore>(), SnapshotStore.SnapshotStore)
      const { body } = Option.getOrThrow(yield* store.peek({ kind: "Kept", id: "a" }))
      assert.deepStrictEqual(JSON.parse(body).timers[0].payload, {
        action: { type: "later.date", payload: new Date(5).toISOString(), meta: { prefix: "later" } },
        reducer: "later"
      })
    }).pipe(Effect.provide(MemoryStore.layer)))
})

describe("a debounced action that is pending when its session is over", () => {
  const text = Reducer.make("text", {
    state: Schema.String,
    initial: "",
    actions: { put: Schema.String, die: Schema.Void, slow: Schema.Void },
    on: {
      put: (_, text) => text,
      die: () => {
        throw new Error("die")
      },
      slow: (text) => text
    },
    debounce: { put: "10 seconds" }
  })
  class Puts extends Store.Service<Puts>()("Puts", { reducers: [text] }) {}
  const slowly: Middleware.Middleware = ({ action }, next) =>
    action.type === "slow" ? Effect.andThen(Effect.sleep("1 minute"), next(action)) : next(action)
  const behavior = Store.behavior(Puts, { middleware: [slowly] })
  const letters = Effect.map(TestSessions.deadLetters, (letters) =>
    letters.map(({ payload, reason, tag }) => [
      tag,
      (payload as any).action?.payload ?? (payload as any).type,
      reason._tag === "Undelivered" ? reason.end._tag : reason._tag
    ]))

  it.effect("is a dead letter, once, whatever the end", () =>
    Effect.gen(function*() {
      const puts = yield* Puts
      for (const id of ["a", "b", "c"]) yield* Store.dispatch(yield* puts.start(id), "put", id)
      yield* puts.end("a")
      assert.deepStrictEqual(yield* letters, [["Fire", "a", "Stopped"]])
      yield* puts.end("b", { drain: false })
      assert.deepStrictEqual((yield* letters).slice(1), [["Fire", "b", "Stopped"]])
      yield* elapse("9 seconds")
      yield* Store.dispatch(yield* puts.get("c"), "put", "newer")
      yield* elapse("10 seconds")
      yield* puts.end("c")
      assert.strictEqual((yield* letters).length, 2)
    }).pipe(Effect.provide(TestSessions.layer(Puts.toLayer(behavior)))))

  it.effect("and waits already to be handled, is one dead letter, too", () =>
    Effect.gen(function*() {
      const puts = yield* Puts
      const ref = yield* puts.start("a")
      yield* Store.dispatch(ref, "put", "x")
      yield* Store.dispatch(ref, "slow")
      yield* elapse("20 seconds")
      yield* puts.end("a", { drain: false })
      assert.deepStrictEqual(yield* letters, [["Dispatch", "slow", "Stopped"], ["Fire", "x", "Stopped"]])
    }).pipe(Effect.provide(TestSessions.layer(Puts.toLayer(behavior)))))

  it.effect("is one when a crash resets the session, and none when the store is asked to", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Puts).start("a")
      yield* Store.dispatch(ref, "put", "x")
      yield* Store.reset(ref)
      assert.deepStrictEqual(yield* letters, [])
      yield* Store.dispatch(ref, "put", "y")
      yield* crashes(Store.dispatchWait(ref, "die"))
      yield* settle
      assert.deepStrictEqual(yield* letters, [["DispatchWait", "die", "Crashed"], ["Fire", "y", "Crashed"]])
      yield* elapse("20 seconds")
      assert.deepStrictEqual(yield* ref.state, { text: "" })
    }).pipe(Effect.provide(TestSessions.layer(Puts.toLayer(behavior, { supervision: Supervision.reset() })))))

  it.effect("is no dead letter if it is restored with its session, and is one if the session is not restored", () =>
    Effect.gen(function*() {
      const process = <A, E>(use: Effect.Effect<A, E, Puts | DeadLetters>) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const layer = Puts.toLayer(behavior, { snapshots: { save: "everyChange" } })
          const context = yield* Layer.buildWithScope(TestSessions.layer(layer), scope)
          const out = yield* Effect.provideContext(use, context)
          yield* Scope.close(scope, Exit.void)
          return [out, yield* Effect.provideContext(letters, context)] as const
        })
      const [, first] = yield* process(
        Effect.flatMap(Puts, (puts) => Effect.flatMap(puts.start("a"), (ref) => Store.dispatchWait(ref, "put", "x")))
      )
      assert.deepStrictEqual(first, [])
      const [ended, second] = yield* process(
        Effect.flatMap(Puts, (puts) => Effect.andThen(puts.start("a"), puts.end("a")))
      )
      assert.isTrue(ended)
      assert.deepStrictEqual(second, [["Fire", "x", "Stopped"]])
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("is handled once when a newer one came while the store was busy: the newer one", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Puts).start("a")
      const seen: Array<string> = []
      yield* Effect.forkChild(
        Stream.runForEach(ref.changes(({ text }) => text), (text) => Effect.sync(() => seen.push(text)))
      )
      yield* Store.dispatch(ref, "put", "old")
      yield* elapse("9 seconds")
      yield* Store.dispatch(ref, "slow")
      yield* settle
      yield* Store.dispatch(ref, "put", "new")
      yield* elapse("2 minutes")
      assert.deepStrictEqual(seen, ["", "new"])
    }).pipe(Effect.provide(TestSessions.layer(Puts.toLayer(behavior)))))
})

describe("a numbered action that is sent again", () => {
  const notes = Reducer.make("notes", {
    state: Schema.Array(Schema.String),
    initial: [],
    actions: { add: Schema.String },
    on: { add: (notes, text) => [...notes, text] }
  })
  class Notes extends Store.Service<Notes>()("Notes", { reducers: [notes] }) {}
  const kind = Notes.toLayer(Store.behavior(Notes), { snapshots: { save: "everyChange" } })
  const layer = Layer.provideMerge(TestSessions.layer(kind), MemoryStore.layer)

  it.effect("is handled once; its reply is remembered, and has no state that would fill the snapshots", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Notes).start("a")
      const texts = Array.from({ length: 64 }, (_, at) => `text ${at}`)
      for (const [at, text] of texts.entries()) {
        yield* ref.callOnce("Dispatch", Action.make("add", text), { client: "phone", sequence: at + 1 })
      }
      yield* ref.callOnce("Dispatch", Action.make("add", "text 63"), { client: "phone", sequence: 64 })
      assert.deepStrictEqual(yield* ref.state, { notes: texts })
      const { body } = Option.getOrThrow(
        yield* (yield* SnapshotStore.SnapshotStore).peek({ kind: "Notes", id: "a" })
      )
      assert.strictEqual(body.split("text 0").length - 1, 1)
    }).pipe(Effect.provide(layer)))
})
