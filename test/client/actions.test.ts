import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream, SubscriptionRef } from "effect"
import { LiveClient } from "effect-sessions/client"
import { TestClock } from "effect/testing"
import {
  type CartLive,
  connect,
  connected,
  errors,
  fail,
  FakeServer,
  header,
  ink,
  NotesLive,
  OutOfStock,
  pen,
  settle,
  succeed
} from "./fakes.ts"

type Client = LiveClient.LiveClient<typeof CartLive>

const pendingOf = (client: Client) => SubscriptionRef.getUnsafe(client.pending)

const clientOf = (request: any) => header(request, "live-client")!

/** Answers the action of this number that was sent last. */
const answer = (server: FakeServer, sequence: number, error?: unknown) => {
  const request = server.socket.messages.findLast((message) => sequenceOf(message) === String(sequence))
  assert.isDefined(request, `there is no action ${sequence}`)
  server.socket.say(error === undefined ? succeed(request, null) : fail(request, error))
}
const sequenceOf = (message: any) => message._tag === "Request" ? header(message, "live-sequence") : undefined

/** Lets the connection break and the client come back. */
const reconnect = (server: FakeServer, epoch = 1, window = 8) =>
  Effect.gen(function*() {
    server.socket.drop()
    yield* TestClock.adjust(250)
    server.accept(epoch, window)
  })

const castAll = (client: Client, count: number) =>
  Effect.forEach(Array.from({ length: count }), () => client.cast("Clear"), { discard: true })

const calls = (client: Client, count: number) =>
  Effect.forEach(
    Array.from({ length: count }),
    () => Effect.tap(Effect.forkChild(Effect.result(client.call("Clear"))), () => settle)
  )

const clears = (...list: ReadonlyArray<number | readonly [number, boolean]>) =>
  list.map((one): readonly [string, number, boolean] =>
    typeof one === "number" ? ["Clear", one, false] : ["Clear", ...one]
  )

