import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Deferred, Effect, Exit, Fiber, Layer, Option, Result, Schema, Scope, Stream } from "effect"
import {
  EndReason,
  type KindOptions,
  Reducer,
  Session,
  Sessions,
  type SessionsConfig,
  SnapshotStore,
  Store,
  Supervision
} from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

class Counter extends Session.Service<Counter>()("Counter", {
  state: Schema.Int,
  args: Schema.optional(Schema.Struct({ from: Schema.Int })),
  protocol: [
    Rpc.make("Add", { payload: Schema.Int, success: Schema.Int }),
    Rpc.make("Look", { success: Schema.Int }),
    Rpc.make("After", { payload: Schema.Struct({ millis: Schema.Int, n: Schema.Int }) }),
    Rpc.make("Every", { payload: Schema.Struct({ millis: Schema.Int, n: Schema.Int }) }),
    Rpc.make("Hold", { payload: Schema.Any }),
    Rpc.make("Spoil"),
    Rpc.make("Acquire"),
    Rpc.make("Throw")
  ]
}) {}

type Options = KindOptions.KindOptions<any>

interface Hooks {
  inits: number
  restores: number
  failRestore?: boolean
}

const kind = (options: Options, hooks: Hooks = { inits: 0, restores: 0 }) =>
  Counter.toLayer(
    Counter.behavior({
      init: ({ args }) => {
        hooks.inits++
        return args?.from ?? 0
      },
      restore: ({ state }) => {
        hooks.restores++
        if (hooks.failRestore === true) throw new Error("not today")
        return state
      },
      handlers: {
        Add: ({ payload, state }) => [state + payload, state + payload],
        Look: ({ state }) => [state, state],
        After: ({ payload: { millis, n }, self, state }) =>
          Effect.as(self.after(millis, "Add", n, { key: `once ${n}` }), [state] as const),
        Every: ({ payload: { millis, n }, self, state }) =>
          Effect.as(self.every(millis, "Add", n, { key: "again" }), [state] as const),
        Hold: ({ payload, state }) => Effect.as(Deferred.await(payload), [state + 1] as const),
        Spoil: () => [0.5],
        Acquire: ({ self, state }) => Effect.as(Scope.addFinalizer(self.scope, Effect.void), [state] as const),
        Throw: () => {
          throw new Error("ouch")
        }
      }
    }),
    { idleTimeout: "10 hours", ...options }
  )

type Service = SnapshotStore.SnapshotStore["Service"]

/** A store of which tests say how it is, and which counts. */
interface Faulty {
  readonly service: Service
  /** What is done before each operation that changes something, or asks for one snapshot. */
  before: Effect.Effect<void, SnapshotStore.SnapshotStoreError>
  readonly saves: Array<ReadonlyArray<SnapshotStore.Snapshot>>
  claims: number
}

const down = Effect.suspend(() =>
  Effect.fail(new SnapshotStore.SnapshotStoreError({ operation: "test", message: "the store is down", cause: "test" }))
)

const makeStore = Effect.map(Effect.scoped(Layer.build(MemoryStore.layer)), (context): Faulty => {
  const memory = Context.get(context, SnapshotStore.SnapshotStore)
  const guard = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.andThen(Effect.suspend(() => faulty.before), effect) as Effect.Effect<
      A,
      E | SnapshotStore.SnapshotStoreError
    >
  const faulty: Faulty = {
    before: Effect.void,
    saves: [],
    claims: 0,
    service: {
      ...memory,
      claim: (...args) =>
        guard(Effect.suspend(() => {
          faulty.claims++
          return memory.claim(...args)
        })),
      save: (snapshots) =>
        guard(Effect.suspend(() => {
          faulty.saves.push(snapshots)
          return memory.save(snapshots)
        })),
      remove: (keys) => guard(memory.remove(keys)),
      peek: (key) => guard(memory.peek(key)),
      stat: (key) => guard(memory.stat(key)),
      list: (options) => guard(memory.list(options)),
      quarantine: (snapshot, reason) => guard(memory.quarantine(snapshot, reason)),
      alarms: (name, until, limit) => guard(memory.alarms(name, until, limit)),
      nextAlarm: (name) => guard(memory.nextAlarm(name))
    }
  }
  return faulty
})

/** What one process sees of a store, until the process is no more. */
const viewOf = (store: Faulty) => {
  const view = { isCut: false, failing: false }
  const guard = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | SnapshotStore.SnapshotStoreError> =>
    Effect.suspend((): Effect.Effect<A, E | SnapshotStore.SnapshotStoreError> =>
      view.isCut ? Effect.never : view.failing ? down : effect
    )
  const { service } = store
  const faulty: Faulty = {
    ...store,
    service: {
      ...service,
      claim: (...args) => guard(service.claim(...args)),
      save: (snapshots) => guard(service.save(snapshots)),
      remove: (keys) => guard(service.remove(keys)),
      peek: (key) => guard(service.peek(key)),
      alarms: (name, until, limit) => guard(service.alarms(name, until, limit)),
      sweep: (now) => guard(service.sweep(now))
    }
  }
  return { view, faulty }
}

/** A process: sessions of its own on a store. */
const process = (store: Faulty, layer: ReturnType<typeof kind>, config?: SessionsConfig.Options) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(
      TestSessions.layer(layer, config).pipe(
        Layer.provide(Layer.succeed(SnapshotStore.SnapshotStore, store.service))
      ),
      scope
    )
    const counters = Context.get(context, Counter)
    const recorder = Context.get(context, TestSessions.Recorder)
    return {
      context,
      counters,
      of: recorder.of,
      close: Scope.close(scope, Exit.void)
    }
  })

const kept = (store: Faulty, id = "a") =>
  Effect.map(
    Effect.orDie(store.service.peek({ kind: "Counter", id })),
    Option.map((snapshot) => ({ ...snapshot, body: JSON.parse(snapshot.body) as any }))
  )

const keptState = (store: Faulty, id = "a") =>
  Effect.map(kept(store, id), Option.match({ onNone: () => undefined, onSome: ({ body }) => body.state }))

const { settle } = TestSessions

const everyChange: Options = { snapshots: { save: "everyChange" } }

