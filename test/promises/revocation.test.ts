/** Revocation: it is written before it is answered, and a copy of a session that was taken over answers no caller. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Option, Schema, Scope } from "effect"
import { EndReason, type KindOptions, Session, SessionEvents, Sessions, SnapshotStore } from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

const { settle } = TestSessions

class Visit extends Session.Service<Visit>()("Visit", {
  state: Schema.Int,
  protocol: [
    Rpc.make("Add", { success: Schema.Int }),
    Rpc.make("Login", { payload: Schema.String }),
    Rpc.make("Note", { payload: Schema.Any }),
    Rpc.make("Logout"),
    Rpc.make("Bye")
  ]
}) {}

interface Hooks {
  end?: (self: Session.Self) => Effect.Effect<void>
  restore?: () => void
}

const layerOf = (options: KindOptions.KindOptions<any>, hooks: Hooks) =>
  Visit.toLayer(
    Visit.behavior({
      init: () => 0,
      restore: ({ state }) => {
        hooks.restore?.()
        return state
      },
      handlers: {
        Add: ({ state }) => [state + 1, state + 1],
        Login: ({ payload, self, state }) => Effect.as(self.setUser(payload), [state] as const),
        Note: ({ payload, self, state }) => Effect.as(self.setMetadata(payload), [state] as const),
        Logout: ({ self, state }) => Effect.as(self.end(), [state] as const),
        Bye: ({ state }) => [state]
      },
      end: ({ self }) => hooks.end?.(self) ?? Effect.void
    }),
    { idleTimeout: "10 hours", ...options }
  )

type Service = {
  -readonly [K in keyof SnapshotStore.SnapshotStore["Service"]]: SnapshotStore.SnapshotStore["Service"][K]
}

type Failing = Effect.Effect<void, SnapshotStore.SnapshotStoreError>

/** A store that fails or hangs on demand. */
class Unsteady {
  readonly service: Service
  readonly memory: Service
  before: Failing = Effect.void
  /** What it does before it writes these. */
  check: (snapshots: ReadonlyArray<SnapshotStore.Snapshot>) => Failing = () => Effect.void

  constructor(memory: Service) {
    this.memory = memory
    const guard = <A, E>(effect: Effect.Effect<A, E>) => Effect.andThen(Effect.suspend(() => this.before), effect)
    this.service = {
      ...memory,
      claim: (...args) => guard(memory.claim(...args)),
      save: (all) => guard(Effect.andThen(Effect.suspend(() => this.check(all)), memory.save(all))),
      remove: (keys) => guard(memory.remove(keys)),
      peek: (key) => guard(memory.peek(key)),
      stat: (key) => guard(memory.stat(key)),
      list: (options) => guard(memory.list(options))
    }
  }

  kept(id: string) {
    return Effect.map(Effect.orDie(this.memory.peek({ kind: "Visit", id })), Option.getOrUndefined)
  }
}

const makeStore = Effect.map(
  Effect.scoped(Layer.build(Layer.fresh(MemoryStore.layer))),
  (context) => new Unsteady(Context.get(context, SnapshotStore.SnapshotStore))
)

const failing = (scope: "store" | "key", message = "it fails") =>
  Effect.suspend(() =>
    Effect.fail(new SnapshotStore.SnapshotStoreError({ operation: "test", message, cause: undefined, scope }))
  )