describe("actions", () => {
  it.effect("are not sent on a socket that is closing, but over the next socket", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      server.socket.readyState = 2
      yield* castAll(client, 2)
      assert.deepStrictEqual(server.socket.actions(), [])
      yield* reconnect(server)
      assert.deepStrictEqual(server.socket.actions(), clears([1, true], [2, true]))
    }))

  it.effect("are encoded by their schemas, and so are their answers", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const due = yield* Effect.forkChild(client.call("Due", new Date(0)))
      const clear = yield* Effect.forkChild(client.call("Clear"))
      const add = yield* Effect.forkChild(Effect.flip(client.call("Add", pen)))
      yield* settle
      const [first, second, third] = server.socket.take()
      const name = clientOf(first)
      assert.match(name, /^[0-9a-f]{32}$/)
      assert.deepStrictEqual(first, {
        _tag: "Request",
        id: first.id,
        tag: "Due",
        payload: "1970-01-01T00:00:00.000Z",
        headers: [["live-client", name], ["live-sequence", "1"], ["live-epoch", "1"]]
      })
      assert.deepInclude(second, { tag: "Clear", payload: null })
      assert.deepInclude(third, { tag: "Add", payload: pen })
      server.socket.say(
        succeed(first, "1970-01-02T00:00:00.000Z"),
        succeed(second, null),
        fail(third, { _tag: "OutOfStock", left: 3 })
      )
      assert.deepStrictEqual(yield* Fiber.join(due), new Date(86_400_000))
      assert.strictEqual(yield* Fiber.join(clear), undefined)
      const error = yield* Fiber.join(add)
      assert.isTrue(error instanceof OutOfStock && error.left === 3)
    }))

  it.effect("fail at once with a payload that does not fit, and take no number", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const error = yield* Effect.flip(client.call("Add", { sku: "pen", count: 0.5 }))
      assert.deepInclude(error, { _tag: "InvalidPayload", name: "Add" })
      assert.strictEqual((yield* Effect.flip(client.cast("Add", { sku: "pen", count: 0.5 })))._tag, "InvalidPayload")
      yield* client.cast("Clear")
      assert.deepStrictEqual(server.socket.actions(), clears(1))
    }))

  it.effect("fail with the error of the server", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      for (const error of [errors.crashed, errors.forbidden, errors.gone("Expired")]) {
        const [call] = yield* calls(client, 1)
        answer(server, server.socket.messages.filter((m) => sequenceOf(m) !== undefined).length, error)
        const result: any = yield* Fiber.join(call!)
        assert.strictEqual(result.failure._tag, error._tag)
      }
    }))

  it.effect("wait for hello", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connect()
      yield* client.cast("Clear")
      server.socket.open()
      assert.deepStrictEqual(server.socket.actions(), [])
      server.socket.hello()
      assert.deepStrictEqual(server.socket.actions(), clears(1))
    }))

  it.effect("wait without a connection, and go in order when there is one", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      server.socket.drop()
      const adding = yield* Effect.forkChild(client.call("Add", pen))
      yield* settle
      yield* client.cast("Clear")
      yield* client.cast("Add", ink)
      assert.strictEqual(pendingOf(client), 3)
      yield* TestClock.adjust(250)
      server.accept()
      assert.deepStrictEqual(server.socket.actions(), [["Add", 1, false], ["Clear", 2, false], ["Add", 3, false]])
      server.socket.say(succeed(server.socket.requests("Add")[0], 5))
      assert.strictEqual(yield* Fiber.join(adding), 5)
      assert.strictEqual(pendingOf(client), 2)
    }))

  it.effect("are sent no further ahead of the first unanswered one than the server remembers", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({}, 3)
      yield* castAll(client, 6)
      assert.deepStrictEqual(server.socket.actions(), clears(1, 2, 3))
      answer(server, 2)
      assert.deepStrictEqual(server.socket.actions(), [])
      answer(server, 1)
      assert.deepStrictEqual(server.socket.actions(), clears(4, 5))
      yield* reconnect(server, 1, 2)
      assert.deepStrictEqual(server.socket.actions(), clears([3, true], [4, true]))
    }))

  it.effect("are refused beyond the limit", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ queueLimit: 2 })
      yield* castAll(client, 2)
      assert.deepInclude(yield* Effect.flip(client.cast("Clear")), { _tag: "QueueFull", limit: 2, retrySafe: true })
      assert.deepInclude(yield* Effect.flip(client.call("Clear")), { _tag: "QueueFull" })
      answer(server, 1)
      yield* client.cast("Clear")
      assert.strictEqual(pendingOf(client), 2)
    }))

  it.effect("by default 1,000 may wait", () =>
    Effect.gen(function*() {
      const { client } = yield* connect()
      yield* castAll(client, 1_000)
      assert.strictEqual((yield* Effect.flip(client.cast("Clear")))._tag, "QueueFull")
    }))

  it.effect("are withdrawn with their callers only before they are sent", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({}, 1)
      const [sent, unsent] = yield* calls(client, 2)
      yield* client.cast("Add", pen)
      yield* Fiber.interrupt(unsent!)
      yield* Fiber.interrupt(sent!)
      assert.strictEqual(pendingOf(client), 2)
      yield* reconnect(server, 1, 1)
      assert.deepStrictEqual(server.socket.actions(), clears([1, true]))
      answer(server, 1)
      assert.deepStrictEqual(server.socket.actions(), [["Add", 2, false]])
    }))

  it.effect("stay when their callers time out", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const rejected = yield* Effect.forkChild(Stream.runHead(client.rejections))
      server.socket.drop()
      const waiting = yield* Effect.forkChild(Effect.flip(client.call("Add", pen, { timeout: "100 millis" })))
      yield* settle
      yield* TestClock.adjust(100)
      assert.deepInclude(yield* Fiber.join(waiting), { _tag: "AnswerTimeout", tag: "Add", timeout: 100 })
      assert.strictEqual(pendingOf(client), 1)
      yield* TestClock.adjust(250)
      server.accept()
      assert.deepStrictEqual(server.socket.actions(), [["Add", 1, false]])
      answer(server, 1, { _tag: "OutOfStock", left: 0 })
      const rejection: any = yield* Fiber.join(rejected)
      assert.strictEqual(rejection.value.error._tag, "OutOfStock")
    }))

  it.effect("that are answered in time do not time out", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const waiting = yield* Effect.forkChild(client.call("Clear", undefined, { timeout: "1 second" }))
      yield* TestClock.adjust(999)
      answer(server, 1)
      yield* TestClock.adjust(10)
      assert.strictEqual(yield* Fiber.join(waiting), undefined)
    }))

  it.effect("without a waiting caller report their failures", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const rejected = yield* Effect.forkChild(Stream.runCollect(Stream.take(client.rejections, 2)))
      yield* settle
      yield* client.cast("Add", pen)
      yield* client.cast("Clear")
      yield* client.cast("Due", new Date(5))
      answer(server, 1, { _tag: "OutOfStock", left: 1 })
      answer(server, 2)
      const [, , due] = server.socket.messages.filter((message) => sequenceOf(message) !== undefined)
      const defect = { _tag: "Failure", cause: [{ _tag: "Die", defect: "boom" }] }
      server.socket.say({ _tag: "Exit", requestId: due.id, exit: defect })
      const [first, second] = yield* Fiber.join(rejected)
      assert.deepInclude(first, { tag: "Add", payload: pen })
      assert.isTrue(first!.error instanceof OutOfStock)
      assert.deepInclude(second, { tag: "Due", payload: new Date(5) })
      assert.strictEqual(second!.error._tag, "Crashed")
    }))
})

