import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, HashMap, Latch, Layer, Option, Scheduler, Schema, Scope, Stream } from "effect"
import { Bag, EndReason, Presence, PresenceError, SessionError, Sessions, Supervision } from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import { TestClock } from "effect/testing"

class Shoppers extends Presence.Service<Shoppers>()("Shoppers", {
  meta: Schema.Struct({ name: Schema.String })
}) {}

type Meta = { readonly name: string }
type Event = Presence.Event<Meta>

const test = (options?: Presence.Options) => Effect.provide(TestSessions.layer(Presence.layer(Shoppers, options)))

const ada = { name: "Ada" }
const bob = { name: "Bob" }

/** Tracks in a Scope of its own, which `close` closes. */
const track = (key: string, meta: Meta, device?: string, topic = "shop") =>
  Effect.gen(function*() {
    const shoppers = yield* Shoppers
    const scope = yield* Scope.make()
    const tracked = yield* Scope.provide(shoppers.track(topic, key, meta, { device }), scope)
    return { tracked, close: Scope.close(scope, Exit.void) }
  })

/** The events that a reader of a topic has got so far. */
const follow = (topic = "shop", options?: Presence.ChangesOptions) =>
  Effect.gen(function*() {
    const shoppers = yield* Shoppers
    const events: Array<Event> = []
    const fiber = yield* Effect.forkChild(
      Stream.runForEach(shoppers.changes(topic, options), (event) => Effect.sync(() => events.push(event)))
    )
    yield* TestSessions.settle
    return { events, fiber, stop: Fiber.interrupt(fiber) }
  })

/** An event in one line. */
const line = (event: Event): string =>
  event._tag === "List"
    ? `List ${keys(event.present)}`
    : [
      event._tag,
      `${event.key}/${event.device}`,
      ...(event._tag === "Join" && event.first ? ["first"] : []),
      ...(event._tag === "Leave" && event.last ? ["last"] : [])
    ].join(" ")

const keys = (present: ReadonlyArray<Presence.Present<Meta>>): string =>
  present.flatMap(({ devices, key }) => devices.map(({ device }) => `${key}/${device}`)).sort().join(" ")

const listed = (topic = "shop") => Effect.map(Effect.flatMap(Shoppers, (shoppers) => shoppers.list(topic)), keys)

/** Who is present now. */
const now = Effect.map(
  Effect.flatMap(Shoppers, (shoppers) => shoppers.list("shop")),
  (present) => present.toSorted((a, b) => (a.key < b.key ? -1 : 1))
)

/** Who is present according to these events. */
const replay = (events: ReadonlyArray<Event>) =>
  Array.from(HashMap.values(events.reduce(Presence.apply<Meta>, HashMap.empty<string, Presence.Present<Meta>>())))
    .sort((a, b) => (a.key < b.key ? -1 : 1))

const topics = Effect.map(Sessions, (sessions) => ({
  has: Effect.map(sessions.find({ kind: "Shoppers", id: "shop" }), Option.isSome)
}))

/** What a tracker in another process would tell a topic; it vanishes by telling nothing. */
const otherOf = Effect.fnUntraced(function*(name: string) {
  const topic = yield* (yield* Shoppers.kind).start(name)
  const trackings = new Map<number, Presence.Tracking>()
  const owner = "other"
  return {
    track(id: number, key: string, meta: Meta, device: string, revision = id) {
      const tracking = { id, key, device, meta, revision, since: null }
      trackings.set(id, tracking)
      return topic.call("Track", { owner, tracking })
    },
    untrack: (id: number) => topic.call("Untrack", { owner, id, grace: true }),
    /** Does the topic know nothing of it? */
    isUnknown: topic.call("Renew", { owner, count: 0, digest: 0 }),
    sync: Effect.suspend(() => topic.call("Sync", { owner, trackings: Array.from(trackings.values()), grace: false })),
    release: topic.call("Sync", { owner, trackings: [], grace: true })
  }
})

const other = otherOf("shop")

/** Its topics crash when metadata with the name Boom is compared. */
class Brittle extends Presence.Service<Brittle>()("Brittle", {
  meta: Schema.Struct({ name: Schema.String }).pipe(Schema.overrideToEquivalence(() => (a, b) => {
    if (b.name === "Boom") throw new Error("boom")
    return a.name === b.name
  }))
}) {}

const fragile = <A, E>(
  effect: Effect.Effect<A, E, Brittle | Sessions | Scope.Scope>,
  options?: Presence.Options
) =>
  Effect.provide(
    effect,
    TestSessions.layer(
      Presence.layer(Brittle, { supervision: Supervision.reset({ backoff: () => "6 seconds" }), ...options })
    )
  )

/** Has the topic crash, which pauses then for 6 seconds before it is reset. */
const crashed = Effect.gen(function*() {
  const brittle = yield* Brittle
  const scope = yield* Scope.make()
  const tracked = yield* Scope.provide(brittle.track("shop", "ada", ada, { device: "phone" }), scope)
  yield* TestSessions.settle
  yield* tracked.update({ name: "Boom" })
  return { tracked }
})

/** Has the topic crash for another tracker, which pauses it, and is not known by it then. */
const heldUp = Effect.gen(function*() {
  const topic = yield* (yield* Brittle).topic("shop")
  const tracking = { id: 1, key: "bob", device: "phone", meta: { name: "Boom" }, revision: 1, since: null }
  yield* Effect.forkChild(Effect.ignore(topic.call("Track", { owner: "other", tracking })))
  yield* TestSessions.settle
  assert.strictEqual((yield* topic.info).status, "recovering")
})

