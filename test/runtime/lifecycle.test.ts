import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Fiber, Layer, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"

class NoSuchUser extends Schema.TaggedError<NoSuchUser>()("NoSuchUser", { id: Schema.String }) {}

class Users extends Context.Service<Users, {
  readonly load: (id: string) => Effect.Effect<string, NoSuchUser>
}>()("test/Users") {
  static readonly layer = Layer.succeed(Users, {
    load: (id) =>
      id.startsWith("no") ? Effect.fail(new NoSuchUser({ id })) : Effect.as(Effect.sleep("1 second"), `user ${id}`)
  })
}

/** Loads its user before the start returns. */
class Eager extends Session.Service<Eager>()("Eager", {
  state: Schema.String,
  error: NoSuchUser,
  protocol: [Rpc.make("Get", { success: Schema.String })]
}) {
  static readonly layer = Eager.toLayer(Effect.gen(function*() {
    const users = yield* Users
    return Eager.behavior({
      init: ({ id }) => id === "die" ? Effect.die("no luck") : users.load(id),
      handlers: { Get: ({ state }) => [state, state] }
    })
  })).pipe(Layer.provide(Users.layer))
}

/** Starts at once and loads its user then. */
class Lazy extends Session.Service<Lazy>()("Lazy", {
  state: Schema.String,
  error: NoSuchUser,
  protocol: [Rpc.make("Get", { success: Schema.String })]
}) {
  static readonly layer = Lazy.toLayer(Lazy.behavior({
    init: () => "loading",
    afterStart: ({ self }) => Users.use((users) => users.load(self.id)),
    handlers: { Get: ({ state }) => [state, state] }
  })).pipe(Layer.provide(Users.layer))
}

describe("init", () => {
  it.effect("a start waits for an init that loads, and so does every other start of the session meanwhile", () =>
    Effect.gen(function*() {
      const eager = yield* Eager
      const first = yield* Effect.forkChild(eager.start("ada"))
      const second = yield* Effect.forkChild(eager.start("ada"))
      yield* TestSessions.settle
      const early = yield* Effect.forkChild(eager.ref("ada").call("Get"))
      const state = yield* Effect.forkChild(eager.ref("ada").state)
      yield* TestSessions.settle
      assert.isUndefined(first.pollUnsafe())
      yield* TestSessions.elapse("1 second")
      assert.strictEqual(yield* Fiber.join(first), yield* Fiber.join(second))
      assert.strictEqual(yield* Fiber.join(early), "user ada")
      assert.strictEqual(yield* Fiber.join(state), "user ada")
    }).pipe(Effect.provide(TestSessions.layer(Eager.layer))))

  it.effect("a start fails with the kind's declared error, and the id is free again", () =>
    Effect.gen(function*() {
      const eager = yield* Eager
      for (let i = 0; i < 2; i++) {
        const error = yield* Effect.flip(eager.start("nobody"))
        assert.deepStrictEqual(error, new NoSuchUser({ id: "nobody" }))
      }
      assert.strictEqual((yield* (yield* Sessions).count).count, 0)
    }).pipe(Effect.provide(TestSessions.layer(Eager.layer))))

  it.effect("a start whose init dies fails with StartFailed", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip((yield* Eager).start("die"))
      assert.isTrue(error._tag === "StartFailed" && error.message.includes("no luck"))
      assert.strictEqual((yield* (yield* Sessions).count).count, 0)
    }).pipe(Effect.provide(TestSessions.layer(Eager.layer))))

  it.effect("calls that wait for a start that fails are answered", () =>
    Effect.gen(function*() {
      const go = yield* Deferred.make<never, NoSuchUser>()
      class Held extends Session.Service<Held>()("Held", {
        state: Schema.Void,
        error: NoSuchUser,
        protocol: [Rpc.make("Get")]
      }) {}
      const HeldLayer = Held.toLayer(Held.behavior({
        init: () => Deferred.await(go),
        handlers: { Get: ({ state }) => [state] },
        end: () => Effect.sync(() => assert.fail("what has not started has no end"))
      }))
      yield* Effect.gen(function*() {
        const held = yield* Held
        const start = yield* Effect.forkChild(Effect.flip(held.start("a")))
        yield* TestSessions.settle
        const call = yield* Effect.forkChild(Effect.flip(held.ref("a").call("Get")))
        const state = yield* Effect.forkChild(Effect.flip(held.ref("a").state))
        yield* TestSessions.settle
        yield* Deferred.fail(go, new NoSuchUser({ id: "a" }))
        assert.strictEqual((yield* Fiber.join(start))._tag, "NoSuchUser")
        const error = yield* Fiber.join(call)
        assert.isTrue(error._tag === "SessionEnded" && !error.begun)
        assert.strictEqual((yield* Fiber.join(state))._tag, "SessionNotFound")
      }).pipe(Effect.provide(TestSessions.layer(HeldLayer)))
    }))

  it.effect("a session that is ended while it starts still starts, and then ends", () =>
    Effect.gen(function*() {
      const eager = yield* Eager
      const start = yield* Effect.forkChild(eager.start("ada"))
      yield* TestSessions.settle
      const end = yield* Effect.forkChild(eager.end("ada"))
      yield* TestSessions.settle
      yield* TestSessions.elapse("1 second")
      yield* Fiber.join(start)
      assert.isTrue(yield* Fiber.join(end))
      assert.isFalse(yield* eager.has("ada"))
    }).pipe(Effect.provide(TestSessions.layer(Eager.layer))))
})

