import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Schema, Scope } from "effect"
import { type KindOptions, Session, SnapshotStore, Supervision } from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"
import { steppedClock } from "../steppedClock.ts"

interface Set {
  readonly how: "after" | "every"
  readonly time: any
  readonly text?: string
  readonly key?: string
}

class Bell extends Session.Service<Bell>()("Bell", {
  state: Schema.Array(Schema.String),
  protocol: [
    Rpc.make("Ring", { payload: Schema.String }),
    Rpc.make("Set", { payload: Schema.Any as Schema.Codec<Set>, success: Schema.Any }),
    Rpc.make("Busy", { payload: Schema.Number }),
    Rpc.make("Cancel", { payload: Schema.Any, success: Schema.Boolean }),
    Rpc.make("Hang"),
    Rpc.make("Look", { success: Schema.Array(Schema.String) })
  ]
}) {}

type Self = Session.Self<any>

interface Hooks {
  readonly boot?: (self: Self) => Effect.Effect<unknown>
  readonly restore?: (self: Self) => Effect.Effect<unknown>
  readonly afterStart?: (self: Self) => Effect.Effect<unknown>
  readonly end?: (self: Self) => Effect.Effect<unknown>
  /** When a timer fires. */
  readonly ring?: (text: string, self: Self) => Effect.Effect<unknown>
}

const ring = (self: Self, { how, key, text = "ring", time }: Set) => self[how](time, "Ring", text, { key })

const bells = (options: KindOptions.KindOptions<any> = {}, hooks: Hooks = {}) =>
  Bell.toLayer(
    Bell.behavior({
      init: ({ self }) => Effect.as(hooks.boot?.(self) ?? Effect.void, []),
      ...(hooks.restore && { restore: ({ self, state }: any) => Effect.as(hooks.restore!(self), state) }),
      ...(hooks.afterStart && { afterStart: ({ self }: any) => Effect.asVoid(hooks.afterStart!(self)) }),
      ...(hooks.end && { end: ({ self }: any) => Effect.asVoid(hooks.end!(self)) }),
      handlers: {
        Ring: ({ payload, self, state }) =>
          Effect.as(hooks.ring?.(payload, self) ?? Effect.void, [[...state, payload]] as const),
        Set: ({ payload, self, state }) => Effect.map(ring(self, payload), (timer) => [state, timer] as const),
        Busy: ({ payload, state }) => Effect.as(Effect.sleep(payload), [state] as const),
        Cancel: ({ payload, state }) => Effect.map(payload.cancel, (was) => [state, was as boolean] as const),
        Hang: () => Effect.uninterruptible(Effect.never),
        Look: ({ state }) => [state, state]
      }
    }),
    options
  )

const provide = (options?: KindOptions.KindOptions<any>, hooks?: Hooks) =>
  Effect.provide(TestSessions.layer(bells(options, hooks), { idleTimeout: "1000 days" }))

const rarelySwept = { idleTimeout: "Infinity", sweepInterval: "1000 days" } as const

const start = Effect.flatMap(Bell, (bells) => bells.start("a"))

