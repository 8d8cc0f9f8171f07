import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Option, Result, Schema, Stream } from "effect"
import {
  Inbox,
  InboxError,
  SessionError,
  type SessionEvent,
  SessionEvents,
  type SessionsConfig,
  Supervision
} from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import { TestClock } from "effect/testing"

class Inboxes extends Inbox.Service<Inboxes>()("Inboxes", {
  kinds: {
    message: Schema.Struct({ from: Schema.String, text: Schema.String }),
    stock: Schema.Struct({ sku: Schema.String, left: Schema.Int }),
    ping: Schema.Void
  }
}) {}

type Options = Inbox.Options<typeof Inboxes["kinds"]>

const layer = (options?: Options, config?: SessionsConfig.Options) =>
  TestSessions.layer(Inbox.layer(Inboxes, options), config)

const provide = (options?: Options, config?: SessionsConfig.Options) => Effect.provide(layer(options, config))

const message = (text: string) => ({ from: "bob", text })

/** Pushes messages to ada and gives their ids. */
const pushes = (...texts: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const inboxes = yield* Inboxes
    return yield* Effect.forEach(texts, (text) =>
      Effect.map(inboxes.push("ada", "message", message(text)), ({ id }) => id))
  })

const textOf = ({ payload }: { readonly payload: unknown }) =>
  typeof payload === "object" && payload !== null && "text" in payload ? payload.text : payload

/** The texts of ada's notifications, newest first. */
const texts = Effect.flatMap(Inboxes, (inboxes) => Effect.map(inboxes.list("ada"), (all) => all.map(textOf)))

/** Collects what a stream gives in the background. */
const collect = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.map(
    TestSessions.collect(stream),
    ({ fiber, seen }) => ({ fiber, seen, texts: () => seen.map((value) => textOf(value as never)) })
  )

const session = Effect.flatMap(Inboxes.kind, (sessions) => Effect.map(sessions.start("ada"), (ref) => ref))