describe("afterStart", () => {
  it.effect("runs after the start has returned, and before the first message", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Lazy).start("ada")
      assert.strictEqual(yield* ref.state, "loading")
      const call = yield* Effect.forkChild(ref.call("Get"))
      yield* TestSessions.elapse("1 second")
      assert.strictEqual(yield* Fiber.join(call), "user ada")
    }).pipe(Effect.provide(TestSessions.layer(Lazy.layer))))

  it.effect("ends the session with the declared error as the reason", () =>
    Effect.gen(function*() {
      const lazy = yield* Lazy
      yield* lazy.start("nobody")
      yield* TestSessions.settle
      assert.isFalse(yield* lazy.has("nobody"))
      const [stop] = yield* (yield* TestSessions.Recorder).of("Stop")
      assert.deepStrictEqual(stop?.reason, { _tag: "Stopped", detail: new NoSuchUser({ id: "nobody" }) })
    }).pipe(Effect.provide(TestSessions.layer(Lazy.layer))))
})

class Worker extends Session.Service<Worker>()("Worker", {
  state: Schema.Array(Schema.String),
  protocol: [
    Rpc.make("Note", { payload: Schema.String }),
    Rpc.make("Twice", { payload: Schema.String }),
    Rpc.make("Later", { payload: Schema.String, success: Schema.Unknown }),
    Rpc.make("Keyed", { payload: Schema.String }),
    Rpc.make("Often", { success: Schema.Unknown }),
    Rpc.make("Work"),
    Rpc.make("Fail"),
    Rpc.make("Stop", { payload: Schema.String }),
    Rpc.make("Helper", { success: Schema.String }),
    Rpc.make("Describe", { payload: Schema.Record(Schema.String, Schema.Unknown) })
  ]
}) {}

/** Knows its session without being passed it. */
const helper = Effect.map(Session.CurrentSession, ({ id, kind }) => `${kind}/${id}`)

const log: Array<string> = []

const WorkerLayer = Worker.toLayer(Worker.behavior({
  init: (): ReadonlyArray<string> => [],
  handlers: {
    Note: ({ payload, state }) => [[...state, payload]],
    Twice: ({ payload, self, state }) =>
      Effect.as(Effect.orDie(self.cast("Note", payload)), [[...state, payload]] as const),
    Later: ({ payload, self, state }) =>
      Effect.map(self.after("1 minute", "Note", payload), (timer) => [state, timer] as const),
    Keyed: ({ payload, self, state }) =>
      Effect.as(self.after("1 minute", "Note", payload, { key: "k" }), [state] as const),
    Often: ({ self, state }) =>
      Effect.map(self.every("10 seconds", "Note", "tick"), (timer) => [state, timer] as const),
    Work: ({ self, state }) =>
      Effect.as(
        self.fork(
          Effect.gen(function*() {
            yield* Effect.sleep("1 second")
            yield* Effect.orDie(self.cast("Note", "worked"))
            return yield* Effect.never
          }).pipe(Effect.onInterrupt(() => Effect.sync(() => log.push("interrupted"))))
        ),
        [state] as const
      ),
    Fail: ({ self, state }) => Effect.as(self.fork(Effect.fail("worker failed")), [state] as const),
    Stop: ({ payload, self, state }) => Effect.as(self.end(payload), [[...state, "stopping"]] as const),
    Helper: ({ state }) => Effect.map(helper, (text) => [state, text] as const),
    Describe: ({ payload, self, state }) => Effect.as(self.setMetadata(payload), [state] as const)
  }
}))