describe("Snapshots: when a session is saved", () => {
  it.effect("atEnd: not before the server ends", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind({ snapshots: { save: "atEnd" }, hibernateAfter: "1 minute" }))
      const ref = yield* one.counters.start("a")
      yield* ref.call("Add", 1)
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(yield* keptState(store))
      yield* one.close
      assert.strictEqual(yield* keptState(store), 1)
    }))

  it.effect("atHibernation: when it hibernates, and at the end", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind({ snapshots: { save: "atHibernation" }, hibernateAfter: "1 minute" }))
      const ref = yield* one.counters.start("a")
      yield* ref.call("Add", 1)
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(yield* keptState(store))
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.strictEqual(yield* keptState(store), 1)
      yield* ref.call("Add", 1)
      yield* settle
      assert.strictEqual(yield* keptState(store), 1)
      yield* one.close
      assert.strictEqual(yield* keptState(store), 2)
    }))

  it.effect("every n: after every n-th change", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind({ snapshots: { save: { every: 3 } } }))
      const ref = yield* one.counters.start("a")
      const seen: Array<unknown> = []
      for (let i = 1; i <= 7; i++) {
        yield* ref.call("Add", 1)
        yield* settle
        seen.push(yield* keptState(store))
      }
      assert.deepStrictEqual(seen, [undefined, undefined, 3, 3, 3, 6, 6])
      yield* one.close
    }))

  it.effect("debounce: so long after a change, with all that came since", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind({ snapshots: { save: { debounce: "5 seconds" } } }))
      const ref = yield* one.counters.start("a")
      yield* ref.call("Add", 1)
      yield* TestClock.adjust("4 seconds")
      yield* ref.call("Add", 1)
      assert.isUndefined(yield* keptState(store))
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.strictEqual(yield* keptState(store), 2)
      assert.lengthOf(store.saves, 1)
      yield* one.close
    }))

  it.effect("everyChange: before the answer, which waits while the store hangs or fails", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      const ref = yield* one.counters.start("a")
      assert.strictEqual(yield* ref.call("Add", 1), 1)
      assert.strictEqual(yield* keptState(store), 1)
      store.before = Effect.never
      const hanging = yield* Effect.forkChild(Effect.exit(ref.call("Add", 1, { timeout: "2 seconds" })))
      yield* settle
      // A read shows what is not written yet, so it waits too.
      const looking = yield* Effect.forkChild(ref.call("Look", undefined, { timeout: "1 hour" }))
      yield* TestClock.adjust("2 seconds")
      const exit = yield* Fiber.join(hanging)
      assert.isTrue(Exit.isFailure(exit) && JSON.stringify(exit).includes("CallTimeout"))
      assert.isUndefined(looking.pollUnsafe())
      store.before = Effect.void
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual(yield* Fiber.join(looking), 2)
      store.before = down
      const failing = yield* Effect.forkChild(ref.call("Add", 1, { timeout: "1 hour" }))
      yield* TestClock.adjust("1 second")
      assert.isUndefined(failing.pollUnsafe())
      store.before = Effect.void
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(failing), 3)
      assert.strictEqual(yield* keptState(store), 3)
      yield* one.close
    }))

  it.effect("everyChange: watchers get each change when it is written, and before the answer", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      const ref = yield* one.counters.start("a")
      const seen: Array<unknown> = []
      yield* ref.watch({
        changed: (state, version) => seen.push([state, version]),
        ended: ({ _tag }) => seen.push(_tag)
      })
      const add = (n: number) =>
        Effect.forkChild(
          Effect.tap(Effect.exit(ref.call("Add", n, { timeout: "1 hour" })), () =>
            Effect.sync(() => seen.push("answer"))),
          { startImmediately: true }
        )
      store.before = Effect.sleep("1 second")
      yield* add(1)
      yield* settle
      yield* add(1)
      yield* add(1)
      yield* settle
      assert.deepStrictEqual(seen, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(seen, [[1, 1], "answer"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(seen.splice(0), [[1, 1], "answer", [2, 2], "answer", [3, 3], "answer"])
      store.before = down
      yield* add(1)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(seen, [])
      // What is over for good is not written any more.
      store.before = Effect.void
      yield* Effect.forkChild(Effect.ignore(ref.end()))
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(seen.filter((one) => one !== "answer"), [[4, 4], "Stopped"])
      yield* one.close
    }).pipe(Effect.scoped))

  it.effect("a thousand changes while a write is under way make one more write", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind({ snapshots: { save: { every: 1 } } }))
      const ref = yield* one.counters.start("a")
      store.before = Effect.sleep("1 second")
      yield* ref.call("Add", 1)
      yield* settle
      for (let i = 0; i < 1_000; i++) yield* ref.call("Add", 1)
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(store.saves.map(([snapshot]) => JSON.parse(snapshot!.body).state), [1, 1_001])
      store.before = Effect.void
      yield* one.close
    }))

  it.effect("the end or the hibernation of one is no reason to write what others still debounce", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(
        store,
        kind({ hibernateAfter: "3 seconds", snapshots: { save: { debounce: "10 seconds" } } })
      )
      const [ref] = [yield* one.counters.start("a"), yield* one.counters.start("b"), yield* one.counters.start("c")]
      yield* TestClock.adjust("11 seconds")
      store.saves.length = 0
      // "c" hibernates, "b" ends, and "a" goes on changing.
      yield* one.counters.ref("c").call("Add", 1)
      for (let i = 0; i < 8; i++) {
        yield* ref.call("Add", 1)
        yield* TestClock.adjust("1 second")
        if (i === 5) yield* one.counters.end("b", { reason: EndReason.shutdown })
      }
      yield* settle
      assert.deepStrictEqual(store.saves.flat().map(({ id }) => id), ["c", "b"])
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.deepStrictEqual(store.saves.flat().map(({ id }) => id), ["c", "b", "a"])
      assert.strictEqual(yield* keptState(store), 8)
      yield* one.close
    }))

  it.effect("a writer that takes long rests six times as long under debounce, and not otherwise", () =>
    Effect.gen(function*() {
      const writes = Effect.fnUntraced(function*(save: KindOptions.SavePolicy) {
        const store = yield* makeStore
        const one = yield* process(store, kind({ snapshots: { save } }))
        const ref = yield* one.counters.start("a")
        yield* TestClock.adjust("1 minute")
        store.saves.length = 0
        store.before = Effect.sleep("1 second")
        for (let i = 0; i < 60; i++) {
          yield* ref.cast("Add", 1)
          yield* TestClock.adjust("1 second")
        }
        const { length } = store.saves
        store.before = Effect.void
        yield* one.close
        return length
      })
      // A second until it is written and six of rest; and one after the other.
      const rested = yield* writes({ debounce: "1 second" })
      assert.isTrue(rested >= 7 && rested <= 9, `${rested}`)
      assert.isAbove(yield* writes({ every: 1 }), 50)
    }))

  it.effect("many sessions are written in batches of at most 256", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind({ snapshots: { save: { debounce: "1 second" } } }))
      yield* one.counters.startAll(Array.from({ length: 600 }, (_, i) => `s${i}`))
      yield* one.counters.broadcast("Add", 1)
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.deepStrictEqual(store.saves.map(({ length }) => length), [256, 256, 88])
      yield* one.close
    }))
})