/** A process on a store; `kill` cuts it off from there, as SIGKILL would. */
const process = Effect.fnUntraced(function*(
  store: Unsteady,
  options: KindOptions.KindOptions<any>,
  hooks: Hooks = {}
) {
  const state = { isDead: false }
  const cut = <A, E>(effect: () => Effect.Effect<A, E>) => Effect.suspend(() => state.isDead ? Effect.never : effect())
  const seen: Service = {
    ...store.service,
    save: (all) => cut(() => store.service.save(all)),
    remove: (keys) => cut(() => store.service.remove(keys)),
    claim: (...args) => cut(() => store.service.claim(...args))
  }
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(
    Layer.provideMerge(
      layerOf(options, hooks).pipe(Layer.provide(Layer.succeed(SnapshotStore.SnapshotStore, seen))),
      Sessions.layer({ shutdownGrace: "1 second", startRate: false })
    ),
    scope
  )
  const errors: Array<{ readonly message: string }> = []
  Context.get(context, SessionEvents).listenUnsafe((event) => {
    if (event._tag === "SnapshotError") errors.push(event.error as Error)
  })
  return {
    errors,
    visits: Context.get(context, Visit),
    sessions: Context.get(context, Sessions),
    kill: Effect.sync(() => {
      state.isDead = true
    }),
    close: Scope.close(scope, Exit.void)
  }
})

const policies: ReadonlyArray<KindOptions.SavePolicy> = ["atEnd", { every: 100 }, { debounce: "1 hour" }, "everyChange"]
const named = (save: KindOptions.SavePolicy) => JSON.stringify(save)
const ofSave = (save: KindOptions.SavePolicy) => ({ snapshots: { save } })
const thrownOut = { reason: EndReason.stopped("thrown out") }

