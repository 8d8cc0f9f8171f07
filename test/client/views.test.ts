import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Scope, Stream, SubscriptionRef } from "effect"
import type { LiveClient } from "effect-sessions/client"
import { TestClock } from "effect/testing"
import { chunk, connect, connected, errors, fail, ink, pen, settle, succeed } from "./fakes.ts"

const shown = <A>(view: LiveClient.LiveView<A>): A | undefined =>
  Option.getOrUndefined(SubscriptionRef.getUnsafe(view.state))

const total = (value: number) => [{ op: "replace", path: "", value }]

/** Collects the values of a view. */
const collect = (client: LiveClient.LiveClient<any>, view: string) =>
  Effect.gen(function*() {
    const values: Array<any> = []
    const fiber = yield* Effect.forkChild(
      Stream.runForEach(client.changes(view), (value) => Effect.sync(() => values.push(value)))
    )
    yield* settle
    return { values, fiber }
  })

describe("views", () => {
  it.effect("are mounted, decoded, and patched, and each chunk is acknowledged", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const items = yield* client.mount("items")
      const due = yield* client.mount("due")
      assert.deepStrictEqual(SubscriptionRef.getUnsafe(items.state), Option.none())
      const { id } = socket.view("items")
      assert.deepInclude(socket.view("items"), { payload: { view: "items" }, headers: [] })
      socket.take()
      socket.snapshot("items", 1, [pen])
      assert.deepStrictEqual(shown(items), [pen])
      assert.deepStrictEqual(socket.take(), [])
      yield* TestClock.adjust("50 millis")
      assert.deepStrictEqual(socket.take(), [{ _tag: "Ack", requestId: id }])
      socket.patch("items", 1, 3, [{ op: "add", path: "/1", value: ink }])
      assert.deepStrictEqual(shown(items), [pen, ink])
      socket.snapshot("due", 1, "2026-01-02T00:00:00.000Z")
      assert.deepStrictEqual(shown(due), new Date("2026-01-02T00:00:00.000Z"))
    }))

  it.effect("take several events of a chunk at once, and arrays of messages", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const { values } = yield* collect(client, "total")
      const request = socket.view("total")
      socket.say([
        chunk(
          request,
          { _tag: "snapshot", epoch: 1, version: 1, state: 1 },
          { _tag: "patch", epoch: 1, from: 1, version: 2, patch: total(2) }
        ),
        chunk(request, { _tag: "patch", epoch: 1, from: 2, version: 3, patch: total(3) })
      ])
      yield* settle
      assert.deepStrictEqual(values, [3])
      yield* TestClock.adjust("50 millis")
      assert.strictEqual(socket.take().filter(({ _tag }) => _tag === "Ack").length, 2)
    }))

  it.effect("are acknowledged after 50 ms, or 16 chunks at a time", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      yield* client.mount("total")
      const { socket } = server
      const acks = () => socket.take().filter(({ _tag }) => _tag === "Ack").length
      socket.snapshot("total", 1, 1)
      for (let version = 2; version <= 15; version++) socket.patch("total", version - 1, version, total(version))
      assert.strictEqual(acks(), 0)
      socket.patch("total", 15, 16, total(16))
      assert.strictEqual(acks(), 16)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(acks(), 0)
      socket.patch("total", 16, 17, total(17))
      yield* TestClock.adjust("49 millis")
      assert.strictEqual(acks(), 0)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(acks(), 1)
    }))

  it.effect("give the current value, then each change; a slow reader gets the newest", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const { values } = yield* collect(client, "total")
      socket.snapshot("total", 1, 1)
      yield* settle
      socket.patch("total", 1, 2, total(2))
      yield* settle
      socket.patch("total", 2, 3, total(2))
      yield* settle
      socket.patch("total", 3, 4, [])
      yield* settle
      assert.deepStrictEqual(values, [1, 2])
      const late = yield* collect(client, "total")
      assert.deepStrictEqual(late.values, [2])
      for (let i = 4; i < 9; i++) socket.patch("total", i, i + 1, total(i))
      yield* settle
      assert.deepStrictEqual(values, [1, 2, 8])
    }))

  it.effect("are mounted once, however many use them, and unmounted with the last", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const [one, two] = [yield* Scope.make(), yield* Scope.make()]
      const first = yield* Scope.provide(client.mount("total"), one)
      const second = yield* Scope.provide(client.mount("total"), two)
      const { fiber } = yield* collect(client, "total")
      const { id } = socket.view("total")
      assert.strictEqual(socket.requests("live.view").length, 1)
      socket.snapshot("total", 1, 1)
      assert.strictEqual(first.state, second.state)
      yield* Scope.close(one, Exit.void)
      yield* Scope.close(two, Exit.void)
      socket.take()
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(socket.take(), [{ _tag: "Interrupt", requestId: id }])
      socket.say(chunk({ id }, { _tag: "snapshot", epoch: 1, version: 9, state: 9 }))
      assert.deepStrictEqual(socket.take(), [])
      assert.strictEqual(shown(first), 1)
      const again = yield* client.mount("total")
      assert.deepInclude(socket.view("total"), { payload: { view: "total" } })
      assert.strictEqual(shown(again), undefined)
    }))

  it.effect("are mounted as soon as there is a connection, right behind hello", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connect()
      yield* client.mount("items")
      yield* client.mount("total")
      server.socket.open()
      assert.deepStrictEqual(server.socket.messages.map(({ payload, tag }) => [tag, payload]), [
        ["live.hello", null],
        ["live.view", { view: "items" }],
        ["live.view", { view: "total" }]
      ])
      assert.strictEqual(server.socket.frames.length, 1)
    }))
})

