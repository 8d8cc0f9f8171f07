import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Schedule, Schema } from "effect"
import {
  DeadLetters,
  Expiry,
  type ExpiryEntry,
  MessageLimiter,
  Session,
  SessionEvents,
  Sessions,
  SessionsConfig,
  StartLimiter
} from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

const entry = (
  id: string,
  now: number,
  idleTimeout: number,
  absoluteDeadline = Infinity
): ExpiryEntry & { idleTimeout: number } => ({
  kind: { name: "Kind" },
  id,
  lastActiveAt: now,
  idleTimeout,
  absoluteDeadline,
  wheelTick: -1,
  wheelIndex: 0
})

const tracker = Effect.provide(Expiry.layerSchedule(Schedule.forever))

/** Deadlines are looked at ten times a second, so one may be found this much late; never early. */
const resolution = 100

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const Slot = int(0, 7)
const Idle = Schema.Union([int(1, 500), int(1, 20_000), Schema.Literal("never")])

const millis = (time: typeof Idle.Type): number => time === "never" ? Infinity : time

const Step = Schema.Union([
  Schema.Struct({
    do: Schema.Literal("add"),
    slot: Slot,
    idle: Idle,
    absolute: Schema.Union([Idle, Schema.Literal("never")])
  }),
  Schema.Struct({ do: Schema.Literal("touch"), slot: Slot }),
  Schema.Struct({ do: Schema.Literal("setIdleTimeout"), slot: Slot, idle: Idle }),
  Schema.Struct({ do: Schema.Literal("remove"), slot: Slot }),
  Schema.Struct({ do: Schema.Literal("jump"), millis: Schema.Union([int(0, 150), int(0, 3_000), int(0, 60_000)]) }),
  Schema.Struct({ do: Schema.Literals(["advance", "sweep"]) })
])

/** The naive tracker: every deadline in a list. */
interface Tracked {
  readonly entry: ExpiryEntry
  lastActiveAt: number
  idle: number
  readonly absolute: number
  found: boolean
}
const deadline = ({ absolute, idle, lastActiveAt }: Tracked) => Math.min(lastActiveAt + idle, absolute)

const ids = (entries: Iterable<ExpiryEntry>) => Array.from(entries, ({ id }) => id).sort()

const check = (expiry: Expiry["Service"], steps: ReadonlyArray<typeof Step.Type>) => {
  const tracked = new Map<number, Tracked>()
  let now = 1_700_000_000_000
  let serial = 0

  /** Compares what was found with what had to be found, and what could be. */
  const found = (entries: ReadonlyArray<ExpiryEntry>) => {
    assert.strictEqual(new Set(entries).size, entries.length, "one was found twice")
    const late = Math.floor(now / resolution) * resolution
    for (const one of tracked.values()) {
      if (entries.includes(one.entry)) {
        assert.isFalse(one.found, "found again")
        assert.isAtMost(deadline(one), now, "found too early")
        one.found = true
      } else if (!one.found) {
        assert.isAbove(deadline(one), late, "lost")
      }
    }
    const all = Array.from(tracked.values(), (one) => one.entry)
    for (const entry of entries) assert.include(all, entry, "found one that is not tracked")
  }

  for (const step of steps) {
    const one = "slot" in step ? tracked.get(step.slot) : undefined
    switch (step.do) {
      case "add": {
        if (one !== undefined) break
        const idle = millis(step.idle)
        const absolute = now + millis(step.absolute)
        const added = entry(String(serial++), now, idle, absolute)
        tracked.set(step.slot, { entry: added, lastActiveAt: now, idle, absolute, found: false })
        expiry.add(added)
        break
      }
      case "touch":
        // What has been found to be expired is ended, and not touched any more.
        if (one === undefined || one.found) break
        one.lastActiveAt = now
        expiry.touch(one.entry, now)
        break
      case "setIdleTimeout":
        if (one === undefined) break
        one.lastActiveAt = now
        one.idle = millis(step.idle)
        one.found = false
        expiry.setIdleTimeout(one.entry, one.idle, now)
        break
      case "remove":
        if (one === undefined) break
        tracked.delete(step.slot)
        expiry.remove(one.entry)
        // It may come too late, or twice.
        expiry.remove(one.entry)
        break
      case "jump":
        now += step.millis
        break
      case "advance":
        found(expiry.advance(now))
        break
      case "sweep": {
        const swept = expiry.sweep(now)
        const before = Array.from(tracked.values()).filter((one) => one.found).map((one) => one.entry)
        for (const entry of before) assert.include(swept, entry, "forgotten by the sweep")
        found(swept.filter((entry) => !before.includes(entry)))
        for (const [slot, one] of tracked) if (one.found) tracked.delete(slot)
        assert.strictEqual(expiry.expired.size, 0)
        break
      }
    }
    const all = Array.from(tracked.values())
    assert.deepStrictEqual(ids(expiry.expired), ids(all.filter((one) => one.found).map((one) => one.entry)))
    for (const one of all) {
      assert.strictEqual(expiry.expiresAt(one.entry), deadline(one))
      assert.strictEqual(expiry.isExpired(one.entry, now), deadline(one) <= now)
    }
    const finite = all.filter((one) => one.found || deadline(one) < Infinity)
    assert.isAtLeast(expiry.size(), finite.length)
    assert.isAtMost(expiry.size(), all.length)
    // Waiting until `next` misses no deadline by more than the resolution.
    const first = Math.min(...all.filter((one) => !one.found).map(deadline))
    assert.isAtMost(expiry.next(), first === Infinity ? Infinity : Math.ceil(first / resolution) * resolution)
  }
  // In the end everything that can expire does, once.
  now += 10_000_000
  const rest = Array.from(tracked.values()).filter((one) => one.found || deadline(one) < Infinity)
  assert.deepStrictEqual(ids(expiry.sweep(now)), ids(rest.map((one) => one.entry)))
  assert.deepStrictEqual(expiry.sweep(now + 10_000_000), [])
}