describe("Revocation is written before it is answered", () => {
  for (const save of policies) {
    it.effect(`a user, metadata and both, from outside, under ${named(save)}`, () =>
      Effect.gen(function*() {
        const store = yield* makeStore
        const one = yield* process(store, ofSave(save))
        const ref = yield* one.visits.start("a", { metadata: { ticket: "one" } })
        yield* ref.call("Add")
        yield* ref.setUser("ada")
        assert.strictEqual((yield* store.kept("a"))?.user, "ada")
        yield* ref.setMetadata({ ticket: "two" })
        assert.deepStrictEqual(JSON.parse((yield* store.kept("a"))!.body).metadata, { ticket: "two" })
        assert.isTrue(yield* ref.compareAndSet({ ticket: "two" }, { user: "bob", metadata: { ticket: "three" } }))
        yield* one.kill
        const two = yield* process(store, ofSave(save))
        const info = yield* two.visits.ref("a").info
        assert.deepStrictEqual([info.user, info.metadata, info.state], ["bob", { ticket: "three" }, 1])
        yield* two.close
      }))

    it.effect(`a user and the end, from inside, under ${named(save)}`, () =>
      Effect.gen(function*() {
        const store = yield* makeStore
        const one = yield* process(store, ofSave(save))
        const ref = yield* one.visits.start("a")
        const gate = yield* Deferred.make<void>()
        store.before = Deferred.await(gate)
        const login = yield* Effect.forkChild(ref.call("Login", "ada"))
        yield* settle
        assert.isUndefined(login.pollUnsafe())
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(login)
        assert.strictEqual((yield* store.kept("a"))?.user, "ada")
        const shut = yield* Deferred.make<void>()
        store.before = Deferred.await(shut)
        const logout = yield* Effect.forkChild(ref.call("Logout"))
        yield* settle
        assert.isUndefined(logout.pollUnsafe())
        assert.isUndefined(one.visits.findUnsafe("a"))
        yield* Deferred.succeed(shut, undefined)
        yield* Fiber.join(logout)
        assert.isUndefined(yield* store.kept("a"))
        yield* one.kill
        const two = yield* process(store, ofSave(save))
        assert.isFalse(yield* two.visits.has("a"))
        yield* two.close
      }))

    it.effect(`the end, of one in memory and of one in the store only, under ${named(save)}`, () =>
      Effect.gen(function*() {
        const store = yield* makeStore
        const one = yield* process(store, ofSave(save))
        const ref = yield* one.visits.start("a")
        yield* ref.setUser("ada")
        yield* (yield* one.visits.start("b")).setUser("ada")
        assert.isTrue(yield* ref.end(thrownOut))
        assert.isUndefined(yield* store.kept("a"))
        yield* one.close
        const two = yield* process(store, ofSave(save))
        assert.isTrue(yield* two.visits.end("b", thrownOut))
        assert.isUndefined(yield* store.kept("b"))
        assert.isFalse(yield* two.visits.end("b", thrownOut))
        yield* two.kill
        const three = yield* process(store, ofSave(save))
        assert.deepStrictEqual(yield* three.sessions.ofUser("ada"), [])
        yield* three.close
      }))
  }

  it.effect("what is not durable waits for the save policy", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, ofSave("atEnd"))
      const ref = yield* one.visits.start("a")
      yield* ref.setMetadata({ agent: "phone" }, { durable: false })
      assert.isUndefined(yield* store.kept("a"))
      yield* one.close
      assert.deepStrictEqual(JSON.parse((yield* store.kept("a"))!.body).metadata, { agent: "phone" })
    }))

  for (const [how, before] of [["hangs", Effect.never], ["fails", failing("store")]] as const) {
    it.effect(`a store that ${how}: nothing is changed, and the caller gets an error in time`, () =>
      Effect.gen(function*() {
        const store = yield* makeStore
        const one = yield* process(store, ofSave("everyChange"))
        const ref = yield* one.visits.start("a", { user: "ada", metadata: { ticket: "one", seen: 1 } })
        yield* settle
        store.before = before
        const change = yield* Effect.forkChild(Effect.flip(
          ref.compareAndSet({ ticket: "one" }, { user: "eve", metadata: { ticket: "two", more: true } })
        ))
        yield* settle
        yield* ref.setMetadata({ seen: 2 }, { durable: false })
        for (let i = 0; i < 60; i++) yield* TestClock.adjust("100 millis")
        const error = yield* Fiber.join(change)
        assert.strictEqual(error._tag, "StoreUnavailable")
        assert.isTrue(error.retrySafe)
        const { metadata, user } = yield* ref.info
        // What others changed meanwhile stays.
        assert.deepStrictEqual([user, metadata], ["ada", { ticket: "one", seen: 2 }])
        store.before = Effect.void
        yield* TestClock.adjust("1 minute")
        assert.isTrue(yield* ref.compareAndSet({ ticket: "one" }, { user: "bob" }))
        assert.strictEqual((yield* store.kept("a"))?.user, "bob")
        yield* one.close
      }))

    it.effect(`a store that ${how}: an end is reported as incomplete, takes effect here, and is completed when the store is back`, () =>
      Effect.gen(function*() {
        const store = yield* makeStore
        const one = yield* process(store, ofSave("everyChange"))
        yield* (yield* one.visits.start("a")).setUser("ada")
        store.before = before
        const end = yield* Effect.forkChild(Effect.flip(one.visits.end("a", thrownOut)))
        const all = yield* Effect.forkChild(Effect.flip(one.visits.endAll(["a"], thrownOut)))
        for (let i = 0; i < 60; i++) yield* TestClock.adjust("100 millis")
        assert.strictEqual((yield* Fiber.join(end))._tag, "StoreUnavailable")
        assert.strictEqual((yield* Fiber.join(all))._tag, "StoreUnavailable")
        assert.isUndefined(one.visits.findUnsafe("a"))
        assert.isDefined(yield* store.kept("a"))
        store.before = Effect.void
        for (let i = 0; i < 10; i++) yield* TestClock.adjust("10 seconds")
        assert.isUndefined(yield* store.kept("a"))
        assert.isFalse(yield* one.visits.end("a", thrownOut))
        yield* one.close
      }))
  }

  it.effect("a session that cannot be restored or read is removed all the same", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, ofSave("everyChange"))
      for (const id of ["a", "b"]) yield* (yield* one.visits.start(id)).setUser("ada")
      yield* one.close
      const hooks: Hooks = {
        restore: () => {
          throw new Error("not today")
        }
      }
      const two = yield* process(store, ofSave("everyChange"), hooks)
      assert.strictEqual((yield* Effect.flip(two.visits.get("a")))._tag, "RestoreFailed")
      assert.deepStrictEqual((yield* two.sessions.ofUser("ada")).map(({ id }) => id).sort(), ["a", "b"])
      assert.isTrue(yield* two.visits.end("a", thrownOut))
      assert.isUndefined(yield* store.kept("a"))
      store.service.claim = () => failing("key")
      assert.isTrue(yield* two.visits.end("b", thrownOut))
      assert.isUndefined(yield* store.kept("b"))
      assert.deepStrictEqual(yield* two.sessions.ofUser("ada"), [])
      yield* two.close
    }))

  it.effect("metadata that would not come back is refused, and nothing is changed", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, ofSave("everyChange"))
      const ref = yield* one.visits.start("a", { metadata: { fine: [1, null, "é", { deep: true }], none: undefined } })
      const circular: Record<string, unknown> = {}
      circular["self"] = [circular]
      const deep = Array.from({ length: 100 }).reduce<unknown>((inner) => [inner], 0)
      const noJson = [1n, () => 1, Symbol("x"), NaN, Infinity, [undefined]]
      for (const value of [...noJson, new Date(0), new Map(), circular, deep, /a/, new Error("x")]) {
        const metadata = { before: 1, value: { of: [value] } }
        const error = yield* Effect.flip(ref.setMetadata(metadata))
        assert.strictEqual(error._tag, "InvalidMetadata")
        assert.include(error.message, "metadata.value.of[0]")
        assert.strictEqual((yield* Effect.flip(ref.setMetadata(metadata, { durable: false })))._tag, "InvalidMetadata")
        assert.strictEqual((yield* Effect.flip(ref.compareAndSet({}, { metadata })))._tag, "InvalidMetadata")
        assert.strictEqual((yield* Effect.flip(one.visits.start("b", { metadata })))._tag, "StartFailed")
      }
      assert.strictEqual((yield* Effect.flip(ref.call("Note", { total: 1n })))._tag, "SessionCrashed")
      assert.hasAllKeys((yield* ref.info).metadata, ["fine", "none"])
      yield* one.close
    }))
})