describe("Snapshots: a restart", () => {
  it.effect("restores everything that belongs to a session, without init, with a higher epoch", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const hooks = { inits: 0, restores: 0 }
      const one = yield* process(store, kind(everyChange, hooks))
      const ref = yield* one.counters.start("a", { user: "ada", metadata: { device: 1 }, idleTimeout: "3 hours" })
      const once = { client: "c", sequence: 1 }
      assert.strictEqual(yield* ref.callOnce("Add", 5, once), 5)
      yield* Effect.flip(ref.callOnce("Throw", undefined, { client: "c", sequence: 2 }))
      const before = yield* ref.info
      yield* one.close
      yield* TestClock.adjust("1 hour")
      const two = yield* process(store, kind(everyChange, hooks))
      const again = two.counters.ref("a")
      const after = yield* again.info
      assert.isAbove(after.epoch, before.epoch)
      assert.deepStrictEqual(after, { ...before, epoch: after.epoch, version: 0, crashes: 0, accepted: 0 })
      assert.deepStrictEqual(hooks, { inits: 1, restores: 1 })
      assert.strictEqual(yield* again.callOnce("Add", 5, { ...once, again: true }), 5)
      const crash = yield* Effect.flip(again.callOnce("Throw", undefined, { client: "c", sequence: 2, again: true }))
      assert.strictEqual(crash._tag, "SessionCrashed")
      assert.strictEqual(yield* again.callOnce("Add", 1, { client: "c", sequence: 3 }), 6)
      assert.lengthOf(yield* two.of("Restore"), 1)
      assert.lengthOf(yield* two.of("Start"), 0)
      yield* two.close
    }))

  it.effect("restores an idle timeout of the session, also an infinite one", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind({ snapshots: { save: "atEnd" } }))
      yield* (yield* one.counters.start("long")).setIdleTimeout("20 hours")
      yield* (yield* one.counters.start("endless")).setIdleTimeout("Infinity")
      yield* one.close
      const two = yield* process(store, kind({ snapshots: { save: "atEnd" } }))
      const { expiresAt, lastActiveAt } = yield* two.counters.ref("long").info
      assert.strictEqual(expiresAt! - lastActiveAt, 20 * 3_600_000)
      assert.isUndefined((yield* two.counters.ref("endless").info).expiresAt)
      yield* two.close
    }))

  it.effect("fires alarms at their time, and overdue alarms once, without a message to the session", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      const ref = yield* one.counters.start("a")
      yield* ref.call("After", { millis: 60_000, n: 1 })
      yield* ref.call("After", { millis: 3_600_000, n: 10 })
      yield* ref.call("Every", { millis: 1_800_000, n: 100 })
      yield* one.close
      yield* TestClock.adjust("10 minutes")
      const two = yield* process(store, kind(everyChange))
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.strictEqual(yield* keptState(store), 1)
      yield* TestClock.adjust("19 minutes")
      assert.strictEqual(yield* two.counters.ref("a").state, 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* two.counters.ref("a").state, 101)
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(yield* two.counters.ref("a").state, 211)
      yield* two.close
    }))

  for (
    const [name, reach] of Object.entries<
      (ref: Session.Ref<typeof Counter>, counters: typeof Counter.Service) => Effect.Effect<unknown, any, Scope.Scope>
    >({
      call: (ref) => ref.call("Look"),
      cast: (ref) => ref.cast("Add", 0),
      callOnce: (ref) => ref.callOnce("Add", 0, { client: "c", sequence: 1 }),
      state: (ref) => ref.state,
      watch: (ref) => ref.watch({ changed: () => {}, ended: () => {} }),
      changes: (ref) => Stream.runHead(ref.changes()),
      info: (ref) => ref.info,
      isLive: (ref) => Effect.map(ref.isLive, assert.isTrue),
      touch: (ref) => ref.touch,
      attach: (ref) => ref.attach,
      start: (_, counters) => counters.start("a"),
      find: (_, counters) => Effect.map(counters.find("a"), (found) => assert.isTrue(Option.isSome(found))),
      get: (_, counters) => counters.get("a"),
      has: (_, counters) => Effect.map(counters.has("a"), assert.isTrue)
    })
  ) {
    it.effect(`a hundred times ${name} at once loads it once`, () =>
      Effect.gen(function*() {
        const store = yield* makeStore
        const one = yield* process(store, kind(everyChange))
        yield* (yield* one.counters.start("a")).call("Add", 7)
        yield* one.close
        const hooks = { inits: 0, restores: 0 }
        store.before = Effect.sleep("10 millis")
        const two = yield* process(store, kind(everyChange, hooks))
        const claims = store.claims
        const all = yield* Effect.forkChild(Effect.scoped(Effect.forEach(
          Array.from({ length: 100 }),
          () => reach(two.counters.ref("a"), two.counters),
          { concurrency: "unbounded" }
        )))
        for (let i = 0; i < 20; i++) yield* TestClock.adjust("10 millis")
        yield* Fiber.join(all)
        assert.strictEqual(store.claims - claims, 1)
        assert.deepStrictEqual(hooks, { inits: 0, restores: 1 })
        assert.strictEqual(yield* two.counters.ref("a").state, 7)
        store.before = Effect.void
        yield* two.close
      }))
  }

  it.effect("is no start for the rate of starts, but there must be room", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      yield* one.counters.startAll(["a", "b", "c"])
      yield* one.close
      const config: SessionsConfig.Options = { maxSessions: 2, startRate: { limit: 1, window: "1 hour" } }
      const two = yield* process(store, kind(everyChange), config)
      yield* two.counters.start("a")
      yield* two.counters.start("b")
      assert.strictEqual((yield* Effect.flip(two.counters.start("c")))._tag, "SessionLimitReached")
      assert.strictEqual((yield* Effect.flip(two.counters.ref("c").call("Look")))._tag, "StoreUnavailable")
      yield* two.counters.end("a")
      assert.strictEqual(yield* two.counters.ref("c").call("Look"), 0)
      yield* two.close
    }))

  it.effect("does not exceed the limit of sessions when many are loaded together", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      const ids = ["a", "b", "c", "d"]
      yield* one.counters.startAll(ids)
      yield* one.close
      const two = yield* process(store, kind(everyChange), { maxSessions: 2 })
      store.before = Effect.sleep("10 millis")
      const all = yield* Effect.forkChild(
        Effect.forEach(ids, (id) => Effect.exit(two.counters.ref(id).call("Look")), { concurrency: "unbounded" })
      )
      for (let i = 0; i < 9; i++) yield* TestClock.adjust("10 millis")
      assert.lengthOf((yield* Fiber.join(all)).filter(Exit.isSuccess), 2)
      assert.strictEqual(yield* two.counters.count, 2)
      store.before = Effect.void
      yield* two.close
    }))

  it.effect("a restore hook that dies does not let callers wait, and keeps the snapshot", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      yield* (yield* one.counters.start("a")).call("Add", 3)
      yield* one.close
      const hooks: Hooks = { inits: 0, restores: 0, failRestore: true }
      const two = yield* process(store, kind(everyChange, hooks))
      assert.strictEqual((yield* Effect.flip(two.counters.ref("a").call("Look")))._tag, "RestoreFailed")
      assert.strictEqual((yield* Effect.flip(two.counters.ref("a").state))._tag, "RestoreFailed")
      assert.strictEqual((yield* Effect.flip(two.counters.find("a")))._tag, "RestoreFailed")
      assert.strictEqual((yield* Effect.flip(two.counters.start("a")))._tag, "RestoreFailed")
      hooks.failRestore = false
      assert.strictEqual(yield* two.counters.ref("a").call("Look"), 3)
      yield* two.close
    }))

  it.effect("a reset uses the arguments of the start, and its writes are accepted", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const options = { ...everyChange, supervision: Supervision.reset() }
      const one = yield* process(store, kind(options))
      yield* (yield* one.counters.start("a", { args: { from: 10 } })).call("Add", 5)
      yield* one.close
      const two = yield* process(store, kind(options))
      const ref = two.counters.ref("a")
      assert.strictEqual(yield* ref.call("Add", 1), 16)
      yield* Effect.flip(ref.call("Throw"))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* ref.call("Look"), 10)
      assert.strictEqual(yield* keptState(store), 10)
      assert.strictEqual(yield* ref.call("Add", 1), 11)
      assert.strictEqual(yield* keptState(store), 11)
      yield* two.close
    }))

  it.effect("a session that has expired in the store is not found, starts anew, and is swept", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      yield* (yield* one.counters.start("a", { idleTimeout: "1 hour" })).call("Add", 3)
      yield* (yield* one.counters.start("b", { idleTimeout: "1 hour" })).call("After", { millis: 60_000, n: 1 })
      yield* one.close
      yield* TestClock.adjust("1 hour")
      const two = yield* process(store, kind(everyChange))
      assert.isFalse(yield* two.counters.has("a"))
      assert.strictEqual(yield* (yield* two.counters.start("a")).call("Look"), 0)
      yield* TestClock.adjust("2 minutes")
      assert.isUndefined(yield* keptState(store, "b"))
      yield* two.close
    }))

  for (const minute of [60_000, 100]) {
    it.effect(`activity that changes nothing keeps the snapshot from expiring within ${60 * minute} ms`, () =>
      Effect.gen(function*() {
        const store = yield* makeStore
        const one = yield* process(store, kind({ ...everyChange, idleTimeout: 60 * minute }))
        const ref = yield* one.counters.start("a")
        yield* ref.call("Add", 3)
        for (let i = 0; i < 10; i++) {
          yield* TestClock.adjust(20 * minute)
          yield* ref.touch
          const snapshot = yield* kept(store)
          assert.isTrue(Option.isSome(snapshot) && snapshot.value.expiresAt! > (yield* Clock.currentTimeMillis))
        }
        yield* TestClock.adjust(20 * minute)
        const snapshot = yield* kept(store)
        assert.isTrue(Option.isSome(snapshot) && snapshot.value.expiresAt! > 200 * minute)
        yield* one.close
      }))
  }

  it.effect("keeps the reducers' state of a store, and what it debounces", () => {
    const counter = Reducer.make("counter", {
      prefix: "counter",
      state: Schema.Int,
      initial: 0,
      actions: { add: Schema.Int, later: Schema.Int },
      debounce: { later: "1 minute" },
      on: { add: (state, n) => state + n, later: (state, n) => state + n }
    })
    class Shop extends Store.Service<Shop>()("Shop", { reducers: [counter] }) {}
    return Effect.gen(function*() {
      const store = yield* makeStore
      const run = <A, E>(effect: Effect.Effect<A, E, Shop>) =>
        Effect.provide(
          effect,
          TestSessions.layer(Shop.toLayer(Store.behavior(Shop), { snapshots: { save: "everyChange" } })).pipe(
            Layer.provide(Layer.succeed(SnapshotStore.SnapshotStore, store.service))
          ),
          { local: true }
        )
      yield* run(Effect.gen(function*() {
        const shop = yield* (yield* Shop).start("a")
        yield* Store.dispatchWait(shop, "counter.add", 1)
        yield* Store.dispatchWait(shop, "counter.later", 10)
      }))
      yield* run(Effect.gen(function*() {
        const shop = (yield* Shop).ref("a")
        assert.deepStrictEqual(yield* Store.dispatchWait(shop, "counter.add", 1), { counter: 2 })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* shop.state, { counter: 12 })
      }))
    })
  })
})