describe("A timer", () => {
  it.effect("that fires while its session is busy has one message waiting, however often it fires", () =>
    Effect.gen(function*() {
      const ref = yield* start
      yield* ref.call("Set", { how: "every", time: "1 second" })
      yield* ref.cast("Busy", 60_500)
      yield* TestSessions.elapse("1 minute")
      assert.strictEqual((yield* ref.info).mailbox, 1)
      yield* TestSessions.elapse("500 millis")
      assert.deepStrictEqual(yield* ref.state, ["ring"])
      yield* TestSessions.elapse("500 millis")
      assert.deepStrictEqual(yield* ref.state, ["ring", "ring"])
    }).pipe(provide()))

  it.effect("that finds the mailbox full retries after growing pauses, and fires once", () =>
    Effect.gen(function*() {
      const ref = yield* start
      yield* ref.call("Set", { how: "after", time: 10 })
      yield* ref.cast("Busy", 60)
      yield* ref.cast("Look")
      // It tries after 10, 20, 40 and 80 ms; there is room after 60.
      yield* TestSessions.elapse(79)
      assert.deepStrictEqual(yield* ref.state, [])
      yield* TestSessions.elapse(1)
      assert.deepStrictEqual(yield* ref.state, ["ring"])
      yield* TestSessions.elapse("1 minute")
      assert.deepStrictEqual(yield* ref.state, ["ring"])
    }).pipe(provide({ mailboxCapacity: 1 })))

  it.effect("that repeats and found the mailbox full for long fires within a second, and keeps its phase", () =>
    Effect.gen(function*() {
      const ref = yield* start
      yield* ref.call("Set", { how: "every", time: "10 seconds" })
      yield* ref.cast("Busy", 65_000)
      yield* ref.cast("Look")
      yield* TestSessions.elapse("66 seconds")
      assert.deepStrictEqual(yield* ref.state, ["ring"])
      yield* TestSessions.elapse("4 seconds")
      assert.deepStrictEqual(yield* ref.state, ["ring", "ring"])
    }).pipe(provide({ mailboxCapacity: 1 })))

  it.effect("that was cancelled is not handled, though its message was sent", () =>
    Effect.gen(function*() {
      const ref = yield* start
      for (const how of ["after", "every"] as const) {
        const timer = yield* ref.call("Set", { how, time: "1 second" })
        yield* ref.cast("Busy", 1_500)
        const cancelled = yield* Effect.forkChild(ref.call("Cancel", timer))
        yield* TestSessions.elapse("5 seconds")
        assert.isTrue(yield* Fiber.join(cancelled))
        assert.isFalse(yield* ref.call("Cancel", timer))
      }
      assert.deepStrictEqual(yield* ref.state, [])
      assert.deepStrictEqual(yield* TestSessions.deadLetters, [])
    }).pipe(provide()))

  it.effect("that was replaced is not handled, though its message was sent", () =>
    Effect.gen(function*() {
      const ref = yield* start
      for (const how of ["after", "every"] as const) {
        yield* ref.call("Set", { how, time: "1 second", text: `${how}, old`, key: "k" })
        yield* ref.cast("Busy", 1_500)
        const set = yield* Effect.forkChild(
          ref.call("Set", { how: "after", time: "1 second", text: `${how}, new`, key: "k" })
        )
        yield* TestSessions.elapse("5 seconds")
        yield* Fiber.join(set)
      }
      assert.deepStrictEqual(yield* ref.state, ["after, new", "every, new"])
    }).pipe(provide()))

  it.effect("that fires once cannot be cancelled by its own message any more", () =>
    Effect.gen(function*() {
      const ref = yield* start
      yield* ref.call("Set", { how: "after", time: "1 second", key: "k" })
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(yield* ref.state, ["ring", "not cancelled"])
    }).pipe(provide({}, {
      ring: (text, self) =>
        text === "ring" ? Effect.asVoid(self.after(0, "Ring", "not cancelled", { key: "k" })) : Effect.void
    })))

  it.effect("fires once after a standstill, and keeps its phase", () =>
    Effect.gen(function*() {
      const clock = yield* steppedClock
      yield* clock.provide(
        Effect.gen(function*() {
          const ref = yield* start
          yield* ref.call("Set", { how: "every", time: "1 minute" })
          yield* TestSessions.elapse("30 seconds")
          clock.standStill(10 * 60_000 + 15_000)
          yield* TestSessions.elapse("30 seconds")
          assert.deepStrictEqual(yield* ref.state, ["ring"])
          yield* TestSessions.elapse("44 seconds")
          assert.deepStrictEqual(yield* ref.state, ["ring"])
          yield* TestSessions.elapse("1 second")
          assert.deepStrictEqual(yield* ref.state, ["ring", "ring"])
          yield* TestSessions.elapse("1 minute")
          assert.deepStrictEqual(yield* ref.state, ["ring", "ring", "ring"])
        }).pipe(provide())
      )
    }))

  it.effect("with an infinite delay never fires, and replaces the timer that had its key", () =>
    Effect.gen(function*() {
      const ref = yield* start
      yield* ref.call("Set", { how: "after", time: "1 second", key: "k" })
      yield* ref.call("Set", { how: "after", time: "Infinity", key: "k" })
      const timer = yield* ref.call("Set", { how: "every", time: "Infinity" })
      yield* TestSessions.elapse("100 days")
      assert.deepStrictEqual(yield* ref.state, [])
      assert.isTrue(yield* ref.call("Cancel", timer))
    }).pipe(Effect.provide(TestSessions.layer(bells(), rarelySwept))))

  it.effect("fires at once if its delay is zero or negative", () =>
    Effect.gen(function*() {
      const ref = yield* start
      for (const time of [0, -5, "-Infinity"]) {
        yield* ref.call("Set", { how: "after", time, text: String(time) })
        yield* TestSessions.settle
      }
      assert.deepStrictEqual(yield* ref.state, ["0", "-5", "-Infinity"])
      assert.strictEqual((yield* Effect.flip(ref.call("Set", { how: "every", time: 0 })))._tag, "SessionCrashed")
    }).pipe(provide()))

  it.effect("fires after a delay that is too long for a timeout of the platform", () =>
    Effect.gen(function*() {
      const ref = yield* start
      yield* ref.call("Set", { how: "after", time: "60 days" })
      yield* TestSessions.elapse("59 days")
      assert.deepStrictEqual(yield* ref.state, [])
      yield* TestSessions.elapse("1 day")
      assert.deepStrictEqual(yield* ref.state, ["ring"])
    }).pipe(Effect.provide(TestSessions.layer(bells(), rarelySwept))))

  it.effect("that is due together with a deadline can still put that off", () =>
    Effect.gen(function*() {
      const bells = yield* Bell
      const saved = yield* bells.start("saved")
      saviour = saved
      const other = yield* bells.start("a")
      yield* other.call("Set", { how: "after", time: "30 seconds" })
      const scope = yield* Scope.make()
      yield* Scope.provide(saved.attach, scope)
      yield* Scope.close(scope, Exit.void)
      yield* TestSessions.elapse("30 seconds")
      assert.deepStrictEqual(yield* other.state, ["ring"])
      assert.isTrue(yield* saved.isLive)
    }).pipe(provide({ reconnectWindow: "30 seconds" }, {
      ring: (_, self) => Scope.provide(Effect.orDie(saviour!.attach), self.scope)
    })))

  let saviour: Session.Ref<typeof Bell> | undefined
})