describe("Another process", () => {
  it.effect("has taken the session over: its copy leaves, and what the other one wrote counts", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, ofSave("everyChange"))
      const two = yield* process(store, ofSave("everyChange"))
      const here = yield* one.visits.start("a", { metadata: { ticket: "one" } })
      yield* here.call("Add")
      const ended = yield* Effect.forkChild(here.awaitEnd)
      yield* settle
      yield* two.visits.ref("a").setMetadata({ ticket: "two" })
      // No caller has looked yet.
      assert.deepStrictEqual((yield* here.info).metadata, { ticket: "one" })
      const reached = Option.getOrThrow(yield* one.visits.reach("a")).session
      assert.strictEqual((yield* Fiber.join(ended))._tag, "Moved")
      assert.deepStrictEqual((yield* reached.info).metadata, { ticket: "two" })
      assert.strictEqual(yield* reached.call("Add"), 2)
      // And the other way round.
      assert.deepStrictEqual(yield* Option.getOrThrow(yield* two.visits.reach("a")).session.call("Add"), 3)
      yield* one.close
      yield* two.close
    }))

  it.effect("has ended it: it is not there any more, also when its epoch is forgotten", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, ofSave("everyChange"))
      const two = yield* process(store, ofSave("everyChange"))
      for (const id of ["a", "b"]) yield* (yield* one.visits.start(id)).setUser("ada")
      yield* Effect.forEach(["a", "b"], (id) => two.visits.end(id, thrownOut))
      assert.isTrue(Option.isNone(yield* one.visits.reach("a")))
      yield* store.memory.sweep(3 * 3_600_000)
      assert.isTrue(Option.isNone(yield* store.memory.stat({ kind: "Visit", id: "b" })))
      assert.isTrue(Option.isNone(yield* one.visits.reach("b")))
      yield* one.close
      yield* two.close
    }))

  for (const save of policies) {
    it.effect(`does not lose a session that stays active for long after its user was written: ${named(save)}`, () =>
      Effect.gen(function*() {
        const store = yield* makeStore
        const one = yield* process(store, { ...ofSave(save), idleTimeout: "1 hour" })
        const ref = yield* one.visits.start("a")
        yield* ref.setUser("ada")
        // It is used, but never with a credential.
        for (let visit = 1; visit <= 10; visit++) {
          yield* TestClock.adjust("40 minutes")
          assert.strictEqual(yield* ref.call("Add"), visit)
        }
        assert.strictEqual((yield* store.kept("a"))?.user, "ada")
        assert.strictEqual(yield* Option.getOrThrow(yield* one.visits.reach("a")).session.call("Add"), 11)
        yield* one.close
      }))
  }

  it.effect("is looked for only by visitors with a credential; a failing store admits nobody", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, ofSave("atEnd"))
      const ref = yield* one.visits.start("a")
      store.before = failing("store")
      assert.strictEqual(yield* ref.call("Add"), 1)
      assert.isTrue(Option.isSome(yield* one.visits.find("a")))
      const error = yield* Effect.flip(one.visits.reach("a"))
      assert.deepStrictEqual([error._tag, error.httpStatus, error.retrySafe], ["StoreUnavailable", 503, true])
      assert.isDefined(one.visits.findUnsafe("a"))
      store.before = Effect.void
      assert.strictEqual(Option.getOrThrow(yield* one.visits.reach("a")).session.id, "a")
      yield* one.close
    }))
})