describe("Snapshots: the end of a session", () => {
  for (
    const [reason, keeps] of [
      [EndReason.stopped(), false],
      [EndReason.expired("idle"), false],
      [EndReason.disconnected, false],
      [EndReason.shutdown, true],
      [EndReason.crashed(new Error("x")), true],
      [EndReason.evicted, true]
    ] as const
  ) {
    it.effect(`${reason._tag} ${keeps ? "keeps" : "forgets"} it`, () =>
      Effect.gen(function*() {
        const store = yield* makeStore
        const one = yield* process(store, kind(everyChange))
        const ref = yield* one.counters.start("a")
        yield* ref.call("Add", 1)
        yield* ref.end({ reason })
        yield* settle
        assert.strictEqual(yield* keptState(store), keeps ? 1 : undefined)
        assert.strictEqual(yield* (yield* one.counters.start("a")).call("Look"), keeps ? 1 : 0)
        yield* one.close
      }))
  }

  it.effect("ends a session that is in the store only", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      yield* one.counters.startAll(["a", "b"])
      yield* one.close
      const two = yield* process(store, kind(everyChange))
      assert.isTrue(yield* two.counters.end("a"))
      assert.deepStrictEqual(
        yield* two.counters.endAll(["b", "c"]),
        new Map([["b", true], ["c", false]])
      )
      assert.isFalse(yield* two.counters.has("a"))
      assert.isFalse(yield* two.counters.has("b"))
      yield* two.close
    }))

  it.effect("a start right after it waits for the store, and never reads what was before", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind({ snapshots: { save: { every: 1 } } }))
      yield* (yield* one.counters.start("a")).call("Add", 1)
      yield* settle
      store.before = Effect.sleep("1 second")
      const ended = yield* Effect.forkChild(one.counters.end("a"))
      const started = yield* Effect.forkChild(one.counters.start("a"))
      yield* TestClock.adjust("500 millis")
      assert.isUndefined(ended.pollUnsafe())
      assert.isUndefined(started.pollUnsafe())
      for (let i = 0; i < 5; i++) yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* (yield* Fiber.join(started)).state, 0)
      store.before = Effect.void
      yield* one.close
    }))
})