describe("A session that ends", () => {
  const late = (self: Self) =>
    Effect.gen(function*() {
      timers.push(yield* self.every("1 second", "Ring", "late"), yield* self.after("1 second", "Ring", "late"))
    })
  let timers: Array<Session.Timer> = []

  const gone = Effect.gen(function*() {
    yield* TestSessions.elapse("1 minute")
    const { of } = yield* TestSessions.Recorder
    assert.deepStrictEqual((yield* of("Cast")).filter(({ tag }) => tag === "Ring"), [])
    const cancelled = yield* Effect.forEach(timers, ({ cancel }) => cancel)
    assert.deepStrictEqual(cancelled, timers.map(() => false))
  })

  it.effect("sets no timer in its end hook", () =>
    Effect.gen(function*() {
      timers = []
      yield* start
      yield* (yield* Bell).end("a")
      assert.strictEqual(timers.length, 2)
      yield* gone
    }).pipe(provide({}, { end: late })))

  it.effect("sets none while it releases what it acquired", () =>
    Effect.gen(function*() {
      timers = []
      yield* start
      yield* (yield* Bell).end("a")
      assert.strictEqual(timers.length, 2)
      yield* gone
    }).pipe(provide({}, { boot: (self) => Scope.addFinalizer(self.scope, late(self)) })))

  it.effect("has none left when it is given up, hanging", () =>
    Effect.gen(function*() {
      timers = []
      const ref = yield* start
      timers.push(yield* ref.call("Set", { how: "every", time: "1 second" }) as Effect.Effect<Session.Timer>)
      yield* ref.cast("Hang")
      const end = yield* Effect.forkChild((yield* Bell).end("a"))
      yield* TestSessions.elapse("1 minute")
      yield* Fiber.join(end)
      yield* gone
    }).pipe(provide()))
})