describe("A user", () => {
  it.effect("is known with what is in memory, in the store only, and on its way there", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, ofSave("everyChange"))
      for (let i = 0; i < 300; i++) yield* one.visits.start(`s${i}`, { user: i < 280 ? "ada" : "bob" })
      yield* one.close
      const two = yield* process(store, ofSave("everyChange"))
      const ids = (user: string) => Effect.map(two.sessions.ofUser(user), (refs) => refs.map(({ id }) => id))
      const found = yield* ids("ada")
      assert.deepStrictEqual([found.length, new Set(found).size], [280, 280])
      assert.deepStrictEqual(yield* two.sessions.liveOfUser("ada"), [])
      // What is in memory knows best.
      yield* two.visits.ref("s0").setUser("bob")
      yield* two.visits.start("new", { user: "ada" })
      assert.lengthOf(yield* ids("ada"), 280)
      assert.include(yield* ids("ada"), "new")
      assert.lengthOf(yield* ids("bob"), 21)
      // One whose removal waits for the store is over.
      const gate = yield* Deferred.make<void>()
      const { remove } = store.service
      store.service.remove = (keys) => Effect.andThen(Deferred.await(gate), remove(keys))
      const end = yield* Effect.forkChild(two.visits.end("s1", thrownOut))
      yield* settle
      assert.isDefined(yield* store.kept("s1"))
      assert.notInclude(yield* ids("ada"), "s1")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(end)
      assert.isUndefined(yield* store.kept("s1"))
      // What has expired in the store is not there.
      yield* TestClock.adjust("11 hours")
      assert.deepStrictEqual(yield* ids("ada"), [])
      yield* two.close
    }))
})