describe("Snapshots: passivation", () => {
  const passive = (save: KindOptions.SavePolicy = { debounce: "1 second" }): Options => ({
    hibernateAfter: "1 minute",
    snapshots: { save, passivateAfter: "1 minute" }
  })
  const gone = Effect.andThen(TestClock.adjust("3 minutes"), settle)

  it.effect("takes a session out of memory, and the next message loads it", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(passive("atEnd")))
      const ref = yield* one.counters.start("a", { user: "ada" })
      yield* ref.callOnce("Add", 1, { client: "c", sequence: 1 })
      const before = yield* ref.info
      yield* gone
      assert.strictEqual(yield* one.counters.count, 0)
      assert.lengthOf(yield* one.of("Passivate"), 1)
      const { epoch, ...after } = yield* ref.info
      assert.deepStrictEqual({ ...after, epoch: 0 }, { ...before, epoch: 0, version: 0, accepted: 0 })
      assert.isAbove(epoch, before.epoch)
      assert.strictEqual(yield* ref.callOnce("Add", 1, { client: "c", sequence: 1, again: true }), 1)
      assert.strictEqual(yield* ref.call("Add", 1), 2)
      assert.lengthOf(yield* one.of("Stop"), 0)
      yield* one.close
    }))

  it.effect("the memory of clients survives: the session recognizes clients that are new", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind({ ...passive("atEnd"), remember: { clients: 1 } }))
      const ref = yield* one.counters.start("a")
      const { epoch } = yield* ref.info
      yield* gone
      yield* gone
      assert.strictEqual(yield* one.counters.count, 0)
      // Its answer was lost on the way, or it never arrived: here it did not.
      assert.strictEqual(yield* ref.callOnce("Add", 1, { client: "c", sequence: 1, again: true, epoch }), 1)
      yield* gone
      assert.strictEqual(yield* ref.callOnce("Add", 1, { client: "c", sequence: 1, again: true, epoch }), 1)
      yield* ref.callOnce("Add", 1, { client: "d", sequence: 1 })
      yield* gone
      // It forgot one, and has not forgotten that.
      const { epoch: later } = yield* ref.info
      const error = yield* Effect.flip(ref.callOnce("Add", 1, { client: "e", sequence: 1, again: true, epoch: later }))
      assert.strictEqual(error._tag, "ActionForgotten")
      yield* one.close
    }))

  it.effect("its alarms fire on time, again and again, also after a restart", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(passive()))
      const ref = yield* one.counters.start("a")
      yield* ref.call("Every", { millis: 600_000, n: 1 })
      for (let i = 1; i <= 5; i++) {
        yield* TestClock.adjust("4 minutes")
        yield* settle
        assert.strictEqual(yield* one.counters.count, 0)
        yield* TestClock.adjust("6 minutes")
        yield* TestClock.adjust("2 seconds")
        yield* settle
        assert.strictEqual(yield* keptState(store), i)
        yield* TestClock.adjust(-2_000)
      }
      yield* one.close
      const two = yield* process(store, kind(passive()))
      yield* TestClock.adjust("11 minutes")
      assert.strictEqual(yield* two.counters.ref("a").state, 6)
      yield* two.close
    }))

  it.effect("waits while someone watches, is connected, waits for the end, or it holds something", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(passive()))
      const users: Record<string, (ref: Session.Ref<typeof Counter>) => Effect.Effect<unknown, any, Scope.Scope>> = {
        watch: (ref) => ref.watch({ changed: () => {}, ended: () => {} }),
        attach: (ref) => ref.attach,
        wait: (ref) => Effect.forkScoped(ref.awaitEnd),
        share: (ref) => ref.subscriptionRef,
        hold: (ref) => ref.call("Acquire"),
        nothing: () => Effect.void
      }
      yield* Effect.scoped(Effect.gen(function*() {
        for (const [id, use] of Object.entries(users)) yield* use(yield* one.counters.start(id))
        yield* gone
        const live = yield* one.counters.list
        assert.sameMembers(live.map(({ id }) => id), ["watch", "attach", "wait", "share", "hold"])
      }))
      yield* gone
      const live = yield* one.counters.list
      assert.sameMembers(live.map(({ id }) => id), ["share", "hold"])
      yield* one.close
    }))

  it.effect("a message, or anything else, that comes while it is saved is not lost", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(passive("atEnd")))
      const ref = yield* one.counters.start("a")
      const other = yield* one.counters.start("b")
      yield* TestClock.adjust("90 seconds")
      store.before = Effect.sleep("10 seconds")
      yield* TestClock.adjust("35 seconds")
      yield* ref.call("Add", 1)
      yield* other.setMetadata({ seen: true }, { durable: false })
      yield* TestClock.adjust("10 seconds")
      yield* settle
      assert.strictEqual(yield* one.counters.count, 2)
      store.before = Effect.void
      yield* TestClock.adjust("10 minutes")
      yield* settle
      assert.strictEqual(yield* one.counters.count, 0)
      assert.strictEqual(yield* ref.state, 1)
      assert.deepStrictEqual((yield* other.info).metadata, { seen: true })
      yield* one.close
    }))
})