describe("a view after a loss", () => {
  it.effect("keeps its last value, and continues from its position", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const items = yield* client.mount("items")
      const { values } = yield* collect(client, "items")
      server.socket.snapshot("items", 7, [pen], 3)
      yield* settle
      server.socket.drop()
      assert.deepStrictEqual(shown(items), [pen])
      yield* TestClock.adjust(250)
      server.accept(3)
      assert.deepStrictEqual(server.socket.view("items").payload, { view: "items", after: { epoch: 3, version: 7 } })
      server.socket.patch("items", 7, 9, [{ op: "add", path: "/-", value: ink }], 3)
      yield* settle
      assert.deepStrictEqual(shown(items), [pen, ink])
      server.socket.drop()
      yield* TestClock.adjust(500)
      server.accept(4)
      assert.deepStrictEqual(server.socket.view("items").payload.after, { epoch: 3, version: 9 })
      server.socket.snapshot("items", 1, [], 4)
      yield* settle
      assert.deepStrictEqual(values, [[pen], [pen, ink], []])
      server.socket.patch("items", 1, 2, [{ op: "add", path: "/0", value: ink }], 4)
      assert.deepStrictEqual(shown(items), [ink])
    }))

  it.effect("stays when nothing was missed", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const { values } = yield* collect(client, "total")
      server.socket.snapshot("total", 1, 1)
      server.socket.drop()
      yield* TestClock.adjust(250)
      server.accept()
      server.socket.patch("total", 1, 1, [])
      yield* settle
      server.socket.patch("total", 1, 2, total(5))
      yield* settle
      assert.deepStrictEqual(values, [1, 5])
    }))
})