describe("Expiry", () => {
  it.effect.prop(
    "agrees with a naive tracker, whatever is done in whatever order",
    [Schema.Array(Step)],
    ([steps]) => tracker(Effect.map(Expiry, (expiry) => check(expiry, steps))),
    { arbitrary: { runs: 300, size: 150 } }
  )

  it.effect("forgets a touch by no millisecond", () =>
    tracker(Effect.map(Expiry, (expiry) => {
      const one = entry("a", 0, 1_000)
      expiry.add(one)
      expiry.touch(one, 999)
      assert.isFalse(expiry.isExpired(one, 1_998))
      assert.isTrue(expiry.isExpired(one, 1_999))
      assert.deepStrictEqual(expiry.advance(1_998), [])
      assert.deepStrictEqual(expiry.advance(2_000), [one])
    })))

  it.effect("expires a session at its absolute deadline however active it is", () =>
    tracker(Effect.map(Expiry, (expiry) => {
      const one = entry("a", 0, 1_000, 5_000)
      expiry.add(one)
      for (let now = 100; now < 5_000; now += 100) {
        expiry.touch(one, now)
        assert.deepStrictEqual(expiry.advance(now), [])
      }
      assert.deepStrictEqual(expiry.advance(5_000), [one])
    })))

  it.effect("never expires one without deadlines, until it is given one", () =>
    tracker(Effect.map(Expiry, (expiry) => {
      const one = entry("a", 0, Infinity)
      expiry.add(one)
      assert.strictEqual(expiry.next(), Infinity)
      assert.deepStrictEqual(expiry.sweep(1e12), [])
      expiry.setIdleTimeout(one, 1_000, 1e12)
      assert.deepStrictEqual(expiry.sweep(1e12 + 1_000), [one])
    })))

  it.effect("brings a deadline forward when the idle timeout becomes shorter", () =>
    tracker(Effect.map(Expiry, (expiry) => {
      const one = entry("a", 0, 3_600_000)
      expiry.add(one)
      expiry.setIdleTimeout(one, 500, 1_000)
      assert.isAtMost(expiry.next(), 1_500)
      assert.deepStrictEqual(expiry.advance(1_500), [one])
      assert.deepStrictEqual(expiry.advance(10_000_000), [])
    })))

  it.effect.prop(
    "loses none of many with one deadline, whichever of them are removed in whatever order",
    [Schema.Array(int(0, 9))],
    ([removals]) =>
      tracker(Effect.map(Expiry, (expiry) => {
        const entries = Array.from({ length: 10 }, (_, i) => entry(String(i), 0, 1_000))
        for (const one of entries) expiry.add(one)
        for (const i of removals) expiry.remove(entries[i]!)
        const rest = entries.filter((_, i) => !removals.includes(i))
        assert.strictEqual(expiry.size(), rest.length)
        assert.deepStrictEqual(ids(expiry.advance(1_000)), ids(rest))
        assert.deepStrictEqual(ids(expiry.sweep(1_000)), ids(rest))
        assert.strictEqual(expiry.size(), 0)
      }))
  )

  /** An entry that counts how often it is looked at. */
  const counting = (entry: ExpiryEntry, count: { reads: number; writes: number }): ExpiryEntry =>
    new Proxy(entry, {
      get(target, property) {
        count.reads++
        return Reflect.get(target, property)
      },
      set(target, property, value) {
        count.writes++
        return Reflect.set(target, property, value)
      }
    })

  it.effect("looks only at what is due: a sweep costs as much as there expires", () =>
    tracker(Effect.map(Expiry, (expiry) => {
      const count = { reads: 0, writes: 0 }
      for (let i = 0; i < 20_000; i++) expiry.add(counting(entry(`late ${i}`, 0, 3_600_000 + i), count))
      for (let i = 0; i < 10; i++) expiry.add(counting(entry(`due ${i}`, 0, 1_000 * (i + 1)), count))
      count.reads = count.writes = 0
      assert.strictEqual(expiry.sweep(20_000).length, 10)
      assert.isAbove(count.reads, 0)
      assert.isAtMost(count.reads + count.writes, 100)
      count.reads = count.writes = 0
      for (let now = 20_000; now < 3_500_000; now += 1_000) expiry.sweep(now)
      assert.deepStrictEqual(count, { reads: 0, writes: 0 })
    })))

  it.effect("makes a touch one write", () =>
    tracker(Effect.map(Expiry, (expiry) => {
      const count = { reads: 0, writes: 0 }
      const one = counting(entry("a", 0, 1_000), count)
      expiry.add(one)
      count.reads = count.writes = 0
      expiry.touch(one, 500)
      assert.deepStrictEqual(count, { reads: 0, writes: 1 })
    })))

  it.effect("checks a session that is always busy once per idle timeout", () =>
    tracker(Effect.map(Expiry, (expiry) => {
      const count = { reads: 0, writes: 0 }
      const one = counting(entry("a", 0, 60_000), count)
      expiry.add(one)
      count.reads = 0
      for (let now = 0; now < 600_000; now += 100) {
        expiry.touch(one, now)
        expiry.advance(now)
      }
      assert.isAtMost(count.reads, 10 * 10)
      assert.deepStrictEqual(expiry.advance(660_000), [one])
    })))
})