describe("Snapshots: between two worlds", () => {
  it.effect("an alarm whose message was not handled when the process crashed fires again", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const { faulty, view } = viewOf(store)
      const one = yield* process(faulty, kind(everyChange))
      const ref = yield* one.counters.start("a")
      yield* ref.call("After", { millis: 60_000, n: 7 })
      yield* ref.cast("Hold", Deferred.makeUnsafe())
      yield* TestClock.adjust("2 minutes")
      yield* ref.setMetadata({ seen: true })
      yield* settle
      view.isCut = true
      const two = yield* process(store, kind(everyChange))
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.strictEqual(yield* keptState(store), 7)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* two.counters.ref("a").state, 7)
      yield* two.close
    }))

  it.effect("what the store says of the alarms of live sessions is not looked at again and again", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      yield* (yield* one.counters.start("a")).call("After", { millis: 60_000, n: 7 })
      yield* one.close
      yield* TestClock.adjust("2 minutes")
      let asked = 0
      const { alarms } = store.service
      const counted: Faulty = {
        ...store,
        service: {
          ...store.service,
          alarms: (name, until, limit) =>
            Effect.suspend(() => {
              asked++
              return alarms(name, until, limit)
            })
        }
      }
      const two = yield* process(counted, kind({ snapshots: { save: "atEnd" } }))
      for (let i = 0; i < 60; i++) yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* two.counters.ref("a").state, 7)
      assert.isBelow(asked, 70)
      yield* two.close
    }))

  it.effect("an action that had begun when its session was killed is forgotten; an action that had not can be sent again", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      const ref = yield* one.counters.start("a")
      const begun = yield* Effect.forkChild(
        Effect.flip(ref.callOnce("Hold", Deferred.makeUnsafe(), { client: "c", sequence: 1 }))
      )
      const waiting = yield* Effect.forkChild(Effect.flip(ref.callOnce("Add", 5, { client: "c", sequence: 2 })))
      yield* settle
      yield* ref.end({ reason: EndReason.shutdown, drain: false })
      assert.strictEqual((yield* Fiber.join(begun))._tag, "SessionEnded")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "SessionEnded")
      const again = yield* one.counters.start("a")
      const forgotten = yield* Effect.flip(
        again.callOnce("Hold", Deferred.makeUnsafe(), { client: "c", sequence: 1, again: true })
      )
      assert.strictEqual(forgotten._tag, "ActionForgotten")
      assert.strictEqual(yield* again.callOnce("Add", 5, { client: "c", sequence: 2, again: true }), 5)
      yield* one.close
    }))

  it.effect("an action that changed nothing is remembered, too", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const { faulty, view } = viewOf(store)
      const one = yield* process(faulty, kind(everyChange))
      const ref = yield* one.counters.start("a")
      yield* ref.callOnce("Add", 3, { client: "c", sequence: 1 })
      assert.strictEqual(yield* ref.callOnce("Look", undefined, { client: "c", sequence: 2 }), 3)
      view.isCut = true
      const two = yield* process(store, kind(everyChange))
      const again = two.counters.ref("a")
      assert.strictEqual(yield* again.callOnce("Add", 1, { client: "c", sequence: 3 }), 4)
      assert.strictEqual(yield* again.callOnce("Look", undefined, { client: "c", sequence: 2, again: true }), 3)
      yield* two.close
    }))

  it.effect("a session that waits for its client to come back stays, and ends when none comes", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(
        store,
        kind({
          hibernateAfter: "1 minute",
          reconnectWindow: "30 minutes",
          snapshots: { passivateAfter: "1 minute" }
        })
      )
      const ref = yield* one.counters.start("a")
      yield* Effect.scoped(ref.attach)
      yield* TestClock.adjust("29 minutes")
      assert.strictEqual(yield* one.counters.count, 1)
      yield* TestClock.adjust("2 minutes")
      yield* settle
      assert.deepStrictEqual((yield* one.of("Stop")).map(({ reason }) => reason), [EndReason.disconnected])
      assert.isFalse(yield* one.counters.has("a"))
      yield* one.close
    }))

  it.effect("a caller that goes does not take the loading with it", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      yield* (yield* one.counters.start("a")).call("Add", 3)
      yield* one.close
      const two = yield* process(store, kind(everyChange))
      store.before = Effect.sleep("1 second")
      const claims = store.claims
      const first = yield* Effect.forkChild(two.counters.ref("a").call("Look"))
      yield* TestClock.adjust("1500 millis")
      const second = yield* Effect.forkChild(two.counters.ref("a").call("Look"))
      yield* settle
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(second), 3)
      assert.strictEqual(store.claims - claims, 1)
      store.before = Effect.void
      yield* two.close
    }))
})

describe("Snapshots: fencing", () => {
  it.effect("who lost a session writes nothing more, ends with Moved, and its callers get an answer", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      const two = yield* process(store, kind(everyChange))
      const stale = yield* one.counters.start("a")
      yield* stale.call("Add", 1)
      const end = yield* Effect.forkChild(stale.awaitEnd)
      yield* settle
      const ref = yield* two.counters.start("a")
      assert.strictEqual(yield* ref.call("Add", 10), 11)
      const error = yield* Effect.flip(stale.call("Add", 100))
      assert.strictEqual(error._tag, "SessionEnded")
      assert.deepStrictEqual(yield* Fiber.join(end), EndReason.moved)
      assert.strictEqual(yield* keptState(store), 11)
      assert.strictEqual(yield* ref.call("Add", 1), 12)
      yield* one.close
      assert.strictEqual(yield* keptState(store), 12)
      yield* two.close
    }))

  it.effect("neither an end nor a reset of the stale owner touches what the new one wrote", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const options = { ...everyChange, supervision: Supervision.reset() }
      const one = yield* process(store, kind(options))
      const two = yield* process(store, kind(options))
      const stopped = yield* one.counters.start("a")
      const resets = yield* one.counters.start("b")
      yield* settle
      yield* (yield* two.counters.start("a")).call("Add", 1)
      yield* (yield* two.counters.start("b")).call("Add", 1)
      yield* stopped.end()
      yield* TestClock.adjust("1 second")
      yield* Effect.flip(resets.call("Throw"))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* keptState(store, "a"), 1)
      assert.strictEqual(yield* keptState(store, "b"), 1)
      assert.strictEqual(yield* two.counters.ref("b").call("Add", 1), 2)
      yield* one.close
      yield* two.close
    }))
})