type Store = SnapshotStore.SnapshotStore["Service"]

/** A store that outlives what is done in processes that have it, and counts what it is asked. */
const makeStore = Effect.gen(function*() {
  const service = Context.get(yield* Layer.build(MemoryStore.layer), SnapshotStore.SnapshotStore)
  const counts = { alarms: 0, claims: new Map<string, number>() }
  const counting: Store = {
    ...service,
    alarms: (...args) =>
      Effect.suspend(() => {
        counts.alarms++
        return service.alarms(...args)
      }),
    claim: (key, ...rest) =>
      Effect.suspend(() => {
        counts.claims.set(key.id, (counts.claims.get(key.id) ?? 0) + 1)
        return service.claim(key, ...rest)
      })
  }
  const inProcess = <A, E>(
    layer: Layer.Layer<Bell, any, any>,
    what: Effect.Effect<A, E, any>
  ): Effect.Effect<A, any> =>
    Effect.scoped(Effect.provide(
      what,
      TestSessions.layer(
        layer.pipe(Layer.provide(Layer.succeed(SnapshotStore.SnapshotStore, counting))) as Layer.Layer<Bell>,
        { idleTimeout: "1000 days", maxSessions: 10_000 }
      ) as Layer.Layer<any, any>
    )) as Effect.Effect<A, any>
  return { service, counts, inProcess }
})

const kept = { snapshots: { save: "everyChange" } } as const
const passivated = {
  hibernateAfter: "10 seconds",
  snapshots: { save: "everyChange", passivateAfter: "10 seconds" }
} as const

const snapshot = (store: Store, id: string) =>
  Effect.map(store.peek({ kind: "Bell", id }), (found) => Option.getOrThrow(found))