describe("Presence", () => {
  it.effect("lists who is tracked", () =>
    test()(Effect.gen(function*() {
      const shoppers = yield* Shoppers
      yield* TestClock.setTime(1000)
      yield* track("ada", ada, "phone")
      yield* TestClock.setTime(2000)
      yield* track("ada", ada, "desk")
      yield* track("bob", bob, "phone")
      const devices = [{ device: "phone", since: 1000, meta: ada }, { device: "desk", since: 2000, meta: ada }]
      assert.deepStrictEqual(yield* shoppers.get("shop", "ada"), Option.some({ key: "ada", devices }))
      assert.deepStrictEqual(yield* shoppers.get("shop", "eve"), Option.none())
      assert.strictEqual(yield* shoppers.count("shop"), 2)
      assert.strictEqual(yield* listed(), "ada/desk ada/phone bob/phone")
    })))

  it.effect("gives a list first, then each change in order", () =>
    test()(Effect.gen(function*() {
      yield* track("eve", ada, "tv")
      const { events } = yield* follow()
      const phone = yield* track("ada", ada, "phone")
      const desk = yield* track("ada", ada, "desk")
      yield* desk.tracked.update(bob)
      yield* phone.tracked.leave
      yield* desk.tracked.leave
      yield* TestSessions.settle
      assert.deepStrictEqual(events.map(line), [
        "List eve/tv",
        "Join ada/phone first",
        "Join ada/desk",
        "Update ada/desk",
        "Leave ada/phone",
        "Leave ada/desk last"
      ])
      assert.deepStrictEqual((events[3] as Presence.Update<Meta>).meta, bob)
      assert.deepStrictEqual((events[5] as Presence.Leave<Meta>).meta, bob)
    })))

  it.effect("stays for the grace when the Scope closes, and then leaves", () =>
    test()(Effect.gen(function*() {
      const { events } = yield* follow()
      const { close } = yield* track("ada", ada, "phone")
      yield* close
      yield* TestSessions.elapse("4999 millis")
      assert.strictEqual(yield* listed(), "ada/phone")
      yield* TestSessions.elapse("1 millis")
      assert.strictEqual(yield* listed(), "")
      assert.deepStrictEqual(events.map(line), ["List ", "Join ada/phone first", "Leave ada/phone last"])
    })))

  it.effect("emits nothing for a reload within the grace", () =>
    test()(Effect.gen(function*() {
      const shoppers = yield* Shoppers
      const { events } = yield* follow()
      const before = yield* track("ada", ada, "phone")
      yield* before.close
      yield* TestSessions.elapse("3 seconds")
      const again = yield* track("ada", { ...ada }, "phone")
      yield* TestSessions.elapse("1 minute")
      const { devices } = Option.getOrThrow(yield* shoppers.get("shop", "ada"))
      assert.strictEqual(devices[0]!.since, 0)
      assert.deepStrictEqual(events.map(line), ["List ", "Join ada/phone first"])
      yield* again.close
      yield* TestSessions.elapse("3 seconds")
      // It came with news.
      yield* track("ada", bob, "phone")
      yield* TestSessions.elapse("1 minute")
      assert.deepStrictEqual(events.slice(2).map(line), ["Update ada/phone"])
    })))

  it.effect("counts the grace from the last time that the device was left", () =>
    test()(Effect.gen(function*() {
      yield* (yield* track("ada", ada, "phone")).close
      yield* TestSessions.elapse("4 seconds")
      yield* (yield* track("ada", ada, "phone")).close
      yield* TestSessions.elapse("4 seconds")
      assert.strictEqual(yield* listed(), "ada/phone")
      yield* TestSessions.elapse("1 seconds")
      assert.strictEqual(yield* listed(), "")
    })))

  it.effect("joins anew after the grace", () =>
    test()(Effect.gen(function*() {
      const shoppers = yield* Shoppers
      const { events } = yield* follow()
      yield* (yield* track("ada", ada, "phone")).close
      yield* TestSessions.elapse("5 seconds")
      yield* track("ada", ada, "phone")
      yield* TestSessions.settle
      assert.deepStrictEqual(events.slice(1).map(line), [
        "Join ada/phone first",
        "Leave ada/phone last",
        "Join ada/phone first"
      ])
      assert.strictEqual(Option.getOrThrow(yield* shoppers.get("shop", "ada")).devices[0]!.since, 5000)
    })))

  it.effect("leaves at once by hand, and with a grace of zero", () =>
    test({ grace: 0 })(Effect.gen(function*() {
      yield* (yield* track("ada", ada, "phone")).close
      assert.strictEqual(yield* listed(), "")
    })).pipe(Effect.andThen(
      test()(Effect.gen(function*() {
        const { close, tracked } = yield* track("ada", ada, "phone")
        yield* tracked.leave
        assert.strictEqual(yield* listed(), "")
        const again = yield* track("ada", ada, "phone")
        // What the first does from here on is nothing.
        yield* tracked.leave
        yield* tracked.update(bob)
        yield* close
        assert.strictEqual(yield* listed(), "ada/phone")
        assert.deepStrictEqual((yield* (yield* Shoppers).list("shop"))[0]!.devices[0]!.meta, ada)
        yield* again.tracked.leave
        assert.strictEqual(yield* listed(), "")
      }))
    )))

  it.effect("is one device with two tabs, and leaves with the last", () =>
    test()(Effect.gen(function*() {
      const { events } = yield* follow()
      const one = yield* track("ada", ada, "phone")
      const two = yield* track("ada", ada, "phone")
      yield* one.tracked.leave
      yield* TestSessions.elapse("1 minute")
      assert.strictEqual(yield* listed(), "ada/phone")
      yield* two.close
      yield* TestSessions.elapse("5 seconds")
      assert.deepStrictEqual(events.map(line), ["List ", "Join ada/phone first", "Leave ada/phone last"])
    })))

  it.effect("gives a device a name of its own when it has none", () =>
    test()(Effect.gen(function*() {
      const one = yield* track("ada", ada)
      const two = yield* track("ada", ada)
      assert.notStrictEqual(one.tracked.device, two.tracked.device)
      assert.strictEqual(yield* (yield* Shoppers).count("shop"), 1)
      const { devices } = Option.getOrThrow(yield* (yield* Shoppers).get("shop", "ada"))
      assert.deepStrictEqual(
        devices.map(({ device }) => device).sort(),
        [one.tracked.device, two.tracked.device].sort()
      )
    })))

  it.effect("takes a grace that is longer than topics live else", () =>
    test({ grace: "10 minutes" })(Effect.gen(function*() {
      yield* (yield* track("ada", ada, "phone")).close
      yield* TestSessions.elapse("599 seconds")
      assert.strictEqual(yield* listed(), "ada/phone")
      yield* TestSessions.elapse("1 seconds")
      assert.strictEqual(yield* listed(), "")
    })))

  it.effect("emits nothing for an update that changes nothing", () =>
    test()(Effect.gen(function*() {
      const { events } = yield* follow()
      const { tracked } = yield* track("ada", ada, "phone")
      yield* tracked.update({ name: "Ada" })
      yield* TestSessions.settle
      assert.strictEqual(events.length, 2)
    })))

  it.effect("keeps topics apart", () =>
    test()(Effect.gen(function*() {
      const { events } = yield* follow("attic")
      yield* track("ada", ada, "phone", "shop")
      yield* TestSessions.settle
      assert.strictEqual(yield* listed("attic"), "")
      assert.deepStrictEqual(events.map(line), ["List "])
    })))

  it.effect("refuses malformed topics, keys and devices", () =>
    test()(Effect.gen(function*() {
      const shoppers = yield* Shoppers
      const refused = (topic: string, key: string, device?: string) =>
        Effect.map(
          Effect.flip(Effect.scoped(shoppers.track(topic, key, ada, { device }))),
          (error) => error._tag === "InvalidPresence" ? error.field : error._tag
        )
      assert.strictEqual(yield* refused("a b", "ada"), "InvalidSessionId")
      assert.strictEqual(yield* refused("shop", ""), "key")
      assert.strictEqual(yield* refused("shop", "a\nb"), "key")
      assert.strictEqual(yield* refused("shop", "a".repeat(257)), "key")
      assert.strictEqual(yield* refused("shop", "ada", ""), "device")
      assert.strictEqual(yield* refused("shop", "ada", "\u0000"), "device")
      assert.strictEqual((yield* Effect.flip(shoppers.list("a b")))._tag, "InvalidSessionId")
      assert.strictEqual((yield* Effect.flip(shoppers.get("a b", "ada")))._tag, "InvalidSessionId")
      assert.strictEqual((yield* Effect.flip(shoppers.count("a b")))._tag, "InvalidSessionId")
      assert.strictEqual((yield* Effect.flip(shoppers.topic("a b")))._tag, "InvalidSessionId")
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(shoppers.changes("a b"))))._tag, "InvalidSessionId")
      assert.throws(() => shoppers.changes("shop", { bufferSize: 0 }), RangeError)
      // Nothing was started for any of them.
      assert.strictEqual((yield* (yield* Sessions).count).count, 0)
      const error = PresenceError.InvalidPresence.of("key", "x".repeat(300))
      assert.strictEqual(error.httpStatus, 400)
      assert.isFalse(error.retrySafe)
      assert.isBelow(error.message.length, 160)
    })))

  for (
    const [setting, options] of [
      ["lease", { lease: "10 millis" }],
      ["lease", { lease: "Infinity" }],
      ["grace", { grace: -1 }],
      ["grace", { grace: "Infinity" }],
      ["idleTimeout", { idleTimeout: "30 seconds" }],
      ["idleTimeout", { grace: "1 hour", idleTimeout: "59 minutes" }],
      ["mailboxCapacity", { mailboxCapacity: 0 }]
    ] satisfies ReadonlyArray<readonly [string, Presence.Options]>
  ) {
    it.effect(`refuses ${JSON.stringify(options)}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          Effect.scoped(Layer.build(TestSessions.layer(Presence.layer(Shoppers, options))))
        )
        assert.instanceOf(error, SessionError.InvalidConfig)
        assert.strictEqual(error.setting, `Shoppers.${setting}`)
      }))
  }

  it.effect("finds nobody in a topic that is not live, and does not start it", () =>
    test()(Effect.gen(function*() {
      const shoppers = yield* Shoppers
      assert.deepStrictEqual(yield* shoppers.list("shop"), [])
      assert.deepStrictEqual(yield* shoppers.get("shop", "ada"), Option.none())
      assert.strictEqual(yield* shoppers.count("shop"), 0)
      assert.strictEqual((yield* (yield* Sessions).count).count, 0)
    })))

  it.effect("reads a topic without its messages, and shows it to live views", () =>
    test()(Effect.gen(function*() {
      const shoppers = yield* Shoppers
      yield* track("ada", ada, "phone")
      const ref = yield* shoppers.topic("shop")
      assert.strictEqual(ref.kind, "Shoppers")
      assert.strictEqual(ref.id, "shop")
      const state = yield* ref.state
      assert.strictEqual(Presence.count(state), 1)
      assert.strictEqual(keys(Presence.list(state)), "ada/phone")
      assert.isTrue(Option.isSome(Presence.get(state, "ada")))
      assert.isTrue(Schema.is(Schema.Array(Shoppers.present))(Presence.list(state)))
      assert.isTrue(Schema.is(Shoppers.kind.state)(state))
      assert.strictEqual((yield* (yield* Shoppers.kind).ref("shop").state).present, state.present)
    })))

  it.effect("does not count the starts of topics", () =>
    Effect.gen(function*() {
      for (const topic of ["a", "b", "c"]) yield* track("ada", ada, "phone", topic)
      assert.strictEqual((yield* (yield* Sessions).count).kinds["Shoppers"], 3)
    }).pipe(
      Effect.provide(TestSessions.layer(Presence.layer(Shoppers), { startRate: { limit: 1, window: "1 minute" } }))
    ))

  it.effect("fails with a typed error when the topic cannot be started, and leaves nothing behind", () =>
    Effect.gen(function*() {
      yield* track("ada", ada, "phone", "one")
      const error = yield* Effect.flip(track("ada", ada, "phone", "two"))
      assert.strictEqual(error._tag, "SessionLimitReached")
      const shoppers = yield* Shoppers
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(shoppers.changes("two"))))._tag, "SessionLimitReached")
      yield* (yield* Sessions).end({ kind: "Shoppers", id: "one" })
      yield* TestSessions.elapse("1 minute")
      // The first is there again; the second was not tracked, so nothing brings it.
      assert.strictEqual(yield* listed("one"), "ada/phone")
      assert.strictEqual(yield* listed("two"), "")
    }).pipe(Effect.provide(TestSessions.layer(Presence.layer(Shoppers), { maxSessions: 1 }))))

  describe("lifetime of topics", () => {
    it.effect("lives as long as a key is present, and expires after", () =>
      test()(Effect.gen(function*() {
        const { has } = yield* topics
        const { close } = yield* track("ada", ada, "phone")
        const { epoch } = yield* (yield* (yield* Shoppers).topic("shop")).info
        yield* TestSessions.elapse("3 hours")
        assert.strictEqual((yield* (yield* (yield* Shoppers).topic("shop")).info).epoch, epoch)
        yield* close
        yield* TestSessions.elapse("4 minutes")
        assert.isTrue(yield* has)
        yield* TestSessions.elapse("2 minutes")
        assert.isFalse(yield* has)
      })))

    it.effect("lives as long as it has a reader, and expires after", () =>
      test()(Effect.gen(function*() {
        const { has } = yield* topics
        const { events, stop } = yield* follow()
        yield* TestSessions.elapse("3 hours")
        assert.isTrue(yield* has)
        assert.deepStrictEqual(events.map(line), ["List "])
        yield* stop
        yield* TestSessions.elapse("6 minutes")
        assert.isFalse(yield* has)
      })))

    it.effect("is watched once by a process, however many it tracks and follow it there, and no longer than that", () =>
      test()(Effect.gen(function*() {
        const watchers = Effect.map(
          Effect.flatMap(Effect.flatMap(Shoppers, (shoppers) => shoppers.topic("shop")), (ref) => ref.info),
          (info) => info.watchers
        )
        const one = yield* track("ada", ada, "phone")
        const two = yield* track("bob", bob, "phone")
        const reader = yield* follow()
        assert.strictEqual(yield* watchers, 1)
        yield* one.close
        yield* two.close
        yield* reader.stop
        yield* TestSessions.elapse("20 seconds")
        assert.strictEqual(yield* watchers, 0)
      })))
  })

  describe("Scopes", () => {
    it.effect("leaves nothing in a Scope of which it left by hand", () =>
      test()(Effect.gen(function*() {
        const shoppers = yield* Shoppers
        const scope = yield* Scope.make()
        for (let i = 0; i < 10; i++) {
          const tracked = yield* Scope.provide(shoppers.track("shop", "ada", ada), scope)
          yield* tracked.leave
        }
        assert.isTrue(scope.state._tag === "Empty" || (scope.state._tag === "Open" && !scope.state.finalizers?.size))
      })))

    it.effect("is not tracked in a Scope that has closed", () =>
      test({ grace: 0 })(Effect.gen(function*() {
        const shoppers = yield* Shoppers
        const scope = yield* Scope.make()
        yield* Scope.close(scope, Exit.void)
        yield* Scope.provide(shoppers.track("shop", "ada", ada), scope)
        assert.strictEqual(yield* listed(), "")
        yield* TestSessions.elapse("1 minute")
        assert.strictEqual(yield* listed(), "")
      })))

    it.effect("leaves nothing behind when tracking is interrupted while the topic is held up", () =>
      fragile(Effect.gen(function*() {
        const brittle = yield* Brittle
        yield* crashed
        // The topic pauses now: who tracks waits for its answer.
        const scope = yield* Scope.make()
        const fiber = yield* Effect.forkChild(Scope.provide(brittle.track("shop", "bob", bob), scope))
        yield* TestSessions.settle
        assert.isUndefined(fiber.pollUnsafe())
        yield* Fiber.interrupt(fiber)
        yield* TestSessions.elapse("1 minute")
        assert.strictEqual(keys(yield* brittle.list("shop")), "ada/phone")
        assert.strictEqual(scope.state._tag, "Empty")
      })))

    it.effect("leaves nothing behind when tracking is interrupted while the topic starts", () =>
      test()(Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(track("ada", ada, "phone"), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
        yield* TestSessions.settle
        assert.strictEqual(yield* listed(), "")
        yield* TestSessions.elapse("1 minute")
        assert.strictEqual(yield* listed(), "")
      })))

    it.effect("waits no longer than calls do, and is not there later", () =>
      fragile(Effect.gen(function*() {
        const brittle = yield* Brittle
        yield* crashed
        const fiber = yield* Effect.forkChild(Effect.flip(Effect.scoped(brittle.track("shop", "bob", bob))))
        yield* TestSessions.settle
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "CallTimeout")
        yield* TestSessions.elapse("1 minute")
        assert.strictEqual(keys(yield* brittle.list("shop")), "ada/phone")
      })))
  })

  describe("leases", () => {
    it.effect("those of a process that vanished leave when its lease is over, and not before", () =>
      test()(Effect.gen(function*() {
        const shoppers = yield* Shoppers
        const { isUnknown, sync, track: trackOther } = yield* other
        const { events } = yield* follow()
        yield* track("ada", ada, "phone")
        yield* trackOther(1, "bob", bob, "phone")
        yield* trackOther(2, "ada", ada, "phone")
        yield* trackOther(3, "ada", ada, "tv")
        yield* TestSessions.elapse("20 seconds")
        assert.isFalse(yield* isUnknown)
        yield* TestSessions.elapse("29999 millis")
        assert.strictEqual(yield* shoppers.count("shop"), 2)
        yield* TestSessions.elapse("1 millis")
        assert.strictEqual(yield* listed(), "ada/phone")
        assert.deepStrictEqual(events.slice(4).map(line), ["Leave bob/phone last", "Leave ada/tv"])
        assert.isTrue(yield* isUnknown)
        // It was only away, and says so.
        yield* sync
        assert.strictEqual(yield* listed(), "ada/phone ada/tv bob/phone")
      })))

    it.effect("says that it is there once for each topic, not for each key", () =>
      test({ lease: "30 seconds" })(Effect.gen(function*() {
        for (let i = 0; i < 50; i++) yield* track(`user-${i}`, ada)
        yield* track("ada", ada, "phone", "attic")
        yield* TestSessions.settle
        const calls = Effect.map((yield* Sessions).stats, ({ totals }) => totals["Shoppers"]!.calls)
        const before = yield* calls
        yield* TestSessions.elapse("30 seconds")
        assert.strictEqual((yield* calls) - before, 6)
      })))

    it.effect("gives those a chance who could not say it because the topic was held up", () =>
      fragile(
        Effect.gen(function*() {
          const brittle = yield* Brittle
          const events: Array<Event> = []
          yield* Effect.forkChild(
            Stream.runForEach(brittle.changes("shop"), (event) => Effect.sync(() => events.push(event)))
          )
          const scope = yield* Scope.make()
          yield* Scope.provide(brittle.track("shop", "ada", ada, { device: "phone" }), scope)
          yield* TestSessions.settle
          const { length } = events
          const tracking = { id: 1, key: "ada", device: "phone", meta: { name: "Boom" }, revision: 1, since: null }
          yield* Effect.forkChild(
            Effect.ignore((yield* brittle.topic("shop")).call("Track", { owner: "other", tracking }))
          )
          yield* TestSessions.settle
          assert.strictEqual((yield* (yield* brittle.topic("shop")).info).status, "recovering")
          yield* TestSessions.elapse("10 minutes")
          assert.strictEqual(keys(yield* brittle.list("shop")), "ada/phone")
          assert.strictEqual(events.length, length)
          // What vanished meanwhile leaves nevertheless.
          const gone = { ...tracking, key: "eve", meta: ada }
          yield* (yield* brittle.topic("shop")).call("Track", { owner: "other", tracking: gone })
          yield* TestSessions.elapse("30 seconds")
          assert.deepStrictEqual(events.slice(length).map(line), ["Join eve/phone first", "Leave eve/phone last"])
        }),
        { supervision: Supervision.resume({ backoff: () => "1 minute" }) }
      ))

    it.effect("a tracker that goes takes its own along, after the grace", () =>
      test()(Effect.gen(function*() {
        yield* track("ada", ada, "phone")
        const { release, track: trackOther } = yield* other
        yield* trackOther(1, "bob", bob, "phone")
        yield* release
        assert.strictEqual(yield* listed(), "ada/phone bob/phone")
        yield* TestSessions.elapse("5 seconds")
        assert.strictEqual(yield* listed(), "ada/phone")
      })))

    it.effect("says that it goes before its Layer does", () =>
      Effect.gen(function*() {
        const context = yield* Layer.build(TestSessions.layer(Layer.empty))
        const events = Context.get(context, TestSessions.Recorder)
        yield* Effect.gen(function*() {
          yield* track("ada", ada, "phone")
          yield* TestSessions.settle
          yield* events.clear
        }).pipe(Effect.provide(Layer.provide(Presence.layer(Shoppers), Layer.succeedContext(context))))
        const tags = (yield* events.events).map((event) => "tag" in event ? `${event._tag} ${event.tag}` : event._tag)
        assert.deepStrictEqual(tags, ["Cast Sync", "Unsubscribe", "Cleanup", "Stop"])
      }))
  })

  describe("healing", () => {
    for (const reason of [EndReason.stopped(), EndReason.evicted, EndReason.expired("absolute")]) {
      it.effect(`is there again at once when the topic ended: ${EndReason.format(reason)}`, () =>
        test()(Effect.gen(function*() {
          const { events } = yield* follow()
          const one = yield* track("ada", ada, "phone")
          yield* one.tracked.update(bob)
          yield* track("eve", ada, "tv")
          yield* (yield* (yield* Shoppers).topic("shop")).end({ reason })
          yield* TestSessions.settle
          assert.strictEqual(yield* listed(), "ada/phone eve/tv")
          // No virtual time has passed.
          assert.deepStrictEqual(events.slice(4).map(line), ["List ada/phone eve/tv"])
          const told = replay(events)
          assert.deepStrictEqual(told, yield* now)
          assert.deepStrictEqual(told[0]!.devices[0]!.meta, bob)
        })))
    }

    it.effect("tracks all keys again in a topic that was reset, and its readers get a list with them", () =>
      fragile(Effect.gen(function*() {
        const brittle = yield* Brittle
        const events: Array<Event> = []
        yield* Effect.forkChild(
          Stream.runForEach(brittle.changes("shop"), (event) => Effect.sync(() => events.push(event)))
        )
        yield* TestSessions.settle
        const { tracked } = yield* crashed
        const scope = yield* Scope.make()
        yield* tracked.update(bob)
        yield* TestSessions.elapse("10 seconds")
        assert.deepStrictEqual(events.map(line), ["List ", "Join ada/phone first", "List ada/phone"])
        assert.deepStrictEqual(replay(events)[0]!.devices[0]!.meta, bob)
        yield* Scope.provide(brittle.track("shop", "bob", bob, { device: "tv" }), scope)
        yield* TestSessions.settle
        assert.strictEqual(line(events[3]!), "Join bob/tv first")
      })))

    it.effect("gives readers of a reset topic an empty list if nobody is present", () =>
      fragile(Effect.gen(function*() {
        const brittle = yield* Brittle
        const { tracked } = yield* crashed
        const events: Array<Event> = []
        yield* Effect.forkChild(
          Stream.runForEach(brittle.changes("shop"), (event) => Effect.sync(() => events.push(event)))
        )
        yield* TestSessions.settle
        yield* tracked.leave
        yield* TestSessions.elapse("10 seconds")
        assert.deepStrictEqual(events.map(line), ["List ada/phone", "List "])
      })))

    it.effect("repairs what did not get to a topic whose mailbox was full, as soon as it has room", () =>
      fragile(
        Effect.gen(function*() {
          const brittle = yield* Brittle
          const scope = yield* Scope.make()
          const provided = Scope.provide(scope)
          const bobs = yield* provided(brittle.track("shop", "bob", bob, { device: "phone" }))
          const eves = yield* provided(brittle.track("shop", "eve", bob, { device: "phone" }))
          yield* TestSessions.settle
          yield* heldUp
          // One message fits into the mailbox while the topic pauses.
          yield* eves.update({ name: "Eve" })
          yield* eves.update({ name: "Eva" })
          yield* bobs.leave
          yield* TestSessions.elapse("6 seconds")
          const present = yield* brittle.list("shop")
          assert.strictEqual(keys(present), "eve/phone")
          assert.deepStrictEqual(present[0]!.devices[0]!.meta, { name: "Eva" })
        }),
        { mailboxCapacity: 1, supervision: Supervision.resume({ backoff: () => "6 seconds" }) }
      ))

    it.effect("fails if the topic is full, and then tracks nothing", () =>
      fragile(
        Effect.gen(function*() {
          const brittle = yield* Brittle
          const scope = yield* Scope.make()
          const provided = Scope.provide(scope)
          yield* provided(brittle.track("shop", "bob", bob, { device: "phone" }))
          yield* TestSessions.settle
          yield* heldUp
          yield* Effect.forkChild(provided(brittle.track("shop", "eve", bob, { device: "phone" })))
          yield* TestSessions.settle
          const error = yield* Effect.flip(provided(brittle.track("shop", "ada", ada, { device: "phone" })))
          assert.strictEqual(error._tag, "MailboxFull")
          yield* TestSessions.elapse("1 minute")
          assert.strictEqual(keys(yield* brittle.list("shop")), "bob/phone eve/phone")
        }),
        {
          mailboxCapacity: 1,
          overflow: "reject",
          supervision: Supervision.resume({ backoff: () => "4 seconds" })
        }
      ))

    it.effect("tracks in the next topic if a topic ended meanwhile", () =>
      fragile(Effect.gen(function*() {
        const brittle = yield* Brittle
        yield* crashed
        const scope = yield* Scope.make()
        const fiber = yield* Effect.forkChild(
          Scope.provide(brittle.track("shop", "bob", bob, { device: "phone" }), scope)
        )
        yield* TestSessions.settle
        assert.isUndefined(fiber.pollUnsafe())
        yield* (yield* brittle.topic("shop")).end({ drain: false })
        yield* Fiber.join(fiber)
        yield* TestSessions.settle
        assert.strictEqual(keys(yield* brittle.list("shop")), "ada/phone bob/phone")
      })))

    it.effect("notices that a topic knows others than it should", () =>
      test()(Effect.gen(function*() {
        const { tracked: { device } } = yield* track("ada", ada)
        // Such a device is named after its tracker.
        const owner = device.slice(0, 16)
        yield* track("bob", bob, "phone")
        yield* track("eve", bob, "phone")
        yield* TestSessions.elapse("10 seconds")
        const topic = yield* (yield* Shoppers).topic("shop")
        const ghost = { id: 99, key: "ghost", device: "phone", meta: bob, revision: 99, since: null }
        yield* topic.call("Track", { owner, tracking: ghost })
        yield* topic.call("Untrack", { owner, id: 2, grace: false })
        assert.strictEqual(yield* listed(), `ada/${device} eve/phone ghost/phone`)
        yield* TestSessions.elapse("10 seconds")
        assert.strictEqual(yield* listed(), `ada/${device} bob/phone eve/phone`)
        // As many as there should be, but others.
        yield* topic.call("Untrack", { owner, id: 2, grace: false })
        yield* topic.call("Track", { owner, tracking: ghost })
        yield* TestSessions.elapse("10 seconds")
        assert.strictEqual(yield* listed(), `ada/${device} bob/phone eve/phone`)
      })))

    it.effect("says all again only when the topic knows something else", () =>
      test()(Effect.gen(function*() {
        const scopes = yield* Effect.forEach([1, 2, 3], () => track("ada", ada))
        const bobs = yield* track("bob", bob, "phone")
        yield* TestSessions.settle
        const { tracked } = scopes[0]!
        yield* tracked.update(bob)
        yield* scopes[1]!.tracked.leave
        yield* scopes[2]!.close
        yield* bobs.tracked.update(ada)
        const recorder = yield* TestSessions.Recorder
        yield* recorder.clear
        yield* TestSessions.elapse("1 minute")
        const calls = (yield* recorder.of("Call")).map(({ tag }) => tag)
        assert.deepStrictEqual(calls, Array.from(calls, () => "Renew"))
        assert.strictEqual(calls.length, 6)
      })))

    it.effect("does not let an older update win", () =>
      test()(Effect.gen(function*() {
        const { sync, track: trackOther } = yield* other
        yield* trackOther(1, "ada", ada, "phone", 1)
        yield* trackOther(1, "ada", bob, "phone", 3)
        yield* trackOther(1, "ada", ada, "phone", 2)
        yield* sync
        assert.deepStrictEqual((yield* now)[0]!.devices[0]!.meta, bob)
      })))

    it.effect("remembers since when the keys are present that it tracks again", () =>
      test()(Effect.gen(function*() {
        yield* (yield* track("ada", ada, "phone")).close
        yield* TestSessions.elapse("2 seconds")
        yield* track("ada", ada, "phone")
        yield* TestSessions.elapse("2 seconds")
        yield* track("ada", ada, "tv")
        yield* TestSessions.elapse("2 seconds")
        yield* (yield* (yield* Shoppers).topic("shop")).end()
        yield* TestSessions.settle
        assert.deepStrictEqual((yield* now)[0]!.devices.map(({ since }) => since), [0, 4000])
      })))

    it.effect("restores the newest of a device that is tracked twice", () =>
      test()(Effect.gen(function*() {
        const one = yield* track("ada", { name: "one" }, "phone")
        yield* track("ada", { name: "two" }, "phone")
        yield* one.tracked.update({ name: "one again" })
        yield* (yield* (yield* Shoppers).topic("shop")).end()
        yield* TestSessions.settle
        assert.deepStrictEqual((yield* now)[0]!.devices[0]!.meta, { name: "one again" })
      })))

    it.effect("pauses between attempts if the topic keeps ending", () =>
      test()(Effect.gen(function*() {
        yield* track("ada", ada, "phone")
        const kind = yield* Shoppers.kind
        let starts = 0
        for (let i = 0; i < 50; i++) {
          yield* kind.end("shop")
          yield* TestSessions.settle
          if (yield* kind.has("shop")) starts++
        }
        assert.isAtMost(starts, 2)
        yield* TestSessions.elapse("10 seconds")
        assert.strictEqual(yield* listed(), "ada/phone")
        yield* TestSessions.elapse("20 seconds")
        // All was well for a while, so it is there again at once.
        yield* kind.end("shop")
        yield* TestSessions.settle
        assert.strictEqual(yield* listed(), "ada/phone")
      })))

    it.effect("tracks at once, though the topic is not tried again for a while", () =>
      test()(Effect.gen(function*() {
        yield* track("ada", ada, "phone")
        const kind = yield* Shoppers.kind
        for (let i = 0; i < 10; i++) {
          yield* kind.end("shop")
          yield* TestSessions.settle
        }
        assert.strictEqual(yield* listed(), "")
        yield* track("bob", bob, "phone")
        assert.strictEqual(yield* listed(), "ada/phone bob/phone")
      })))
  })

  describe("readers", () => {
    it.effect("a slow one gets a fresh list in place of what it missed", () =>
      test()(Effect.gen(function*() {
        const shoppers = yield* Shoppers
        const latch = yield* Latch.make()
        const events: Array<Event> = []
        yield* Effect.forkChild(
          shoppers.changes("shop", { bufferSize: 2 }).pipe(
            Stream.runForEach((event) => Effect.andThen(Effect.sync(() => events.push(event)), latch.await))
          )
        )
        yield* TestSessions.settle
        for (let i = 0; i < 6; i++) yield* track(`k${i}`, ada, "phone")
        yield* latch.open
        yield* TestSessions.settle
        assert.deepStrictEqual(events.map(line), [
          "List ",
          "Join k0/phone first",
          "Join k1/phone first",
          "List k0/phone k1/phone k2/phone k3/phone k4/phone k5/phone"
        ])
        const { tracked } = yield* track("last", ada, "phone")
        yield* tracked.leave
        yield* TestSessions.settle
        assert.deepStrictEqual(events.slice(4).map(line), ["Join last/phone first", "Leave last/phone last"])
      })))

    it.effect("a slow reader does not delay the others", () =>
      test()(Effect.gen(function*() {
        const shoppers = yield* Shoppers
        yield* Effect.forkChild(Stream.runForEach(shoppers.changes("shop", { bufferSize: 1 }), () => Effect.never))
        const { events } = yield* follow()
        for (let i = 0; i < 20; i++) yield* track(`k${i}`, ada, "phone")
        yield* TestSessions.settle
        assert.strictEqual(events.length, 21)
      })))

    it.effect("ends with the server", () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(TestSessions.layer(Presence.layer(Shoppers)), scope)
        const shoppers = Context.get(context, Shoppers)
        const fiber = yield* Effect.forkChild(Stream.runCollect(shoppers.changes("shop")))
        yield* TestSessions.settle
        const tracked = yield* Scope.provide(shoppers.track("shop", "ada", ada, { device: "phone" }), scope)
        yield* TestSessions.settle
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual((yield* Fiber.join(fiber)).map(line).slice(0, 2), ["List ", "Join ada/phone first"])
        yield* tracked.update(bob)
        yield* tracked.leave
        const error = yield* Effect.flip(Effect.scoped(shoppers.track("shop", "ada", ada)))
        assert.strictEqual(error._tag, "SessionsClosed")
      }))

    it.effect("ends when the topic ends with the server", () =>
      test()(Effect.gen(function*() {
        const { events, fiber } = yield* follow()
        yield* (yield* Shoppers.kind).end("shop", { reason: EndReason.shutdown })
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(events.map(line), ["List "])
      })))

    for (const ops of [6, 8, 9, 11]) {
      it.effect(`misses none, wherever its start gives others a turn (${ops})`, () =>
        test()(Effect.gen(function*() {
          const shoppers = yield* Shoppers
          // However many come while it starts.
          for (let count = 1; count <= 30; count++) {
            const topic = `shop-${count}`
            const { track: trackOther } = yield* otherOf(topic)
            yield* trackOther(1, "before", ada, "phone")
            const events: Array<Event> = []
            yield* Effect.forkChild(
              Stream.runForEach(shoppers.changes(topic), (event) => Effect.sync(() => events.push(event)))
            )
            for (let i = 0; i < count; i++) {
              yield* trackOther(100 + i, `while-${i}`, ada, "phone")
              yield* Effect.yieldNow
            }
            yield* Effect.repeat(TestSessions.settle, { times: 5 })
            assert.strictEqual(keys(replay(events)), yield* listed(topic))
          }
        })).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, ops)))

      it.effect(`is not left with a topic that ended, wherever its start gives others a turn (${ops})`, () =>
        test()(Effect.gen(function*() {
          const shoppers = yield* Shoppers
          const kind = yield* Shoppers.kind
          for (let count = 1; count <= 30; count++) {
            const topic = `shop-${count}`
            yield* kind.start(topic)
            const events: Array<Event> = []
            yield* Effect.forkChild(
              Stream.runForEach(shoppers.changes(topic), (event) => Effect.sync(() => events.push(event)))
            )
            for (let i = 0; i < count; i++) yield* Effect.yieldNow
            yield* kind.end(topic)
            yield* (yield* otherOf(topic)).track(1, "after", ada, "phone")
            yield* TestSessions.elapse("1 seconds")
            yield* Effect.repeat(TestSessions.settle, { times: 5 })
            assert.strictEqual(keys(replay(events)), yield* listed(topic))
          }
        })).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, ops)))
    }

    it.effect("gets a list of earlier keys, and misses none that come while it starts", () =>
      test()(Effect.gen(function*() {
        const shoppers = yield* Shoppers
        const events: Array<Event> = []
        yield* Effect.forkChild(
          Stream.runForEach(shoppers.changes("shop"), (event) => Effect.sync(() => events.push(event))),
          { startImmediately: true }
        )
        yield* track("ada", ada, "phone")
        yield* track("bob", bob, "phone")
        yield* TestSessions.settle
        assert.deepStrictEqual(replay(events), yield* now)
        assert.strictEqual(events[0]!._tag, "List")
      })))
  })

  it.effect("takes it well that 10,000 keys go at once", () =>
    test()(Effect.gen(function*() {
      const shoppers = yield* Shoppers
      const scope = yield* Scope.make()
      for (let i = 0; i < 10_000; i++) {
        yield* Scope.provide(shoppers.track("shop", `user-${i}`, ada, { device: "phone" }), scope)
      }
      const { events } = yield* follow()
      assert.strictEqual(yield* shoppers.count("shop"), 10_000)
      yield* Scope.close(scope, Exit.void)
      yield* TestSessions.elapse("4 seconds")
      assert.strictEqual(yield* shoppers.count("shop"), 10_000)
      yield* TestSessions.elapse("1 seconds")
      assert.strictEqual(yield* shoppers.count("shop"), 0)
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["List", "List"])
      assert.deepStrictEqual(replay(events), [])
    })))

  it.effect("takes it well that one key has 10,000 devices", () =>
    test()(Effect.gen(function*() {
      const shoppers = yield* Shoppers
      const scope = yield* Scope.make()
      for (let i = 0; i < 10_000; i++) yield* Scope.provide(shoppers.track("shop", "guest", ada), scope)
      assert.strictEqual(yield* shoppers.count("shop"), 1)
      assert.strictEqual((yield* now)[0]!.devices.length, 10_000)
      yield* Scope.close(scope, Exit.void)
      yield* TestSessions.elapse("5 seconds")
      assert.strictEqual(yield* shoppers.count("shop"), 0)
    })))

  describe("with a store", () => {
    const process = Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        TestSessions.layer(Layer.mergeAll(
          Presence.layer(Shoppers, { grace: "1 second", lease: "6 seconds" }),
          Bag.layer({ snapshots: { save: "everyChange" } })
        )),
        scope
      )
      const shoppers = Context.get(context, Shoppers)
      const leaves: Array<string> = []
      yield* Effect.forkIn(
        Stream.runForEach(
          shoppers.changes("shop"),
          (event) => Effect.sync(() => event._tag === "Leave" && leaves.push(line(event)))
        ),
        scope
      )
      const enter = (key: string) => Scope.provide(shoppers.track("shop", key, ada, { device: "phone" }), scope)
      return { leaves, enter, list: Effect.map(shoppers.list("shop"), keys), stop: Scope.close(scope, Exit.void) }
    })

    it.effect("two processes have a topic each, and no present key leaves", () =>
      Effect.gen(function*() {
        const [a, b] = [yield* process, yield* process]
        for (const key of ["ada", "bob", "eve"]) {
          yield* a.enter(key)
          yield* b.enter(`${key}2`)
          yield* TestSessions.settle
          yield* TestClock.adjust("3 seconds")
        }
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* a.list, "ada/phone bob/phone eve/phone")
        assert.strictEqual(yield* b.list, "ada2/phone bob2/phone eve2/phone")
        yield* a.stop
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* b.list, "ada2/phone bob2/phone eve2/phone")
        // The next topic starts with the keys that are tracked in it again.
        const c = yield* process
        assert.strictEqual(yield* c.list, "")
        yield* c.enter("ada")
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* c.list, "ada/phone")
        assert.deepStrictEqual([a.leaves, b.leaves, c.leaves], [[], [], []])
        yield* b.stop
        yield* c.stop
      }).pipe(Effect.provide(MemoryStore.layer)))

    it.effect("topics are not stored, and the option is refused", () =>
      Effect.gen(function*() {
        const options = { snapshots: { save: "everyChange" } } as Presence.Options
        const error = yield* Effect.flip(Layer.build(TestSessions.layer(Presence.layer(Shoppers, options))))
        assert.include((error as SessionError.InvalidConfig).message, "Shoppers.snapshots is not possible")
      }).pipe(Effect.provide(MemoryStore.layer)))
  })

  describe("what is known of a device", () => {
    class Loose extends Presence.Service<Loose>()("Loose", {
      meta: Schema.Struct({ n: Schema.Int, any: Schema.optionalKey(Schema.Unknown) })
    }) {}
    const unfit: ReadonlyArray<any> = [
      undefined,
      null,
      { n: 1.5 },
      { n: "1" },
      { n: 1, any: 1n },
      { n: 1, any: new Date(0) },
      { n: 1, any: { list: [() => 1] } }
    ]

    it.effect("is refused when it does not fit, or JSON has it not; nothing is tracked or changed", () =>
      Effect.scoped(Effect.gen(function*() {
        const loose = yield* Loose
        const good = yield* loose.track("shop", "ada", { n: 1, any: [null] })
        for (const meta of unfit) {
          const error = yield* Effect.flip(loose.track("shop", "bob", meta))
          assert.instanceOf(error, PresenceError.InvalidPresence)
          assert.strictEqual((error as PresenceError.InvalidPresence).field, "meta")
          assert.isTrue(Exit.hasDies(yield* Effect.exit(good.update(meta))))
        }
        yield* TestSessions.settle
        const present = yield* loose.list("shop")
        assert.deepStrictEqual(present.map(({ devices, key }) => [key, devices[0]!.meta]), [["ada", {
          n: 1,
          any: [null]
        }]])
      })).pipe(Effect.provide(TestSessions.layer(Presence.layer(Loose)))))
  })
})