describe("What is at fault", () => {
  it.effect("under one key does not keep other sessions from being loaded", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, ofSave("everyChange"))
      yield* one.visits.start("bad")
      yield* settle
      yield* one.close
      const { claim } = store.service
      store.service.claim = (key, ...rest) => key.id === "bad" ? failing("key") : claim(key, ...rest)
      const two = yield* process(store, ofSave("everyChange"))
      for (let i = 0; i < 20; i++) {
        const error = yield* Effect.flip(two.visits.start("bad"))
        assert.deepStrictEqual([error._tag, "scope" in error && error.scope], ["StoreUnavailable", "key"])
      }
      assert.strictEqual(yield* (yield* two.visits.start("good")).call("Add"), 1)
      yield* two.close
    }))

  it.effect("when the store ignores interruption, keeps no caller waiting", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, ofSave("everyChange"))
      const back = yield* Deferred.make<void>()
      store.before = Effect.uninterruptible(Deferred.await(back))
      const start = yield* Effect.forkChild(Effect.flip(one.visits.start("a")))
      yield* TestClock.adjust("4 seconds")
      assert.isUndefined(start.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(start))._tag, "StoreUnavailable")
      yield* Deferred.succeed(back, undefined)
      assert.strictEqual((yield* one.visits.start("a")).id, "a")
      yield* one.close
    }))

  it.effect("under one key does not keep other sessions from being written: its callers get an error, and the others are not delayed", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, ofSave("everyChange"))
      const refs = yield* Effect.forEach(Array.from({ length: 300 }, (_, i) => `s${i}`), (id) => one.visits.start(id))
      yield* settle
      let attempts = 0
      store.check = (all) => {
        attempts++
        return all.some(({ id }) => id === "s137" || id === "s250") ? failing("key", "too large") : Effect.void
      }
      const answers = yield* Effect.forEach(refs, (ref) => Effect.forkChild(Effect.exit(ref.call("Add"))))
      yield* settle
      const exits = yield* Effect.forEach(answers, Fiber.join)
      assert.deepStrictEqual(exits.flatMap((exit, i) => Exit.isSuccess(exit) ? [] : [i]), [137, 250])
      assert.isBelow(attempts, 100)
      assert.lengthOf(one.errors.filter(({ message }) => message === "too large"), 2)
      assert.strictEqual(JSON.parse((yield* store.kept("s136"))!.body).state, 1)
      // It stays live, and is written as soon as possible.
      assert.strictEqual(yield* refs[137]!.state, 1)
      store.check = () => Effect.void
      assert.strictEqual(yield* refs[137]!.call("Add"), 2)
      assert.strictEqual(JSON.parse((yield* store.kept("s137"))!.body).state, 2)
      yield* one.close
    }))

  it.effect("under one key does not block its id when the session cannot be written at its end", () =>
    Effect.gen(function*() {
      const store = yield* makeStore
      const one = yield* process(store, ofSave("atEnd"))
      const ref = yield* one.visits.start("a")
      store.check = () => failing("key", "too large")
      assert.isTrue(yield* ref.end({ reason: EndReason.evicted }))
      assert.strictEqual(yield* (yield* one.visits.start("a")).state, 0)
      yield* one.close
    }))
})

describe("The end hook of a stored session", () => {
  for (const [when, before] of [["at once", Effect.void], ["after a turn", Effect.yieldNow]] as const) {
    it.effect(`does not wait for itself, whatever it asks of its own session, ${when}`, () =>
      Effect.gen(function*() {
        const store = yield* makeStore
        const results: Array<string> = []
        const note = (name: string) => <A, E extends { readonly _tag: string }>(effect: Effect.Effect<A, E>) =>
          Effect.match(effect, {
            onFailure: ({ _tag }) => {
              results.push(`${name}: ${_tag}`)
            },
            onSuccess: () => {
              results.push(`${name}: done`)
            }
          })
        const hooks: Hooks = {}
        const one = yield* process(store, ofSave("everyChange"), hooks)
        hooks.end = (self) =>
          Effect.gen(function*() {
            yield* before
            const ref = one.visits.ref("a")
            yield* note("self.cast")(self.cast("Bye"))
            yield* note("cast")(ref.cast("Bye"))
            yield* note("call")(ref.call("Add"))
            yield* note("state")(ref.state)
            yield* note("awaitEnd")(ref.awaitEnd)
            yield* note("start")(one.visits.start("a"))
            yield* note("end")(ref.end())
          })
        const ref = yield* one.visits.start("a")
        assert.isTrue(yield* ref.end())
        assert.deepStrictEqual(results, [
          "self.cast: SessionNotFound",
          "cast: SessionNotFound",
          "call: SessionNotFound",
          "state: SessionNotFound",
          "awaitEnd: SessionNotFound",
          "start: StartFailed",
          "end: done"
        ])
        yield* one.close
      }))
  }
})