describe("A timer of a stored session", () => {
  const everyMinute = (self: Self) => self.every("1 minute", "Ring", "tick")
  const ways: Record<string, Hooks> = {
    init: { boot: everyMinute },
    "init and restore": { boot: everyMinute, restore: everyMinute },
    afterStart: { afterStart: everyMinute },
    "init, restore and afterStart, two of them": {
      boot: everyMinute,
      restore: everyMinute,
      afterStart: (self) => self.every("1 minute", "Ring", "other")
    },
    "afterStart, with a key": { afterStart: (self) => self.every("1 minute", "Ring", "tick", { key: "k" }) },
    "afterStart, with a payload that is never the same": {
      afterStart: (self) => self.every("1 minute", "Ring", `tick ${Math.max(0, self.epoch)}`)
    },
    "afterStart, as a chain": {
      afterStart: (self) => self.after("1 minute", "Ring", "chain"),
      ring: (text, self) => self.after("1 minute", "Ring", text)
    },
    "afterStart, as a chain with a key": {
      afterStart: (self) => self.after("1 minute", "Ring", "chain", { key: "k" }),
      ring: (text, self) => self.after("1 minute", "Ring", text, { key: "k" })
    }
  }
  for (const [name, hooks] of Object.entries(ways)) {
    it.effect(`fires as often as it should, however often the session is loaded: set by ${name}`, () =>
      Effect.gen(function*() {
        const { counts, inProcess } = yield* makeStore
        yield* inProcess(
          bells(passivated, hooks),
          Effect.gen(function*() {
            const ref = yield* start
            // A call comes in between, too.
            for (let i = 0; i < 5; i++) {
              yield* TestSessions.elapse("3 minutes")
              yield* ref.call("Look")
              yield* TestSessions.elapse("40 seconds")
            }
            const before = (yield* ref.call("Look")).length
            const loads = counts.claims.get("a")!
            yield* TestSessions.elapse("10 minutes")
            const rang = (yield* ref.call("Look")).length - before
            assert.strictEqual(rang, name.includes("two of them") ? 20 : 10)
            assert.isAbove(counts.claims.get("a")! - loads, 8)
          })
        )
      }).pipe(Effect.scoped))
  }

  it.effect("keeps its phase through a restart, and fires once for all missed times", () =>
    Effect.gen(function*() {
      const { inProcess } = yield* makeStore
      yield* inProcess(
        bells(kept),
        Effect.gen(function*() {
          yield* (yield* start).call("Set", { how: "every", time: "1 hour" })
          yield* TestSessions.elapse("90 minutes")
        })
      )
      yield* TestClock.adjust("3 hours")
      yield* inProcess(
        bells(kept),
        Effect.gen(function*() {
          const ref = yield* start
          yield* TestSessions.settle
          assert.deepStrictEqual(yield* ref.state, ["ring", "ring"])
          yield* TestSessions.elapse("29 minutes")
          assert.strictEqual((yield* ref.state).length, 2)
          yield* TestSessions.elapse("1 minute")
          assert.strictEqual((yield* ref.state).length, 3)
        })
      )
    }).pipe(Effect.scoped))

  it.effect("that fires once stays in the snapshot until its message is handled", () =>
    Effect.gen(function*() {
      const { inProcess, service } = yield* makeStore
      yield* inProcess(
        bells(kept),
        Effect.gen(function*() {
          const ref = yield* start
          yield* ref.call("Set", { how: "after", time: "1 second" })
          yield* ref.cast("Busy", 60_000)
          yield* TestSessions.elapse("30 seconds")
          assert.strictEqual((yield* snapshot(service, "a")).alarmAt, 1_000)
          yield* TestSessions.elapse("30 seconds")
          assert.strictEqual((yield* snapshot(service, "a")).alarmAt, null)
        })
      )
    }).pipe(Effect.scoped))

  it.effect("is stored if a message that is drained at the shutdown sets it; the end hook sets none", () =>
    Effect.gen(function*() {
      const { inProcess, service } = yield* makeStore
      const hooks: Hooks = { end: (self) => self.after("1 second", "Ring", "from the end") }
      yield* inProcess(
        bells(kept, hooks),
        Effect.gen(function*() {
          const ref = yield* start
          yield* ref.cast("Busy", 1_000)
          yield* ref.cast("Set", { how: "every", time: "1 hour" })
        })
      )
      assert.strictEqual((yield* snapshot(service, "a")).alarmAt, 1_000 + 3_600_000)
    }).pipe(Effect.scoped))

  it.effect("with a time beyond all dates leaves a snapshot that can be read", () =>
    Effect.gen(function*() {
      const { inProcess, service } = yield* makeStore
      yield* inProcess(
        bells(kept),
        Effect.gen(function*() {
          const ref = yield* start
          for (const time of ["Infinity", Number.MAX_VALUE, 9e15, 1.5]) {
            yield* ref.call("Set", { how: "after", time })
            yield* ref.call("Set", { how: "every", time })
          }
          yield* TestClock.adjust(0)
          assert.strictEqual((yield* snapshot(service, "a")).alarmAt, 2)
        })
      )
      yield* inProcess(bells(kept), Effect.flatMap(start, (ref) => ref.state))
    }).pipe(Effect.scoped))

  for (const supervision of [Supervision.stop, Supervision.resume({ maxCrashes: 0 })]) {
    it.effect(`whose message crashes the session (${supervision.onCrash}) fires at its next time, not before`, () =>
      Effect.gen(function*() {
        const { counts, inProcess } = yield* makeStore
        let crashes = 0
        const hooks: Hooks = { ring: () => Effect.sync(() => crashes++).pipe(Effect.andThen(Effect.die("ouch"))) }
        yield* inProcess(
          bells({ ...kept, supervision }, hooks),
          Effect.gen(function*() {
            yield* (yield* start).call("Set", { how: "every", time: "1 hour" })
            yield* TestSessions.elapse("5 hours")
            assert.strictEqual(crashes, 5)
            assert.isBelow(counts.claims.get("a")!, 7)
          })
        )
      }).pipe(Effect.scoped))
  }
})