describe("a push", () => {
  it.effect("reaches a user who was never there, and answers the id", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      yield* TestClock.adjust("1 minute")
      const { id, isNew } = yield* inboxes.push("ada", "message", message("hi"))
      assert.isTrue(isNew)
      assert.deepStrictEqual(yield* inboxes.list("ada"), [
        { id, kind: "message", at: 60_000, readAt: null, key: null, expiresAt: null, payload: message("hi") }
      ])
      assert.strictEqual((yield* (yield* inboxes.open("ada")).info).user, "ada")
    }).pipe(provide()))

  it.effect("gives ids that count up by one, and times that do not go back", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      yield* TestClock.setTime(5_000)
      const [first, second] = yield* pushes("a", "b")
      yield* TestClock.setTime(3_000)
      const [third] = yield* pushes("c")
      assert.deepStrictEqual([second, third], [first! + 1, first! + 2])
      assert.deepStrictEqual((yield* inboxes.list("ada")).map(({ at }) => at), [5_000, 5_000, 5_000])
    }).pipe(provide()))

  it.effect("never gives an id twice, not even when the inbox was ended or reset, or the process lost it", () =>
    Effect.gen(function*() {
      let last = 0
      const grows = Effect.gen(function*() {
        for (const id of yield* pushes(...Array.from({ length: 50 }, String))) {
          assert.isAbove(id, last)
          last = id
        }
      })
      yield* Effect.gen(function*() {
        yield* grows
        yield* (yield* Inboxes.kind).end("ada")
        yield* grows
        // A payload that is none, sent past all types, so that the session is reset.
        yield* Effect.exit((yield* session).call("Push", undefined as never))
        yield* TestSessions.settle
        yield* grows
        assert.strictEqual((yield* texts).length, 50)
      }).pipe(provide({ supervision: Supervision.reset({ backoff: () => 0 }) }))
      yield* TestClock.adjust(1_000)
      yield* provide()(grows)
    }))

  it.effect("needs no payload where there is none", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      yield* inboxes.push("ada", "ping")
      yield* inboxes.push("ada", "ping", undefined, { key: "p" })
      assert.deepStrictEqual(
        (yield* inboxes.list("ada")).map(({ key, kind, payload }) => [kind, payload, key]),
        [["ping", undefined, "p"], ["ping", undefined, null]]
      )
    }).pipe(provide()))

  it.effect("is refused when the payload does not fit, before it is in the inbox, whichever way it comes", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const recorder = yield* TestSessions.Recorder
      const error = yield* Effect.flip(inboxes.push("ada", "stock", { sku: "tea", left: 1.5 }))
      assert.instanceOf(error, InboxError.InvalidNotification)
      assert.strictEqual(error.notification, "stock")
      assert.include(error.message, "left")
      assert.isFalse(error.retrySafe)
      const ref = yield* inboxes.open("ada")
      const direct = yield* Effect.flip(
        ref.call("Push", { kind: "message", payload: { from: "bob" } } as never)
      )
      assert.instanceOf(direct, InboxError.InvalidNotification)
      assert.isTrue(inboxes.pushUnsafe("ada", "stock", { sku: "tea", left: 0.5 }))
      const [event] = yield* recorder.of("CommunicationError")
      assert.instanceOf(event!.error, InboxError.InvalidNotification)
      // What fitted once is not what fits always.
      yield* inboxes.push("ada", "message", message("hi"))
      for (const [kind, payload] of [["stock", message("hi")], ["message", { text: "hi" }]] as const) {
        assert.instanceOf(
          yield* Effect.flip(inboxes.push("ada", kind, payload as never)),
          InboxError.InvalidNotification
        )
      }
      assert.deepStrictEqual(yield* texts, ["hi"])
    }).pipe(provide()))

  it.effect("fits when its schema says so, and not otherwise", () => {
    class Point extends Schema.Class<Point>("Point")({ x: Schema.Int }) {}
    const payloads = {
      text: Schema.String,
      short: Schema.String.check(Schema.isMaxLength(3)),
      flag: Schema.Boolean,
      amount: Schema.Number,
      deep: Schema.Struct({ from: Schema.Struct({ name: Schema.String }), left: Schema.Int }),
      loose: Schema.Struct({ any: Schema.Unknown, when: Schema.optionalKey(Schema.Number) }),
      open: Schema.Struct({ any: Schema.Unknown }),
      even: Schema.Struct({ n: Schema.Number }).check(Schema.makeFilter(({ n }) => n % 2 === 0)),
      record: Schema.Record(Schema.String, Schema.Boolean),
      mixed: Schema.StructWithRest(Schema.Struct({ a: Schema.String }), [Schema.Record(Schema.String, Schema.String)]),
      point: Point,
      date: Schema.DateFromString
    }
    class Any extends Inbox.Service<Any>()("Any", { kinds: payloads }) {}
    const values: ReadonlyArray<unknown> = [
      undefined,
      null,
      "abc",
      "abcd",
      1,
      Number.NaN,
      true,
      [],
      {},
      { any: undefined },
      { any: new Date(0) },
      { any: [1n] },
      { any: 1, when: "now" },
      { any: 1, when: 2 },
      { from: { name: "bob" }, left: 1 },
      { from: { name: "bob" }, left: 0.5 },
      { from: { name: 1 }, left: 1 },
      { from: null, left: 1 },
      { n: 1 },
      { n: 2 },
      { a: "a" },
      { a: "a", b: 1 },
      { a: true },
      { x: 1 },
      new Point({ x: 1 }),
      new Date(0)
    ]
    return Effect.gen(function*() {
      const any = yield* Any
      for (const [kind, schema] of Object.entries(payloads)) {
        const is = Schema.is(schema as Schema.Schema<unknown>)
        for (const value of values) {
          const pushed = yield* Effect.result(any.push("ada", kind as "text", value as string))
          // What could not be kept would take the inbox with it.
          const isKeepable = !(kind === "loose" || kind === "open") || (value as { any: unknown } | null)?.any === 1
          assert.strictEqual(Result.isSuccess(pushed), is(value) && isKeepable, `${kind} ${String(value)}`)
        }
      }
    }).pipe(Effect.provide(TestSessions.layer(Inbox.layer(Any))))
  })

  it.effect("is refused when its key is not a string, which could not be stored", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      for (const key of [5, 5n, {}, Symbol.iterator]) {
        const error = yield* Effect.flip(inboxes.push("ada", "message", message("a"), { key: key as never }))
        assert.instanceOf(error, InboxError.InvalidNotification)
      }
      assert.deepStrictEqual(yield* texts, [])
      yield* inboxes.push("ada", "message", message("b"), { key: "\u0000\ud800__proto__" })
      assert.deepStrictEqual(yield* texts, ["b"])
    }).pipe(provide()))

  it.effect("is checked each time, since its payload may have changed since the last one", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const payload = { from: "bob", text: "a" }
      yield* inboxes.push("ada", "message", payload)
      payload.text = 5 as never
      const error = yield* Effect.flip(inboxes.push("eve", "message", payload))
      assert.instanceOf(error, InboxError.InvalidNotification)
    }).pipe(provide()))

  it.effect("creates no inbox if the option `create` is `onOpen`", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const results = yield* inboxes.pushAll(["ada", "no user"], "ping")
      assert.deepStrictEqual(
        Array.from(results.values(), (result) => Result.isFailure(result) ? result.failure._tag : "pushed"),
        ["SessionNotFound", "InvalidSessionId"]
      )
      assert.strictEqual(yield* (yield* Inboxes.kind).count, 0)
      yield* inboxes.open("ada")
      yield* pushes("hi")
      assert.deepStrictEqual(yield* texts, ["hi"])
    }).pipe(provide({ create: "onOpen" })))

  it.effect("is refused when the inbox has no such notifications", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      for (const kind of ["news", "toString", "__proto__"]) {
        const error = yield* Effect.flip(inboxes.push("ada", kind as "ping"))
        assert.instanceOf(error, InboxError.InvalidNotification)
        assert.include(error.message, "known: message, stock, ping")
      }
    }).pipe(provide()))

  it.effect("is refused for what is no user", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      assert.instanceOf(yield* Effect.flip(inboxes.push("a b", "ping")), SessionError.InvalidSessionId)
      assert.instanceOf(yield* Effect.flip(inboxes.open("")), SessionError.InvalidSessionId)
      assert.instanceOf(yield* Effect.flip(inboxes.list("a b")), SessionError.InvalidSessionId)
      assert.instanceOf(
        yield* Effect.flip(Stream.runDrain(inboxes.subscribe("a/b"))),
        SessionError.InvalidSessionId
      )
    }).pipe(provide()))

  it.effect("goes to many, with a result for each", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const results = yield* inboxes.pushAll(["ada", "bob", "ada", "no one"], "message", message("hi"), { key: "k" })
      assert.deepStrictEqual(Array.from(results.keys()), ["ada", "bob", "no one"])
      const ada = results.get("ada")!
      assert(Result.isSuccess(ada) && ada.success.isNew)
      assert(Result.isFailure(results.get("no one")!))
      assert.strictEqual(yield* inboxes.unread("ada"), 1)
      assert.strictEqual(yield* inboxes.unread("bob"), 1)
    }).pipe(provide()))

  it.effect("from outside Effect reaches inboxes that are in memory, and no others", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      assert.isFalse(inboxes.pushUnsafe("ada", "message", message("lost")))
      yield* inboxes.open("ada")
      assert.isTrue(inboxes.pushUnsafe("ada", "message", message("a")))
      assert.isTrue(inboxes.pushUnsafe("ada", "message", message("b"), { expireAfter: "1 second" }))
      assert.deepStrictEqual(yield* texts, ["b", "a"])
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(yield* texts, ["a"])
    }).pipe(provide()))

  it.effect("to one more than there is room for fails with SessionLimitReached", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      yield* inboxes.push("ada", "ping")
      assert.instanceOf(yield* Effect.flip(inboxes.push("bob", "ping")), SessionError.SessionLimitReached)
      yield* inboxes.push("ada", "ping")
    }).pipe(provide({}, { maxSessions: 1 })))

  it.effect("finds an inbox again that ends before the notification gets there", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const sessions = yield* Inboxes.kind
      const events = yield* SessionEvents
      let ends = 3
      yield* events.listen(({ _tag }) => {
        if (_tag === "Start" && ends-- > 0) Effect.runFork(sessions.end("ada"))
      })
      assert.isTrue((yield* inboxes.push("ada", "message", message("hi"))).isNew)
      assert.isBelow(ends, 0)
      assert.deepStrictEqual(yield* texts, ["hi"])
    }).pipe(provide()))

  it.effect("is not counted as a start", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const results = yield* inboxes.pushAll(["a", "b", "c"], "ping")
      assert.isTrue(Array.from(results.values()).every(Result.isSuccess))
    }).pipe(provide({}, { startRate: { limit: 1, window: "1 hour" } })))

  it.effect("is published as an event while there is a listener", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const recorder = yield* TestSessions.Recorder
      yield* TestClock.setTime(7)
      const { id } = yield* inboxes.push("ada", "message", message("hi"), { key: "k", expireAfter: "1 hour" })
      yield* inboxes.push("ada", "message", message("again"), { key: "k" })
      const event: SessionEvent.Notification = {
        _tag: "Notification",
        kind: "Inboxes",
        id: "ada",
        at: 7,
        notification: "message",
        notificationId: id,
        isNew: true
      }
      assert.deepStrictEqual(yield* recorder.of("Notification"), [event, { ...event, isNew: false }])
    }).pipe(provide()))
})