describe("a patch that does not fit", () => {
  const gaps: ReadonlyArray<readonly [string, object]> = [
    ["is of another version", { from: 2, version: 3, epoch: 1, patch: total(3) }],
    ["is of an earlier version", { from: 0, version: 3, epoch: 1, patch: total(3) }],
    ["is of another incarnation", { from: 1, version: 2, epoch: 2, patch: total(3) }],
    ["does not apply", { from: 1, version: 2, epoch: 1, patch: [{ op: "remove", path: "/a" }] }],
    ["is no patch", { from: 1, version: 2, epoch: 1, patch: null }]
  ]
  for (const [how, event] of gaps) {
    it.effect(`is not applied, and the view is mounted from scratch (it ${how})`, () =>
      Effect.gen(function*() {
        const { client, server: { socket } } = yield* connected()
        const view = yield* client.mount("total")
        const { id } = socket.view("total")
        socket.snapshot("total", 1, 1)
        socket.take()
        socket.say(
          chunk({ id }, { _tag: "patch", ...event }),
          chunk({ id }, { _tag: "patch", from: 1, version: 2, epoch: 1, patch: total(99) })
        )
        assert.strictEqual(shown(view), 1)
        const [interrupt, request, ...rest] = socket.take()
        assert.deepStrictEqual(interrupt, { _tag: "Interrupt", requestId: id })
        assert.deepInclude(request, { tag: "live.view", payload: { view: "total" } })
        assert.deepStrictEqual(rest, [])
        assert.notStrictEqual(request.id, id)
        socket.snapshot("total", 5, 5)
        socket.patch("total", 5, 6, total(6))
        assert.strictEqual(shown(view), 6)
      }))
  }

  it.effect("is mounted again after a pause if it happens again", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const view = yield* client.mount("total")
      const misfit = () => {
        socket.snapshot("total", 1, 1)
        socket.patch("total", 7, 8, total(8))
      }
      misfit()
      assert.strictEqual(socket.requests("live.view").length, 2)
      for (const [n, pause] of [2_000, 4_000, 8_000, 16_000, 30_000, 30_000].entries()) {
        misfit()
        yield* TestClock.adjust(pause - 1)
        assert.strictEqual(socket.requests("live.view").length, 2 + n)
        yield* TestClock.adjust(1)
        assert.strictEqual(socket.requests("live.view").length, 3 + n)
      }
      assert.strictEqual(shown(view), 1)
      socket.snapshot("total", 1, 1)
      socket.patch("total", 1, 2, total(2))
      assert.strictEqual(shown(view), 2)
      misfit()
      assert.strictEqual(socket.requests("live.view").length, 9, "one that fitted makes up for them")
    }))

  it.effect("is also a patch before the first snapshot", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const view = yield* client.mount("total")
      socket.patch("total", 0, 1, total(1))
      assert.strictEqual(socket.requests("live.view").length, 2)
      assert.strictEqual(shown(view), undefined)
    }))
})