describe("The alarms of sessions that are in the store only", () => {
  /** Many sessions with an alarm at the same time, and one behind them. */
  const many = (inProcess: Effect.Success<typeof makeStore>["inProcess"], count: number) =>
    inProcess(
      bells(kept),
      Effect.gen(function*() {
        const bells = yield* Bell
        for (let i = 0; i < count; i++) {
          yield* (yield* bells.start(`bad-${i}`)).call("Set", { how: "after", time: "45 seconds" })
        }
        yield* (yield* bells.start("good")).call("Set", { how: "after", time: "50 seconds" })
      })
    )

  it.effect("are not asked for again and again before they are due, however many there are", () =>
    Effect.gen(function*() {
      const { counts, inProcess } = yield* makeStore
      yield* many(inProcess, 300)
      yield* inProcess(
        bells(kept),
        Effect.gen(function*() {
          counts.alarms = 0
          yield* TestSessions.elapse("44 seconds")
          assert.isBelow(counts.alarms, 3)
          yield* TestSessions.elapse("10 seconds")
          assert.strictEqual((yield* (yield* Bell).list).length, 301)
          assert.isBelow(counts.alarms, 20)
        })
      )
    }).pipe(Effect.scoped))

  for (
    const [why, restore] of [
      ["die when they are restored", () => Effect.die("not today")],
      ["hang when they are restored", () => Effect.never]
    ] as const
  ) {
    it.effect(`fire behind any number of sessions that ${why}, which are tried less and less`, () =>
      Effect.gen(function*() {
        const { counts, inProcess } = yield* makeStore
        yield* many(inProcess, 300)
        const hooks: Hooks = { restore: (self) => self.id === "good" ? Effect.void : restore() }
        yield* inProcess(
          bells(kept, hooks),
          Effect.gen(function*() {
            counts.claims.clear()
            yield* TestSessions.elapse("2 minutes")
            assert.strictEqual(counts.claims.get("good"), 1)
            assert.deepStrictEqual(yield* (yield* Bell).ref("good").state, ["ring"])
            yield* TestSessions.elapse("8 minutes")
            assert.isBelow(counts.claims.get("bad-0")!, 16)
            assert.isBelow(counts.claims.get("bad-299")!, 16)
          })
        )
      }).pipe(Effect.scoped))
  }

  it.effect("do not load a session again and again that ends before its alarm fires", () =>
    Effect.gen(function*() {
      const { counts, inProcess } = yield* makeStore
      yield* many(inProcess, 1)
      let isWell = false
      const hooks: Hooks = { afterStart: () => isWell ? Effect.void : Effect.die("not yet") }
      yield* inProcess(
        bells(kept, hooks),
        Effect.gen(function*() {
          counts.claims.clear()
          yield* TestSessions.elapse("10 minutes")
          assert.isBelow(counts.claims.get("good")!, 16)
          isWell = true
          yield* TestSessions.elapse("1 minute")
          assert.deepStrictEqual(yield* (yield* Bell).ref("good").state, ["ring"])
        })
      )
    }).pipe(Effect.scoped))

  it.effect("fire for a session that left memory after the alarms were listed", () =>
    Effect.gen(function*() {
      const { counts, inProcess } = yield* makeStore
      yield* inProcess(
        bells(passivated),
        Effect.gen(function*() {
          yield* (yield* start).call("Set", { how: "after", time: "45 seconds" })
          yield* TestSessions.elapse("30 seconds")
          assert.deepStrictEqual(yield* (yield* Bell).list, [])
          yield* TestSessions.elapse("15 seconds")
          assert.strictEqual(counts.claims.get("a"), 2)
        })
      )
    }).pipe(Effect.scoped))
})