describe("Snapshots: a store that fails", () => {
  it.effect("is a typed error for those who need it, in time", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      store.before = down
      assert.strictEqual((yield* Effect.flip(one.counters.start("a")))._tag, "StoreUnavailable")
      assert.strictEqual((yield* Effect.flip(one.counters.ref("a").cast("Add", 1)))._tag, "StoreUnavailable")
      store.before = Effect.never
      const start = yield* Effect.forkChild(Effect.flip(one.counters.start("a")))
      const call = yield* Effect.forkChild(Effect.flip(one.counters.ref("a").call("Look", undefined, { timeout: 100 })))
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* Fiber.join(call))._tag, "CallTimeout")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(start))._tag, "StoreUnavailable")
      store.before = Effect.void
      assert.strictEqual(yield* (yield* one.counters.start("a")).call("Look"), 0)
      yield* one.close
    }))

  it.effect("is not called by every session while it keeps failing: one call tries, and after its success all may", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const { service } = store
      let asked = 0
      const stat: Service["stat"] = (key) =>
        Effect.suspend(() => {
          asked++
          return service.stat(key)
        })
      const one = yield* process({ ...store, service: { ...service, stat } }, kind(everyChange))
      store.before = down
      const start = (id: string) => Effect.flip(one.counters.start(id))
      const all = Effect.forEach(Array.from({ length: 100 }, (_, i) => `s${i}`), start)
      const errors = yield* all
      assert.strictEqual(asked, 5)
      assert.deepStrictEqual(new Set(errors.map(({ _tag }) => _tag)), new Set(["StoreUnavailable"]))
      assert.include(errors[99]!.message, "failed 5 times; it is asked again in 100 ms")
      for (const [pause, soFar] of [[100, 6], [199, 6], [1, 7], [400, 8]] as const) {
        yield* TestClock.adjust(pause)
        yield* all
        assert.strictEqual(asked, soFar)
      }
      store.before = Effect.void
      assert.strictEqual((yield* start("a"))._tag, "StoreUnavailable")
      yield* TestClock.adjust("1 second")
      const started = yield* one.counters.startAll(["a", "b", "c"])
      assert.isTrue(Array.from(started.values()).every(Result.isSuccess))
      yield* one.close
    }))

  it.effect("that refuses one snapshot saves all others", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const { service } = store
      const poisoned = {
        ...store,
        service: {
          ...service,
          save: (snapshots: Parameters<Service["save"]>[0]) =>
            snapshots.some(({ id }) => id === "s7") ? down : service.save(snapshots)
        }
      }
      const one = yield* process(poisoned, kind({ snapshots: { save: { every: 1 } } }))
      const ids = Array.from({ length: 300 }, (_, i) => `s${i}`)
      yield* one.counters.startAll(ids)
      yield* one.counters.broadcast("Add", 1)
      for (let i = 0; i < 20; i++) yield* TestClock.adjust("1 minute")
      for (const id of ids) if (id !== "s7") assert.strictEqual(yield* keptState(store, id), 1)
      // Also of sessions that end.
      yield* one.counters.broadcast("Add", 1)
      const shutdown = yield* Effect.forkChild(one.close)
      for (let i = 0; i < 20; i++) yield* TestClock.adjust("1 minute")
      yield* Fiber.join(shutdown)
      const kept = yield* Effect.forEach(ids, (id) => keptState(store, id))
      assert.deepStrictEqual(kept, ids.map((id) => id === "s7" ? undefined : 2))
    }))

  it.effect("is retried after growing pauses; then the newest states are written, with events for failure and recovery", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind({ snapshots: { save: { every: 1 } } }))
      const ids = Array.from({ length: 300 }, (_, i) => `s${i}`)
      yield* one.counters.startAll(ids)
      store.before = down
      for (let i = 0; i < 10; i++) {
        yield* one.counters.broadcast("Add", 1)
        yield* TestClock.adjust("1 minute")
      }
      const errors = (yield* one.of("SnapshotError")).filter(({ error }) =>
        (error as { _tag?: string })._tag === "SnapshotStoreError"
      )
      const pauses = new Set(errors.map(({ retryIn }) => retryIn))
      for (const pause of [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000]) {
        assert.isTrue(pauses.has(pause), String(pause))
      }
      assert.isBelow(errors.length, 70)
      store.before = Effect.void
      yield* TestClock.adjust("31 seconds")
      yield* settle
      assert.strictEqual(store.saves.flat().length, 300)
      for (const id of ids) assert.strictEqual(yield* keptState(store, id), 10)
      assert.deepStrictEqual((yield* one.of("SnapshotRecovery")).map(({ count }) => count), [300])
      yield* one.close
    }))

  for (const [how, before] of [["fails", down], ["hangs", Effect.never]] as const) {
    it.effect(`does not hold up the shutdown when it ${how}`, () =>
      Effect.gen(function*() {
        const store = yield* makeStore
        const one = yield* process(store, kind(everyChange), { shutdownGrace: "10 seconds" })
        const ref = yield* one.counters.start("a")
        yield* ref.call("Add", 1)
        store.before = before
        const call = yield* Effect.forkChild(Effect.exit(ref.call("Add", 1, { timeout: "1 day" })))
        yield* settle
        const closing = yield* Effect.forkChild(one.close)
        for (let i = 0; i < 30; i++) yield* TestClock.adjust("1 second")
        assert.isDefined(closing.pollUnsafe())
        const exit = yield* Fiber.join(call)
        assert.isTrue(Exit.isFailure(exit) && JSON.stringify(exit).includes("SessionEnded"))
        store.before = Effect.void
        assert.strictEqual(yield* keptState(store), 1)
      }))
  }

  it.effect("a state that does not fit its schema is not written; the rest is, and its caller has an answer", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, kind(everyChange))
      const ref = yield* one.counters.start("a")
      yield* ref.call("Add", 1)
      assert.strictEqual((yield* Effect.flip(ref.call("Spoil")))._tag, "SessionCrashed")
      assert.strictEqual(yield* keptState(store), 1)
      assert.strictEqual(yield* (yield* one.counters.start("b")).call("Add", 2), 2)
      assert.strictEqual(yield* keptState(store, "b"), 2)
      yield* one.close
    }))
})