describe("a view that fails", () => {
  it.effect("is an error for its readers, and is mounted again with the next connection", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const { fiber } = yield* collect(client, "items")
      server.socket.say(fail(server.socket.view("items"), errors.forbidden))
      assert.deepInclude(yield* Effect.flip(Fiber.join(fiber)), { _tag: "Forbidden", name: "items" })
      const view = yield* client.mount("items")
      server.socket.say(fail(server.socket.view("items"), errors.forbidden))
      assert.deepInclude(yield* Effect.flip(Stream.runDrain(client.changes("items"))), { _tag: "Forbidden" })
      server.socket.drop()
      yield* TestClock.adjust(250)
      server.accept()
      server.socket.snapshot("items", 1, [pen])
      assert.deepStrictEqual(shown(view), [pen])
      assert.deepStrictEqual(yield* Stream.runHead(client.changes("items")), Option.some([pen]))
    }))

  it.effect("because its session cannot be loaded now is mounted again, and its readers get no error", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const { fiber, values } = yield* collect(client, "total")
      socket.say(fail(socket.view("total"), errors.busy(1_000)))
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(socket.requests("live.view").length, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(socket.requests("live.view").length, 2)
      socket.snapshot("total", 1, 5)
      yield* settle
      assert.deepStrictEqual(values, [5])
      assert.isUndefined(fiber.pollUnsafe())
    }))

  it.effect("is mounted again with the client after the session has ended, for readers of its exits", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const seen: Array<unknown> = []
      yield* Effect.forkChild(
        Stream.runForEach(
          client.exits("total"),
          (exit) =>
            Effect.sync(() => seen.push(Exit.isSuccess(exit) ? exit.value : (Cause.squash(exit.cause) as any)._tag))
        )
      )
      yield* settle
      server.socket.snapshot("total", 1, 5)
      yield* settle
      server.socket.drop(1000, "expired")
      yield* settle
      yield* client.reconnect
      yield* settle
      assert.deepStrictEqual(seen, [5, "SessionGone"])
      server.accept(2)
      // Also when the value is the same as before.
      server.socket.snapshot("total", 1, 5, 2)
      yield* settle
      assert.deepStrictEqual(seen, [5, "SessionGone", 5])
      server.socket.say(fail(server.socket.view("total"), errors.forbidden))
      yield* settle
      server.socket.drop()
      yield* TestClock.adjust("1 second")
      server.accept(2)
      server.socket.patch("total", 1, 1, [], 2)
      yield* settle
      assert.deepStrictEqual(seen, [5, "SessionGone", 5, "Forbidden", 5])
    }))

  it.effect("dies of a value that does not fit its schema", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const { fiber } = yield* collect(client, "total")
      const { id } = socket.view("total")
      socket.take()
      socket.snapshot("total", 1, "many")
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.deepStrictEqual(socket.take(), [{ _tag: "Interrupt", requestId: id }])
    }))

  it.effect("is mounted again if the server ends it without a reason", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const view = yield* client.mount("total")
      socket.snapshot("total", 1, 1)
      socket.say(succeed(socket.view("total")))
      assert.strictEqual(socket.requests("live.view").length, 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(socket.view("total").payload, { view: "total", after: { epoch: 1, version: 1 } })
      socket.patch("total", 1, 2, total(2))
      assert.strictEqual(shown(view), 2)
    }))
})

describe("what no server should send", () => {
  const frames: ReadonlyArray<readonly [string, (view: any) => unknown]> = [
    ["null", () => null],
    ["a number", () => 7],
    ["no tag", () => ({})],
    ["a tag that nobody knows", () => ({ _tag: "Toast" })],
    ["a chunk of nothing", ({ id }) => ({ _tag: "Chunk", requestId: id })],
    ["a chunk that is no list", ({ id }) => ({ _tag: "Chunk", requestId: id, values: 7 })],
    ["an event that is none", (view) => chunk(view, null)],
    ["a chunk of an unknown request", () => chunk({ id: "999" }, { _tag: "snapshot" })],
    ["an answer of an unknown request", () => succeed({ id: "999" }, 1)],
    ["an answer to nothing", () => ({ _tag: "Exit" })],
    ["an answer that is none", (view) => ({ _tag: "Exit", requestId: view.id, exit: 7 })],
    ["deep lists", (view) => {
      let deep: any = []
      for (let i = 0; i < 3_000; i++) deep = [deep]
      return chunk(view, { _tag: "snapshot", epoch: 1, version: 1, state: deep })
    }]
  ]
  for (const [what, frame] of frames) {
    it.effect(`does not stop the client: ${what}`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected()
        const view = yield* client.mount("total")
        server.socket.snapshot("total", 1, 1)
        yield* client.cast("Clear")
        server.socket.say(frame(server.socket.view("total")))
        yield* settle
        if (SubscriptionRef.getUnsafe(client.status)._tag !== "Open") {
          yield* TestClock.adjust("1 second")
          server.accept()
          assert.strictEqual(server.socket.requests("Clear").length, 1)
        }
        yield* TestClock.adjust("1 second")
        const calling = yield* Effect.forkChild(client.call("Add", pen))
        yield* settle
        server.socket.say(succeed(server.socket.last("Clear")), succeed(server.socket.last("Add"), 1))
        assert.strictEqual(yield* Fiber.join(calling), 1)
        if (server.socket.requests("live.view").length > 0) server.socket.snapshot("total", 9, 9)
        assert.include([1, 9], shown(view))
      }))
  }

  it.effect("an answer that comes twice counts once", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const calling = yield* Effect.forkChild(client.call("Add", pen))
      yield* settle
      const request = socket.last("Add")
      socket.say(succeed(request, 1), succeed(request, 2), fail(request, errors.busy(5)))
      assert.strictEqual(yield* Fiber.join(calling), 1)
      yield* client.cast("Clear")
      assert.strictEqual(socket.requests("Clear").length, 1)
    }))
})