describe("a key", () => {
  const push = (text: string, options?: Inbox.PushOptions) =>
    Effect.flatMap(Inboxes, (inboxes) => inboxes.push("ada", "message", message(text), { key: "k", ...options }))

  it.effect("is in the inbox once: the first one stays", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const { id } = yield* push("a")
      yield* pushes("b")
      yield* inboxes.read("ada", [id])
      assert.deepStrictEqual(yield* push("c"), { id, isNew: false })
      assert.deepStrictEqual(yield* texts, ["b", "a"])
      assert.strictEqual(yield* inboxes.unread("ada"), 1)
      // Another key is another one.
      yield* push("d", { key: "k2" })
      assert.deepStrictEqual(yield* texts, ["d", "b", "a"])
    }).pipe(provide()))

  it.effect("is replaced on demand: by one at the end, unread, with an id of its own", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const { id } = yield* push("a")
      const [b] = yield* pushes("b")
      yield* inboxes.read("ada", [id])
      assert.deepStrictEqual(yield* push("c", { onDuplicate: "replace" }), { id: b! + 1, isNew: true })
      assert.deepStrictEqual(yield* texts, ["c", "b"])
      assert.strictEqual(yield* inboxes.unread("ada"), 2)
      yield* push("d", { onDuplicate: "replace" })
      assert.deepStrictEqual(yield* texts, ["d", "b"])
      assert.strictEqual(yield* inboxes.unread("ada"), 2)
    }).pipe(provide()))

  it.effect("follows the rule of its kind, and a push may differ", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const stock = (left: number, options?: Inbox.PushOptions) =>
        inboxes.push("ada", "stock", { sku: "tea", left }, { key: "tea", ...options })
      yield* push("a")
      yield* push("b")
      yield* stock(1)
      yield* stock(2)
      assert.isFalse((yield* stock(3, { onDuplicate: "keep" })).isNew)
      const all = yield* inboxes.list("ada")
      assert.deepStrictEqual(all.map(({ payload }) => payload), [{ sku: "tea", left: 2 }, message("b")])
    }).pipe(provide({ onDuplicate: "replace", kinds: { message: { onDuplicate: "replace" } } })))

  it.effect("is free again when its notification was removed, dropped, or has expired", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const { id } = yield* push("a")
      yield* inboxes.remove("ada", [id])
      assert.isTrue((yield* push("b", { expireAfter: "1 second" })).isNew)
      yield* TestClock.adjust("1 second")
      assert.isTrue((yield* push("c")).isNew)
      yield* pushes("d", "e")
      assert.isTrue((yield* push("f")).isNew)
      assert.deepStrictEqual(yield* texts, ["f", "e"])
    }).pipe(provide({ capacity: 2 })))
})