describe("Snapshots: options", () => {
  const bad: Record<string, Options> = {
    "Counter.snapshots.save": { snapshots: { save: "sometimes" as never } },
    "Counter.snapshots.save (null)": { snapshots: { save: null as never } },
    "Counter.snapshots.save (neither)": { snapshots: { save: {} as never } },
    "Counter.snapshots.save (sleepless)": { snapshots: { save: "atHibernation" } },
    "Counter.snapshots.save.every": { snapshots: { save: { every: 0 } } },
    "Counter.snapshots.save.debounce": { snapshots: { save: { debounce: 0 } } },
    "Counter.snapshots.passivateAfter": { snapshots: { passivateAfter: "1 minute" } }
  }
  for (const [name, options] of Object.entries(bad)) {
    it.effect(`${name} is refused`, () =>
      Effect.gen(function*() {
        const store = yield* makeStore
        const error = yield* Effect.flip(process(store, kind(options)))
        assert.strictEqual(error._tag, "InvalidConfig")
        assert.strictEqual(error.setting, name.split(" ")[0])
      }))
  }

  it.effect("a store is needed", () =>
    Effect.gen(function*() {
      const layer = Layer.provide(kind(everyChange), Sessions.layer()) as Layer.Layer<Counter, any>
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
      assert.strictEqual(error.setting, "Counter.snapshots")
    }))
})

describe("Snapshots: whatever happens", () => {
  /** Numbers from 0 to 1 that are the same each time. */
  const random = (seed: number) => () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }

  const policies: Record<string, KindOptions.SavePolicy> = {
    atEnd: "atEnd",
    atHibernation: "atHibernation",
    everyChange: "everyChange",
    "every 4": { every: 4 },
    "every 1": { every: 1 },
    "debounce 1 s": { debounce: "1 second" }
  }

  /**
   * One client counts to as far as it comes: its n-th action makes the state n, so that the state, what the session
   * remembers and what the client knows tell of each other.
   */
  const life = (save: KindOptions.SavePolicy, seed: number) =>
    Effect.gen(function*() {
      const next = random(seed)
      const store = yield* makeStore
      const layer = () =>
        kind({ hibernateAfter: "1 minute", idleTimeout: "10 days", snapshots: { save, passivateAfter: "1 minute" } })
      const begin = Effect.gen(function*() {
        const { faulty, view } = viewOf(store)
        return { view, ...(yield* process(faulty, layer())) }
      })
      let current = yield* begin
      /** What the session has reached, what the client has an answer for, and what a crash must leave. */
      let reached = 0
      let answered = 0
      let floor = 0
      const log: Array<string> = []
      const act = Effect.gen(function*() {
        const ref = yield* current.counters.start("a")
        const sequence = answered + 1
        const call = ref.callOnce("Add", 1, { client: "c", sequence, again: sequence > 1 })
        const fiber = yield* Effect.forkChild(Effect.exit(call))
        yield* settle
        if (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("6 seconds")
        const exit = yield* Fiber.join(fiber)
        reached = yield* ref.state
        if (Exit.isSuccess(exit)) {
          assert.strictEqual(exit.value, sequence, log.join(" "))
          answered = sequence
          if (save === "everyChange") floor = sequence
        }
        assert.isAtMost(reached, sequence, log.join(" "))
      })
      const check = Effect.gen(function*() {
        const snapshot = yield* kept(store)
        if (Option.isNone(snapshot)) return
        const { clients, state } = snapshot.value.body
        assert.strictEqual(clients[0]?.last ?? 0, state, `${log.join(" ")}: state and memory`)
      })
      /** The store is well, and all is settled. */
      const well = (saved: boolean) => {
        if (saved || save === "everyChange") floor = reached
        else if (typeof save === "object" && "every" in save) floor = Math.max(floor, reached - save.every + 1)
      }
      const restart = Effect.gen(function*() {
        current = yield* begin
        const ref = yield* current.counters.start("a")
        const state = yield* ref.state
        assert.isAtLeast(state, floor, `${log.join(" ")}: lost too much`)
        assert.isAtMost(state, reached, `${log.join(" ")}: a state that it never had`)
        if (save === "everyChange") assert.isAtLeast(state, answered, log.join(" "))
        // The client learns how far the session is: of what was lost it begins again.
        answered = Math.min(answered, state)
        reached = state
        floor = state > 0 && save !== "atEnd" ? Math.min(floor, state) : floor
      })
      for (let step = 0; step < 25; step++) {
        const choice = next()
        if (choice < 0.5) {
          log.push("act")
          yield* act
          yield* settle
          well(false)
        } else if (choice < 0.6) {
          log.push("pause")
          yield* TestClock.adjust("1100 millis")
          yield* settle
          well(typeof save === "object" && "debounce" in save)
        } else if (choice < 0.68) {
          log.push("sleep")
          yield* TestClock.adjust("70 seconds")
          yield* settle
          well(save !== "atEnd" && !(typeof save === "object" && "every" in save) && reached > 0)
        } else if (choice < 0.76) {
          log.push("leave")
          yield* TestClock.adjust("5 minutes")
          yield* settle
          assert.strictEqual(yield* current.counters.count, 0, log.join(" "))
          well(reached > 0)
        } else if (choice < 0.84) {
          log.push("restart")
          yield* current.close
          if (reached > 0) floor = reached
          yield* restart
        } else if (choice < 0.92) {
          log.push("crash")
          current.view.isCut = true
          yield* restart
        } else {
          log.push("fail")
          // It may have left memory: then nothing can be done to it.
          yield* current.counters.start("a")
          current.view.failing = true
          for (let i = next() * 6; i > 0; i--) yield* act
          if (next() < 0.5) {
            log.push("crash")
            current.view.isCut = true
            yield* restart
          } else {
            current.view.failing = false
            yield* TestClock.adjust("32 seconds")
            yield* settle
            well(typeof save === "object" && "debounce" in save)
          }
        }
        yield* check
      }
      yield* current.close
    })

  for (const [name, save] of Object.entries(policies)) {
    it.effect(
      `${name}: loses no more than it says, and does nothing twice`,
      () => Effect.forEach(Array.from({ length: 12 }), (_, seed) => life(save, seed), { discard: true })
    )
  }
})