const provideWorker = Effect.provide(TestSessions.layer(WorkerLayer, { idleTimeout: "5 minutes" }))

describe("self", () => {
  it.effect("helpers that handlers call know the session", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* (yield* (yield* Worker).start("a")).call("Helper"), "Worker/a")
    }).pipe(provideWorker))

  it.effect("a handler can send to its own session, behind what waits already", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Worker).start("a")
      yield* ref.call("Twice", "x")
      yield* ref.call("Note", "y")
      assert.deepStrictEqual(yield* ref.state, ["x", "x", "y"])
    }).pipe(provideWorker))

  it.effect("a timer sends a message after a while, unless it is cancelled", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Worker).start("a")
      yield* ref.call("Later", "kept")
      const timer = (yield* ref.call("Later", "cancelled")) as Session.Timer
      assert.isTrue(yield* timer.cancel)
      assert.isFalse(yield* timer.cancel)
      yield* TestSessions.elapse("59 seconds")
      assert.deepStrictEqual(yield* ref.state, [])
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(yield* ref.state, ["kept"])
    }).pipe(provideWorker))

  it.effect("a timer with a key replaces the timer that had the key", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Worker).start("a")
      yield* ref.call("Keyed", "first")
      yield* TestSessions.elapse("59 seconds")
      yield* ref.call("Keyed", "second")
      yield* TestSessions.elapse("59 seconds")
      assert.deepStrictEqual(yield* ref.state, [])
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(yield* ref.state, ["second"])
    }).pipe(provideWorker))

  it.effect("a repeating timer fires until it is cancelled, and does not keep the session alive", () =>
    Effect.gen(function*() {
      const workers = yield* Worker
      const ref = yield* workers.start("a")
      const timer = (yield* ref.call("Often")) as Session.Timer
      yield* TestSessions.elapse("35 seconds")
      assert.deepStrictEqual(yield* ref.state, ["tick", "tick", "tick"])
      yield* timer.cancel
      yield* TestSessions.elapse("35 seconds")
      assert.strictEqual((yield* ref.state).length, 3)
      yield* ref.call("Often")
      yield* TestSessions.elapse("5 minutes")
      assert.isFalse(yield* workers.has("a"))
    }).pipe(provideWorker))

  it.effect("forked work runs beside the session and is interrupted when it ends", () =>
    Effect.gen(function*() {
      log.length = 0
      const ref = yield* (yield* Worker).start("a")
      yield* ref.call("Work")
      yield* ref.call("Note", "meanwhile")
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(yield* ref.state, ["meanwhile", "worked"])
      yield* ref.end()
      assert.deepStrictEqual(log, ["interrupted"])
      const { of } = yield* TestSessions.Recorder
      assert.strictEqual((yield* of("WorkerStart")).length, 1)
      assert.deepStrictEqual((yield* of("WorkerTerminate")).map(({ outcome }) => outcome), ["interrupted"])
    }).pipe(provideWorker))

  it.effect("a failure of forked work is reported, and the session goes on", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Worker).start("a")
      yield* ref.call("Fail")
      yield* TestSessions.settle
      const [end] = yield* (yield* TestSessions.Recorder).of("WorkerTerminate")
      assert.deepInclude(end, { outcome: "failure", error: "worker failed" })
      yield* ref.call("Note", "alive")
    }).pipe(provideWorker))

  it.effect("a handler can end its session, with a detail", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Worker).start("a")
      const end = yield* Effect.forkChild(ref.awaitEnd)
      yield* TestSessions.settle
      yield* ref.call("Stop", "enough")
      assert.deepStrictEqual(yield* Fiber.join(end), { _tag: "Stopped", detail: "enough" })
    }).pipe(provideWorker))

  it.effect("user and metadata are shown to operators", () =>
    Effect.gen(function*() {
      const sessions = yield* Sessions
      const ref = yield* (yield* Worker).start("a", { user: "ada", metadata: { agent: "curl" } })
      yield* ref.call("Describe", { page: "cart" })
      assert.deepInclude(yield* sessions.inspect(ref), { user: "ada", metadata: { agent: "curl", page: "cart" } })
      assert.deepStrictEqual((yield* sessions.ofUser("ada")).map(({ id }) => id), ["a"])
      yield* ref.setUser("bob")
      assert.deepStrictEqual(yield* sessions.ofUser("ada"), [])
      yield* ref.end()
      assert.deepStrictEqual(yield* sessions.ofUser("bob"), [])
    }).pipe(provideWorker))
})