describe("a full inbox", () => {
  it.effect("drops the oldest that is read, and the oldest when all are unread", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const ids = yield* pushes("a", "b", "c", "d")
      yield* inboxes.read("ada", [ids[1]!, ids[3]!])
      yield* pushes("e")
      assert.deepStrictEqual(yield* texts, ["e", "d", "c", "a"])
      yield* pushes("f")
      assert.deepStrictEqual(yield* texts, ["f", "e", "c", "a"])
      yield* pushes("g")
      assert.deepStrictEqual(yield* texts, ["g", "f", "e", "c"])
      assert.strictEqual(yield* inboxes.unread("ada"), 4)
      yield* inboxes.readAll("ada")
      yield* pushes("h")
      assert.deepStrictEqual(yield* texts, ["h", "g", "f", "e"])
      assert.strictEqual(yield* inboxes.unread("ada"), 1)
    }).pipe(provide({ capacity: 4 })))

  it.effect("drops the oldest, read or not, if that is wanted", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const ids = yield* pushes("a", "b", "c")
      yield* inboxes.read("ada", [ids[1]!])
      yield* pushes("d", "e")
      assert.deepStrictEqual(yield* texts, ["e", "d", "c"])
      assert.strictEqual(yield* inboxes.unread("ada"), 3)
    }).pipe(provide({ capacity: 3, whenFull: "dropOldest" })))

  it.effect("refuses more, if that is wanted, until there is room", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const recorder = yield* TestSessions.Recorder
      yield* inboxes.push("ada", "message", message("a"), { key: "k", expireAfter: "1 second" })
      yield* pushes("b")
      const error = yield* Effect.flip(inboxes.push("ada", "message", message("c")))
      assert.instanceOf(error, InboxError.InboxFull)
      assert.deepInclude(error, { kind: "Inboxes", id: "ada", capacity: 2, httpStatus: 409, retrySafe: true })
      assert.isTrue(inboxes.pushUnsafe("ada", "message", message("d")))
      assert.instanceOf((yield* recorder.of("CommunicationError"))[0]!.error, InboxError.InboxFull)
      // What takes no room is fine.
      assert.isFalse((yield* inboxes.push("ada", "message", message("e"), { key: "k" })).isNew)
      assert.deepStrictEqual(yield* texts, ["b", "a"])
      yield* TestClock.adjust("1 second")
      yield* pushes("f")
      assert.deepStrictEqual(yield* texts, ["f", "b"])
    }).pipe(provide({ capacity: 2, whenFull: "reject" })))

  it.effect("has room for the replacement of what is in it", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      yield* pushes("a")
      yield* inboxes.push("ada", "message", message("b"), { key: "k" })
      yield* inboxes.push("ada", "message", message("c"), { key: "k", onDuplicate: "replace" })
      assert.deepStrictEqual(yield* texts, ["c", "a"])
    }).pipe(provide({ capacity: 2, whenFull: "reject" })))

  it.effect("holds a hundred where nothing is said, however many come", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const ref = yield* inboxes.open("ada")
      const before: Array<Inbox.State<typeof Inboxes["kinds"]>> = []
      for (let i = 0; i < 1_000; i++) {
        yield* pushes(String(i))
        const state = yield* ref.state
        if (i % 37 === 0) before.push(state)
        assert.strictEqual(state.notifications.length, Math.min(i + 1, 100))
        assert.strictEqual(state.unread, Math.min(i + 1, 100))
      }
      assert.deepStrictEqual(yield* texts, Array.from({ length: 100 }, (_, i) => String(999 - i)))
      // An earlier state is immutable.
      before.forEach((state, i) => {
        assert.strictEqual(textOf(state.notifications.at(-1)!), String(i * 37))
        assert.strictEqual(state.notifications.length, Math.min(i * 37 + 1, 100))
      })
    }).pipe(provide()))
})