class Kind extends Session.Service<Kind>()("Kind", { state: Schema.Int, protocol: [Rpc.make("Ping")] }) {}
const KindLayer = Kind.toLayer(Kind.behavior({ init: () => 0, handlers: { Ping: ({ state }) => [state] } }))

describe("the sweep", () => {
  it.effect("ends sessions without watchers at the first sweep after their deadline, by default once a minute", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("30 seconds")
      yield* (yield* Kind).start("a", { idleTimeout: "1 minute" })
      yield* TestClock.adjust("89 seconds")
      const recorder = yield* TestSessions.Recorder
      assert.deepStrictEqual(yield* recorder.of("Stop"), [])
      yield* TestClock.adjust("1 second")
      const stops = yield* recorder.of("Stop")
      assert.deepStrictEqual(stops.map(({ at, reason }) => ({ at, reason })), [
        { at: 120_000, reason: { _tag: "Expired", limit: "idle" } }
      ])
      const sweeps = yield* recorder.of("AutoCleanup")
      assert.deepStrictEqual(sweeps.map(({ at, count }) => [at, count]).at(-1), [120_000, 1])
    }).pipe(Effect.provide(TestSessions.layer(KindLayer))))

  it.effect("runs at the configured interval", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("35 seconds")
      const sweeps = yield* (yield* TestSessions.Recorder).of("AutoCleanup")
      assert.deepStrictEqual(sweeps.map(({ at }) => at).filter((at) => at > 0), [10_000, 20_000, 30_000])
    }).pipe(Effect.provide(TestSessions.layer(KindLayer, { sweepInterval: "10 seconds" }))))

  it.effect("runs on whatever schedule its service has", () =>
    Effect.gen(function*() {
      const kinds = yield* Kind
      yield* kinds.start("a", { idleTimeout: "1 second" })
      const events: Array<number> = []
      yield* (yield* SessionEvents).listen((event) => {
        if (event._tag === "Stop") events.push(event.at)
      })
      yield* TestClock.adjust("7 seconds")
      assert.deepStrictEqual(events, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(events, [8_000])
      assert.strictEqual(yield* Clock.currentTimeMillis, 8_000)
    }).pipe(Effect.provide(
      KindLayer.pipe(
        Layer.provideMerge(Sessions.layerNoDeps),
        Layer.provideMerge(Layer.mergeAll(
          Expiry.layerSchedule(Schedule.spaced("8 seconds")),
          StartLimiter.layer,
          MessageLimiter.layer,
          SessionEvents.layer,
          DeadLetters.layer
        )),
        Layer.provideMerge(Layer.effect(SessionsConfig.SessionsConfig, SessionsConfig.make()))
      )
    )))
})