describe("scope", () => {
  it.effect("what init acquired is released once, after the end hook", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      class Holder extends Session.Service<Holder>()("Holder", { state: Schema.Void, protocol: [Rpc.make("Open")] }) {}
      const open = (name: string) =>
        Effect.acquireRelease(Effect.sync(() => log.push(`open ${name}`)), () =>
          Effect.sync(() => log.push(`close ${name}`)))
      const HolderLayer = Holder.toLayer(Holder.behavior({
        init: () =>
          Effect.asVoid(open("init")),
        handlers: { Open: () => Effect.as(open("handler"), [undefined] as const) },
        end: ({ reason }) => Effect.sync(() => log.push(reason._tag))
      }))
      yield* Effect.gen(function*() {
        const ref = yield* (yield* Holder).start("a")
        yield* ref.call("Open")
        yield* ref.end()
      }).pipe(Effect.provide(TestSessions.layer(HolderLayer)))
      assert.deepStrictEqual(log, ["open init", "open handler", "Stopped", "close handler", "close init"])
    }))

  it.effect("what only the end hook acquired is released after it", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      class Holder extends Session.Service<Holder>()("Holder", { state: Schema.Void, protocol: [] }) {}
      const HolderLayer = Holder.toLayer(Holder.behavior({
        init: () => undefined,
        handlers: {},
        end: () =>
          Effect.andThen(
            Effect.acquireRelease(Effect.void, () => Effect.sync(() => log.push("released"))),
            Effect.sync(() => log.push("end hook"))
          )
      }))
      yield* Effect.gen(function*() {
        yield* (yield* (yield* Holder).start("a")).end()
        assert.deepStrictEqual(log, ["end hook", "released"])
      }).pipe(Effect.provide(TestSessions.layer(HolderLayer)))
    }))

  it.effect("what init acquired is released when init fails", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      class Holder extends Session.Service<Holder>()("Holder", { state: Schema.Void, protocol: [] }) {}
      const HolderLayer = Holder.toLayer(Holder.behavior({
        init: () =>
          Effect.andThen(
            Effect.acquireRelease(Effect.void, () => Effect.sync(() => log.push("released"))),
            Effect.die("no luck")
          ),
        handlers: {}
      }))
      yield* Effect.gen(function*() {
        yield* Effect.flip((yield* Holder).start("a"))
        assert.deepStrictEqual(log, ["released"])
      }).pipe(Effect.provide(TestSessions.layer(HolderLayer)))
    }))

  it.effect("a defect of an end hook is reported, and affects no other session", () =>
    Effect.gen(function*() {
      class Sour extends Session.Service<Sour>()("Sour", { state: Schema.Void, protocol: [] }) {}
      const SourLayer = Sour.toLayer(Sour.behavior({
        init: () => undefined,
        handlers: {},
        end: () => Effect.die(new Error("sour"))
      }))
      yield* Effect.gen(function*() {
        const sour = yield* Sour
        yield* sour.start("a")
        assert.isTrue(yield* sour.end("a"))
        const [error] = yield* (yield* TestSessions.Recorder).of("CleanupError")
        assert.deepInclude(error, { id: "a", error: new Error("sour") })
        yield* sour.start("a")
      }).pipe(Effect.provide(TestSessions.layer(SourLayer)))
    }))
})