describe("a list", () => {
  const filled = Effect.gen(function*() {
    const inboxes = yield* Inboxes
    const ids: Array<number> = []
    for (const n of [1, 2, 3, 4, 5, 6]) {
      const { id } = n % 2 === 0
        ? yield* inboxes.push("ada", "stock", { sku: "tea", left: n })
        : yield* inboxes.push("ada", "message", message(`m${n}`))
      ids.push(id)
    }
    return { inboxes, ids }
  })

  it.effect("is newest first, page by page, of some kinds, of the unread ones", () =>
    Effect.gen(function*() {
      const { ids, inboxes } = yield* filled
      const numbers = (query?: Inbox.Query<"message" | "stock">) =>
        Effect.map(inboxes.list("ada", query), (all) => all.map(({ id }) => ids.indexOf(id) + 1))
      assert.deepStrictEqual(yield* numbers(), [6, 5, 4, 3, 2, 1])
      assert.deepStrictEqual(yield* numbers({ limit: 2 }), [6, 5])
      assert.deepStrictEqual(yield* numbers({ limit: 2, before: ids[4]! }), [4, 3])
      assert.deepStrictEqual(yield* numbers({ limit: 0 }), [])
      assert.deepStrictEqual(yield* numbers({ kinds: ["stock"] }), [6, 4, 2])
      assert.deepStrictEqual(yield* numbers({ kinds: [] }), [])
      yield* inboxes.read("ada", [ids[5]!, ids[0]!])
      assert.deepStrictEqual(yield* numbers({ unread: true }), [5, 4, 3, 2])
      assert.deepStrictEqual(yield* numbers({ unread: true, kinds: ["stock"], limit: 1 }), [4])
      assert.deepStrictEqual(yield* numbers({ unread: false }), [6, 5, 4, 3, 2, 1])
    }).pipe(provide()))

  it.effect("counts the unread ones, of all kinds or of some", () =>
    Effect.gen(function*() {
      const { ids, inboxes } = yield* filled
      yield* inboxes.read("ada", [ids[0]!])
      assert.strictEqual(yield* inboxes.unread("ada"), 5)
      assert.strictEqual(yield* inboxes.unread("ada", { kinds: ["message"] }), 2)
      assert.strictEqual(yield* inboxes.unread("ada", { kinds: ["stock", "message"] }), 5)
    }).pipe(provide()))

  it.effect("marks some, those up to one, or all as read, and says how many became so", () =>
    Effect.gen(function*() {
      const { ids, inboxes } = yield* filled
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* inboxes.read("ada", [ids[1]!, ids[1]!, 12]), 1)
      assert.strictEqual(yield* inboxes.read("ada", new Set([ids[1]!])), 0)
      assert.strictEqual(yield* inboxes.readUpTo("ada", ids[2]!, { kinds: ["message"] }), 2)
      assert.strictEqual(yield* inboxes.readUpTo("ada", ids[3]!), 1)
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* inboxes.readAll("ada", { kinds: ["stock"] }), 1)
      assert.strictEqual(yield* inboxes.unread("ada"), 1)
      assert.strictEqual(yield* inboxes.readAll("ada"), 1)
      assert.deepStrictEqual(
        (yield* inboxes.list("ada")).map(({ readAt }) => readAt),
        [1_000, 1_000, 500, 500, 500, 500]
      )
      // What is read stays read since then, and is no change.
      const ref = yield* inboxes.open("ada")
      const { version } = yield* ref.info
      assert.strictEqual(yield* inboxes.readAll("ada"), 0)
      assert.strictEqual((yield* ref.info).version, version)
    }).pipe(provide()))

  it.effect("loses what is removed, and says how many these were", () =>
    Effect.gen(function*() {
      const { ids, inboxes } = yield* filled
      assert.strictEqual(yield* inboxes.remove("ada", [ids[1]!, ids[2]!, 12]), 2)
      assert.strictEqual(yield* inboxes.unread("ada"), 4)
      yield* inboxes.read("ada", [ids[0]!, ids[5]!])
      assert.strictEqual(yield* inboxes.clear("ada", { read: true, kinds: ["stock"] }), 1)
      assert.strictEqual(yield* inboxes.clear("ada", { read: true }), 1)
      assert.strictEqual(yield* inboxes.clear("ada", { kinds: ["stock"] }), 1)
      assert.strictEqual(yield* inboxes.clear("ada"), 1)
      assert.strictEqual(yield* inboxes.clear("ada"), 0)
      assert.deepStrictEqual(yield* inboxes.list("ada"), [])
      assert.strictEqual(yield* inboxes.unread("ada"), 0)
      assert.strictEqual(yield* Effect.map(pushes("next"), ([id]) => id), ids[5]! + 1)
    }).pipe(provide()))

  it.effect("of a user who never got anything is empty, and starts no session", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      assert.deepStrictEqual(yield* inboxes.list("eve"), [])
      assert.deepStrictEqual(
        yield* Effect.all([
          inboxes.unread("eve"),
          inboxes.read("eve", [1]),
          inboxes.readUpTo("eve", 1),
          inboxes.readAll("eve"),
          inboxes.remove("eve", [1]),
          inboxes.clear("eve")
        ]),
        [0, 0, 0, 0, 0, 0]
      )
      assert.strictEqual(yield* (yield* Inboxes.kind).count, 0)
    }).pipe(provide()))

  it.effect("of kinds that are not there is a defect of the program", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const kinds = ["mesage"] as ReadonlyArray<string> as ReadonlyArray<"message">
      for (
        const effect of [
          inboxes.list("ada", { kinds }),
          inboxes.unread("ada", { kinds }),
          inboxes.readAll("ada", { kinds }),
          inboxes.clear("ada", { kinds }),
          Stream.runDrain(inboxes.subscribe("ada", { kinds })),
          Stream.runDrain(inboxes.unreadCounts("ada", { kinds }))
        ]
      ) {
        const exit = yield* Effect.exit(effect as Effect.Effect<unknown, unknown>)
        assert(Exit.isFailure(exit))
        const defect = Cause.squash(exit.cause)
        assert.instanceOf(defect, TypeError)
        assert.include(defect.message, "mesage")
      }
    }).pipe(provide()))
})