describe("exactly once", () => {
  it.effect("unanswered actions are sent again in order, under the same number and incarnation", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({}, 3)
      yield* castAll(client, 4)
      const name = clientOf(server.socket.last("Clear"))
      answer(server, 1)
      yield* reconnect(server, 2, 3)
      const requests = server.socket.requests("Clear")
      assert.deepStrictEqual(server.socket.actions(), clears([2, true], [3, true], [4, true]))
      assert.deepStrictEqual(requests.map((request) => header(request, "live-epoch")), ["1", "1", "1"])
      assert.isTrue(requests.every((request) => clientOf(request) === name))
      yield* client.cast("Clear")
      answer(server, 2)
      assert.deepStrictEqual(server.socket.actions(), clears(5))
      assert.strictEqual(header(server.socket.last("Clear"), "live-epoch"), "2")
    }))

  it.effect("clients have different names", () =>
    Effect.gen(function*() {
      const names = new Set<string>()
      for (let i = 0; i < 20; i++) {
        const { client, server } = yield* connected()
        yield* client.cast("Clear")
        names.add(clientOf(server.socket.last("Clear")))
      }
      assert.strictEqual(names.size, 20)
    }))

  it.effect("Busy: all pause that long, then are sent again from that number on", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const fibers = yield* calls(client, 3)
      server.socket.take()
      answer(server, 1)
      answer(server, 2, errors.busy(1_000))
      yield* client.cast("Clear")
      assert.deepStrictEqual(server.socket.actions(), [], "nothing overtakes it")
      answer(server, 3, errors.outOfOrder(3, 2))
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(server.socket.actions(), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(server.socket.actions(), clears(2, 3, 4))
      answer(server, 2)
      answer(server, 3)
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber))._tag, "Success")
    }))

  it.effect("Busy for an action that was sent before: it may have been handled, and is still marked so", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      yield* castAll(client, 1)
      yield* reconnect(server)
      answer(server, 1, errors.busy(10))
      server.socket.take()
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(server.socket.actions(), clears([1, true]))
    }))

  it.effect("Busy for the first of all: those behind it are forgotten, and none is lost", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const fibers = yield* calls(client, 3)
      const name = clientOf(server.socket.last("Clear"))
      server.socket.take()
      answer(server, 1, errors.busy(100))
      answer(server, 2, errors.forgotten(2))
      answer(server, 3, errors.forgotten(3))
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(server.socket.actions(), clears(1, 2, 3))
      assert.notStrictEqual(clientOf(server.socket.last("Clear")), name)
      for (const i of [1, 2, 3]) answer(server, i)
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber))._tag, "Success")
    }))

  it.effect("ActionOutOfOrder: they are sent again from the expected number on", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const fibers = yield* calls(client, 3)
      server.socket.take()
      answer(server, 2, errors.outOfOrder(2, 1))
      answer(server, 3, errors.outOfOrder(3, 1))
      assert.deepStrictEqual(server.socket.actions(), [], "the first may still be accepted")
      answer(server, 1, errors.busy(0))
      assert.deepStrictEqual(server.socket.actions(), clears(1, 2, 3))
      for (const i of [1, 2, 3]) answer(server, i)
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber))._tag, "Success")
    }))

  it.effect("ActionOutOfOrder: a number that was not used goes to the next action", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const [, second, , fourth] = yield* calls(client, 4)
      answer(server, 1)
      answer(server, 2, errors.invalid)
      answer(server, 3, errors.outOfOrder(3, 2))
      server.socket.take()
      answer(server, 4, errors.outOfOrder(4, 2))
      assert.deepStrictEqual(server.socket.actions(), clears(2, 3))
      answer(server, 2)
      answer(server, 3)
      assert.strictEqual((yield* Fiber.join(second!))._tag, "Failure")
      assert.strictEqual((yield* Fiber.join(fourth!))._tag, "Success")
      yield* client.cast("Clear")
      assert.deepStrictEqual(server.socket.actions(), clears(4))
    }))

  it.effect("ActionOutOfOrder again and again: pauses grow", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      yield* castAll(client, 1)
      let sent = 0
      for (let i = 0; i < 20; i++) {
        const count = server.socket.actions().length
        sent += count
        if (count > 0) answer(server, 1, errors.outOfOrder(1, 1))
        yield* settle
      }
      assert.isBelow(sent, 5)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(server.socket.actions().length, 1)
    }))

  it.effect("Unanswered: it is sent again and waits for the same answer", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const [first] = yield* calls(client, 1)
      server.socket.take()
      for (let i = 0; i < 3; i++) {
        answer(server, 1, errors.unanswered)
        assert.deepStrictEqual(server.socket.actions(), clears([1, true]))
      }
      answer(server, 1)
      assert.strictEqual((yield* Fiber.join(first!))._tag, "Success")
    }))

  it.effect("an action that the server interrupted is sent again", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      yield* castAll(client, 1)
      const { id } = server.socket.last("Clear")
      server.socket.take()
      const exit = { _tag: "Failure", cause: [{ _tag: "Interrupt", fiberId: null }] }
      server.socket.say({ _tag: "Exit", requestId: id, exit })
      yield* TestClock.adjust(250)
      assert.deepStrictEqual(server.socket.actions(), clears([1, true]))
    }))

  it.effect("ActionForgotten for an action that was sent before is the error of the call", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const fibers = yield* calls(client, 2)
      yield* reconnect(server, 2)
      answer(server, 1, errors.forgotten(1))
      answer(server, 2, errors.forgotten(2))
      for (const fiber of fibers) {
        const result: any = yield* Fiber.join(fiber)
        assert.strictEqual(result.failure._tag, "ActionForgotten")
      }
      assert.strictEqual(server.socket.requests("Clear").length, 2)
    }))

  it.effect("ActionForgotten for an action that was sent for the first time: a new name, and numbers from 1", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({}, 2)
      yield* castAll(client, 1)
      answer(server, 1)
      const name = clientOf(server.socket.last("Clear"))
      const fibers = yield* calls(client, 3)
      server.socket.take()
      answer(server, 2, errors.forgotten(2))
      assert.deepStrictEqual(server.socket.actions(), [])
      answer(server, 3, errors.forgotten(3))
      assert.deepStrictEqual(server.socket.actions(), clears(1, 2))
      const renamed = clientOf(server.socket.last("Clear"))
      assert.notStrictEqual(renamed, name)
      answer(server, 1)
      answer(server, 2)
      answer(server, 3)
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber))._tag, "Success")
      assert.strictEqual(clientOf(server.socket.last("Clear")), renamed)
    }))

  it.effect("after a loss, actions that were certainly not handled get a new name, the others keep the old one", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const fibers = yield* calls(client, 2)
      const name = clientOf(server.socket.last("Clear"))
      yield* reconnect(server, 2)
      yield* client.cast("Add", pen)
      answer(server, 3, errors.forgotten(3))
      server.socket.take()
      assert.deepStrictEqual(server.socket.actions(), [], "the two before it are under way")
      server.socket.drop()
      yield* TestClock.adjust(500)
      server.accept(2)
      assert.deepStrictEqual(server.socket.actions(), clears([1, true], [2, true]), "nothing overtakes them")
      answer(server, 1, errors.forgotten(1))
      answer(server, 2, errors.forgotten(2))
      const [first, second, third] = server.socket.messages.filter((message) => sequenceOf(message) !== undefined)
      assert.deepStrictEqual(server.socket.actions(), [["Add", 1, false]])
      assert.deepStrictEqual([first, second, third].map((request) => clientOf(request) === name), [true, true, false])
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber))._tag, "Failure")
    }))

  it.effect("a session that is shut down or has moved: actions stay, and are sent again", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const fibers = yield* calls(client, 2)
      answer(server, 1, errors.gone("Shutdown"))
      answer(server, 2, errors.gone("Moved"))
      yield* client.cast("Clear")
      server.socket.take()
      server.socket.drop(1001, "shutdown")
      yield* TestClock.adjust(250)
      server.accept()
      assert.deepStrictEqual(server.socket.actions(), clears([1, true], [2, true], 3))
      for (const i of [1, 2, 3]) answer(server, i)
      for (const fiber of fibers) assert.strictEqual((yield* Fiber.join(fiber))._tag, "Success")
    }))

  it.effect("an action that is larger than the server accepts fails alone, before it is sent", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({}, 8, { maxFrameSize: 1_000 })
      const fits = (sku: string) => Effect.forkChild(Effect.result(client.call("Add", { sku, count: 1 })))
      const [small] = yield* calls(client, 1)
      const large = yield* Effect.flip(client.call("Add", { sku: "x".repeat(1_000), count: 1 }))
      assert.deepInclude(large, { _tag: "InvalidPayload", name: "Add" })
      assert.include(large.message, "1000 bytes")
      assert.strictEqual(
        (yield* Effect.flip(client.cast("Add", { sku: "x".repeat(1_000), count: 1 })))._tag,
        "InvalidPayload"
      )
      // Bytes count: these are 800 of them, and what is around it makes it too many; and 600.
      const wide = yield* fits("漢".repeat(300))
      const narrow = yield* fits("漢".repeat(200))
      yield* settle
      assert.strictEqual((yield* Fiber.join(wide))._tag, "Failure")
      assert.deepStrictEqual(server.socket.actions(), [["Clear", 1, false], ["Add", 2, false]])
      assert.isTrue(server.socket.frames.every((frame) => Buffer.byteLength(frame) <= 1_000))
      answer(server, 1)
      server.socket.say(succeed(server.socket.last("Add"), 1))
      assert.strictEqual((yield* Fiber.join(small!))._tag, "Success")
      assert.strictEqual((yield* Fiber.join(narrow))._tag, "Success")
      assert.strictEqual(pendingOf(client), 0)
    }))

  it.effect("an action that waits for a connection fails alone if it is larger than the server then accepts", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connect()
      const large = yield* Effect.forkChild(Effect.flip(client.call("Add", { sku: "x".repeat(1_000), count: 1 })))
      yield* settle
      yield* client.cast("Clear")
      server.socket.open().hello(1, 8, null, { maxFrameSize: 1_000 })
      assert.deepInclude(yield* Fiber.join(large), { _tag: "InvalidPayload", name: "Add" })
      assert.deepStrictEqual(server.socket.actions(), clears(1))
    }))

  it.effect("an action that was sent before and is now too large may have been handled or not", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const large = yield* Effect.forkChild(Effect.flip(client.call("Add", { sku: "x".repeat(1_000), count: 1 })))
      yield* settle
      server.socket.drop()
      yield* TestClock.adjust(250)
      server.socket.open().hello(1, 8, null, { maxFrameSize: 1_000 })
      assert.strictEqual((yield* Fiber.join(large))._tag, "ActionForgotten")
    }))

  it.effect("a frame that is too large for the server: actions are sent one at a time, until the cause is found", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const wide = yield* Effect.forkChild(Effect.flip(client.call("Add", { sku: "漢".repeat(30_000), count: 1 })))
      const [small] = yield* calls(client, 1)
      const long = yield* Effect.forkChild(client.call("Add", { sku: "x".repeat(40_000), count: 1 }))
      yield* settle
      server.socket.take()
      server.socket.drop(1009)
      yield* settle
      assert.strictEqual(pendingOf(client), 3, "nobody knows which")
      yield* TestClock.adjust(250)
      server.accept()
      assert.deepStrictEqual(server.socket.actions(), [["Add", 1, true]])
      server.socket.drop(1009)
      assert.deepInclude(yield* Fiber.join(wide), { _tag: "InvalidPayload", name: "Add" })
      yield* TestClock.adjust(500)
      server.accept()
      assert.deepStrictEqual(server.socket.actions(), clears([2, true]))
      // The number of the first was not used.
      answer(server, 2, errors.outOfOrder(2, 1))
      assert.strictEqual(server.socket.actions().length, 1, "the other is suspected, too")
      answer(server, 1)
      assert.strictEqual((yield* Fiber.join(small!))._tag, "Success")
      server.socket.say(succeed(server.socket.last("Add"), 3))
      assert.strictEqual(yield* Fiber.join(long), 3)
      yield* castAll(client, 2)
      assert.strictEqual(server.socket.requests("Clear").length, 4, "from here on together again")
    }))

  it.effect("an action for which the server closes the connection again and again is given up, and the others go on", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const [poison, other] = yield* calls(client, 2)
      for (let i = 0; i < 4; i++) {
        server.socket.drop(1011, "the message could not be handled")
        yield* TestClock.adjust(250 * 2 ** i)
        server.accept()
      }
      const result: any = yield* Fiber.join(poison!)
      assert.strictEqual(result.failure._tag, "ActionForgotten")
      assert.deepStrictEqual(server.socket.actions(), clears([2, true]))
      answer(server, 2)
      assert.strictEqual((yield* Fiber.join(other!))._tag, "Success")
    }))

  it.effect("an action that cannot be written as JSON fails alone, at once", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      const client = yield* LiveClient.make(NotesLive, { url: "ws://notes" }).pipe(Effect.provide(server.layer))
      server.accept()
      let deep: any = 1
      for (let i = 0; i < 20_000; i++) deep = [deep]
      const cyclic: any = {}
      cyclic.self = cyclic
      for (
        const payload of [deep, cyclic, { n: 1n }, {
          toJSON: () => {
            throw new Error("boom")
          }
        }]
      ) {
        const error = yield* Effect.flip(client.call("Note", payload))
        assert.deepInclude(error, { _tag: "InvalidPayload", name: "Note" })
        assert.strictEqual((yield* Effect.flip(client.cast("Note", payload)))._tag, "InvalidPayload")
      }
      server.socket.take()
      yield* client.cast("Note", 1)
      assert.deepStrictEqual(server.socket.actions(), [["Note", 1, false]])
      assert.strictEqual(SubscriptionRef.getUnsafe(client.pending), 1)
    }))

  it.effect("messages are sent in frames of moderate size", () =>
    Effect.gen(function*() {
      for (const sku of ["x".repeat(6_000), "é".repeat(3_000), "漢".repeat(2_000), "😀".repeat(1_500)]) {
        const { client, server } = yield* connect()
        for (let i = 0; i < 8; i++) yield* client.cast("Add", { sku, count: 1 })
        server.accept()
        assert.strictEqual(server.socket.requests("Add").length, 8)
        assert.isTrue(server.socket.frames.every((frame) => Buffer.byteLength(frame) <= 16_384))
        assert.isBelow(server.socket.frames.length, 7)
      }
    }))
})