describe("rows", () => {
  it.effect("keep their references where nothing changed, also over a new connection", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const items = yield* client.mount("items")
      server.socket.snapshot("items", 1, [pen, ink])
      const [first, second] = shown(items)!
      server.socket.patch("items", 1, 2, [{ op: "replace", path: "/0/count", value: 9 }])
      assert.deepStrictEqual(shown(items), [{ ...pen, count: 9 }, ink])
      assert.notStrictEqual(shown(items)![0], first)
      assert.strictEqual(shown(items)![1], second)
      const before = shown(items)
      server.socket.drop()
      yield* TestClock.adjust(250)
      server.accept()
      server.socket.snapshot("items", 2, [{ ...pen, count: 9 }, ink])
      assert.strictEqual(shown(items), before)
    }))
})

describe("optimistic changes", () => {
  const plus = (by: number) => ({ optimistic: { total: (n: number) => n + by } })

  it.effect("are shown at once, and replaced by the result of the server", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const view = yield* client.mount("total")
      const { values } = yield* collect(client, "total")
      socket.snapshot("total", 1, 10)
      yield* settle
      const adding = yield* Effect.forkChild(client.call("Add", pen, plus(1)))
      yield* settle
      assert.strictEqual(shown(view), 11)
      // The change comes shortly before the answer. It does not show twice.
      socket.patch("total", 1, 2, total(11))
      yield* TestClock.adjust(49)
      assert.strictEqual(shown(view), 11)
      socket.say(succeed(socket.last("Add"), 1))
      assert.strictEqual(shown(view), 11)
      assert.strictEqual(yield* Fiber.join(adding), 1)
      yield* settle
      assert.deepStrictEqual(values, [10, 11])
    }))

  it.effect("do not hide the changes of others for long", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const view = yield* client.mount("total")
      const { values } = yield* collect(client, "total")
      socket.snapshot("total", 1, 10)
      yield* client.cast("Add", pen, plus(1))
      for (let i = 0; i < 10; i++) {
        socket.patch("total", 1 + i, 2 + i, total(20 + i))
        yield* TestClock.adjust(20)
      }
      assert.deepStrictEqual(values, [11, 23, 26, 29])
      socket.patch("total", 11, 12, total(50))
      socket.say(succeed(socket.last("Add"), 1))
      assert.strictEqual(shown(view), 50)
    }))

  it.effect("are undone when the action fails", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const view = yield* client.mount("total")
      const { values } = yield* collect(client, "total")
      socket.snapshot("total", 1, 10)
      yield* settle
      const adding = yield* Effect.forkChild(Effect.flip(client.call("Add", pen, plus(1))))
      yield* settle
      socket.say(fail(socket.last("Add"), { _tag: "OutOfStock", left: 0 }))
      assert.strictEqual(shown(view), 10)
      assert.deepInclude(yield* Fiber.join(adding), { _tag: "OutOfStock", left: 0 })
      yield* settle
      assert.deepStrictEqual(values, [10, 11, 10])
    }))

  it.effect("are folded in the order of the actions, over each value of the server", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected({}, 1)
      const view = yield* client.mount("total")
      socket.snapshot("total", 1, 10)
      yield* client.cast("Add", pen, { optimistic: { total: (n) => n * 2 } })
      yield* client.cast("Add", ink, { optimistic: { total: (n) => n + 1 } })
      assert.strictEqual(shown(view), 21)
      socket.patch("total", 1, 2, total(100))
      assert.strictEqual(shown(view), 21, "it may be what the first has done")
      yield* TestClock.adjust(50)
      assert.strictEqual(shown(view), 201)
      socket.say(succeed(socket.last("Add"), 1))
      assert.strictEqual(shown(view), 101)
      socket.say(succeed(socket.last("Add"), 1))
      assert.strictEqual(shown(view), 100)
    }))

  it.effect("work without a connection, and for a view that is mounted later", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const view = yield* client.mount("total")
      server.socket.snapshot("total", 1, 10)
      server.socket.drop()
      yield* client.cast("Add", pen, plus(5))
      assert.strictEqual(shown(view), 15)
      const { fiber } = yield* collect(client, "items")
      yield* client.cast("Clear", undefined, { optimistic: { items: () => [], due: (due) => due } })
      yield* TestClock.adjust(250)
      server.accept()
      server.socket.snapshot("items", 1, [pen])
      assert.deepStrictEqual(yield* Stream.runHead(client.changes("items")), Option.some([]))
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("are withdrawn with an action that was not sent", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const view = yield* client.mount("total")
      server.socket.snapshot("total", 1, 10)
      server.socket.drop()
      const adding = yield* Effect.forkChild(client.call("Add", pen, plus(5)))
      yield* settle
      assert.strictEqual(shown(view), 15)
      yield* Fiber.interrupt(adding)
      assert.strictEqual(shown(view), 10)
      assert.strictEqual(SubscriptionRef.getUnsafe(client.pending), 0)
    }))

  it.effect("are not shown twice after a loss, when the change comes long before the answer", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const view = yield* client.mount("total")
      const { values } = yield* collect(client, "total")
      server.socket.snapshot("total", 1, 10)
      yield* settle
      yield* client.cast("Add", pen, plus(1))
      yield* settle
      server.socket.drop()
      yield* TestClock.adjust(250)
      server.socket.open()
      server.socket.patch("total", 1, 2, total(11))
      yield* TestClock.adjust(400)
      server.socket.hello()
      yield* TestClock.adjust(400)
      assert.strictEqual(shown(view), 11)
      server.socket.say(succeed(server.socket.last("Add"), 1))
      yield* settle
      assert.deepStrictEqual([shown(view), values], [11, [10, 11]])
    }))

  it.effect("that return values that cannot be compared do no harm", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const view = yield* client.mount("total")
      socket.snapshot("total", 1, 10)
      const hostile: any = new Proxy({}, {
        ownKeys() {
          throw new Error("boom")
        },
        get(_, key) {
          if (key === Symbol.toPrimitive) return () => 1
          throw new Error("boom")
        }
      })
      yield* client.cast("Add", pen, { optimistic: { total: () => hostile } })
      yield* client.cast("Add", pen, { optimistic: { total: () => 5 } })
      assert.strictEqual(shown(view), 5)
      for (const request of socket.requests("Add")) socket.say(succeed(request, 1))
      assert.strictEqual(shown(view), 10)
    }))

  it.effect("that throw change nothing", () =>
    Effect.gen(function*() {
      const { client, server: { socket } } = yield* connected()
      const view = yield* client.mount("total")
      socket.snapshot("total", 1, 10)
      const boom = () => {
        throw new Error("boom")
      }
      yield* client.cast("Add", pen, plus(1))
      yield* client.cast("Add", pen, { optimistic: { total: boom } })
      yield* client.cast("Add", pen, plus(2))
      assert.strictEqual(shown(view), 13)
      socket.patch("total", 1, 2, total(20))
      yield* TestClock.adjust(50)
      assert.strictEqual(shown(view), 23)
    }))
})