describe("expiry", () => {
  const push = (text: string, expireAfter?: Inbox.PushOptions["expireAfter"]) =>
    Effect.flatMap(
      Inboxes,
      (inboxes) =>
        inboxes.push("ada", "message", message(text), expireAfter === undefined ? undefined : { expireAfter })
    )

  it.effect("takes each notification away at its time", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const ref = yield* inboxes.open("ada")
      const views = yield* collect(ref.changes((state) => state.notifications.map(textOf)))
      yield* push("late", "3 seconds")
      yield* push("soon", "1 second")
      yield* push("stays")
      yield* push("next", "2 seconds")
      yield* TestSessions.elapse(999)
      assert.strictEqual(yield* inboxes.unread("ada"), 4)
      yield* TestSessions.elapse(1)
      assert.deepStrictEqual(views.seen.at(-1), ["late", "stays", "next"])
      assert.strictEqual((yield* ref.state).unread, 3)
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(views.seen.at(-1), ["late", "stays"])
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(views.seen.at(-1), ["stays"])
      assert.deepStrictEqual(yield* texts, ["stays"])
      const { alarmAt } = yield* ref.state
      assert.isNull(alarmAt)
    }).pipe(provide()))

  it.effect("is that of the push, else of its kind, else of the inbox", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const lifetimes = (kind: "message" | "stock" | "ping", options?: Inbox.PushOptions) =>
        Effect.gen(function*() {
          const payload = { message: message(""), stock: { sku: "", left: 1 }, ping: undefined }[kind]
          yield* inboxes.push("ada", kind, payload as never, options)
          return (yield* inboxes.list("ada", { limit: 1 }))[0]!.expiresAt
        })
      assert.strictEqual(yield* lifetimes("message"), 60_000)
      assert.strictEqual(yield* lifetimes("stock"), 1_000)
      assert.isNull(yield* lifetimes("ping"))
      assert.strictEqual(yield* lifetimes("stock", { expireAfter: "5 seconds" }), 5_000)
      assert.isNull(yield* lifetimes("stock", { expireAfter: "Infinity" }))
      assert.strictEqual(yield* lifetimes("ping", { expireAfter: 7 }), 7)
      // Not even what is over at once was never there.
      assert.strictEqual(yield* lifetimes("ping", { expireAfter: 0 }), 1)
      assert.strictEqual(yield* lifetimes("ping", { expireAfter: -5 }), 1)
    }).pipe(provide({
      expireAfter: "1 minute",
      kinds: { stock: { expireAfter: "1 second" }, ping: { expireAfter: "Infinity" } }
    })))

  it.effect("hides what has expired even when the alarm is late", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const ref = yield* inboxes.open("ada")
      // It wakes before the alarm, at the same time.
      const look = (then: Effect.Effect<unknown, unknown, Inboxes>) =>
        Effect.forkChild(
          Effect.andThen(
            Effect.sleep("1 second"),
            Effect.all([Effect.map(ref.state, ({ notifications }) => notifications.length), then])
          ),
          { startImmediately: true }
        )
      const { id } = yield* push("stays")
      const fiber = yield* look(Effect.all([
        Effect.raceFirst(
          Stream.runHead(inboxes.subscribe("ada", { after: id })),
          Effect.as(TestSessions.settle, Option.none())
        ),
        texts,
        inboxes.unread("ada"),
        inboxes.unread("ada", { kinds: ["message"] }),
        inboxes.remove("ada", [id + 1]),
        inboxes.readAll("ada")
      ]))
      yield* push("gone", "1 second")
      yield* push("gone too", "1 second")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(fiber), [
        3,
        [Option.none(), ["stays"], 1, 1, 0, 1]
      ])
    }).pipe(provide()))

  it.effect("sets one alarm, and sets it anew only for what expires earlier", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const ref = yield* inboxes.open("ada")
      yield* push("a", "3 seconds")
      assert.strictEqual((yield* ref.state).alarmAt, 3_000)
      yield* push("b", "5 seconds")
      assert.strictEqual((yield* ref.state).alarmAt, 3_000)
      yield* push("c", "1 second")
      assert.strictEqual((yield* ref.state).alarmAt, 1_000)
      const recorder = yield* TestSessions.Recorder
      yield* TestSessions.elapse("10 seconds")
      assert.deepStrictEqual(
        (yield* recorder.of("Cast")).map(({ at, tag }) => [tag, at]),
        [["Expire", 1_000], ["Expire", 3_000], ["Expire", 5_000]]
      )
    }).pipe(provide()))

  it.effect("goes on if the notification of the alarm is gone", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const { id } = yield* push("a", "1 second")
      yield* push("b", "2 seconds")
      yield* inboxes.remove("ada", [id])
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(yield* texts, ["b"])
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(yield* texts, [])
      yield* push("c", "1 second")
      yield* TestSessions.elapse("1 second")
      assert.strictEqual((yield* (yield* inboxes.open("ada")).state).notifications.length, 0)
    }).pipe(provide()))

  it.effect("waits for as long as it takes", () =>
    Effect.gen(function*() {
      yield* push("a", "60 days")
      yield* TestSessions.elapse("59 days")
      assert.deepStrictEqual(yield* texts, ["a"])
      yield* TestSessions.elapse("1 day")
      assert.deepStrictEqual(yield* texts, [])
    }).pipe(provide()))
})
