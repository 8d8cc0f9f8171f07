/** The current program reads what an older one stored; what it cannot read is quarantined. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { Sessions } from "effect-sessions"
import { MemoryStore, type Snapshot, SnapshotStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import * as carts from "./carts.ts"

/** The releases of which there are fixtures, the last one at the end. */
const releases = ["0.1"]

const key = { kind: "Cart", id: "ada" }
/** What an older program has left of the session. */
const keptBy = (release: string, version: number): Snapshot =>
  JSON.parse(readFileSync(new URL(`fixtures/${release}/cart-${version}.json`, import.meta.url), "utf8"))

/** The present program, a minute later, with that in its store. */
const goOn = <A, E, R>(snapshot: Snapshot, use: Effect.Effect<A, E, R>) =>
  Effect.andThen(
    TestClock.setTime(carts.start + 60_000),
    Effect.flatMap(SnapshotStore, (store) => Effect.andThen(store.save([snapshot]), use)).pipe(
      Effect.provide(TestSessions.layer(carts.CartLayer).pipe(Layer.provideMerge(Layer.fresh(MemoryStore.layer))))
    )
  )

const state = (skus: ReadonlyArray<string>, currency: string, since: Date | null) => ({
  items: skus.map((sku) => ({ sku, quantity: 1 })),
  currency,
  since
})
const started = new Date(carts.start)

describe("Snapshots: formats", () => {
  for (const version of [1, 2, 3] as const) {
    it.effect(`version ${version} writes what ${releases.at(-1)} wrote, byte for byte`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* carts.write(version), keptBy(releases.at(-1)!, version))
      }))
  }

  for (const release of releases) {
    for (const version of [1, 2, 3] as const) {
      it.effect(`what version ${version} stored with ${release} is read, with everything that belongs to it`, () =>
        Effect.gen(function*() {
          const snapshot = keptBy(release, version)
          yield* goOn(
            snapshot,
            Effect.gen(function*() {
              const cart = (yield* carts.Cart).ref("ada")
              const [currency, since] = version < 3 ? ["EUR", null] : ["USD", started]
              const read = yield* cart.state
              assert.deepStrictEqual(read, state(["tea"], currency, since))
              const { expiresAt, metadata, startedAt, user } = yield* cart.info
              assert.deepStrictEqual({ expiresAt, metadata, startedAt, user }, {
                expiresAt: carts.start + 3 * 86_400_000,
                metadata: { device: "phone" },
                startedAt: carts.start,
                user: "ada"
              })
              // What it answered, it answers again.
              const again = (sequence: number) => ({ ...carts.once(sequence), again: true })
              const crash = yield* Effect.flip(cart.callOnce("Crash", undefined, again(1)))
              assert.strictEqual(crash._tag, "SessionCrashed")
              assert.include(crash.message, "the till is broken")
              assert.strictEqual(yield* cart.callOnce("Add", "tea", again(2)), 1)
              const refusal = yield* Effect.flip(cart.callOnce("Add", "gold", again(3)))
              assert.strictEqual(refusal._tag, "SoldOut")
              assert.strictEqual(yield* cart.state, read)
              assert.strictEqual(yield* cart.callOnce("Add", "jam", carts.once(4)), 2)
              // Its timers fire when they are due.
              yield* TestClock.adjust("28 minutes")
              assert.deepStrictEqual(yield* cart.state, state(["tea", "jam"], currency, since))
              yield* TestClock.adjust("1 minute")
              assert.deepStrictEqual(yield* cart.state, state(["tea", "jam", "milk"], currency, since))
              yield* TestClock.adjust("4 hours")
              assert.deepStrictEqual(yield* cart.state, state(["tea", "jam", "milk", "news", "news"], currency, since))
              // A reset begins with the arguments of its start.
              yield* Effect.flip(cart.call("Crash"))
              yield* TestSessions.settle
              assert.deepStrictEqual(yield* cart.state, state([], "USD", started))
            })
          )
        }))
    }
  }

  /** A snapshot whose body is another. */
  const changed = (snapshot: Snapshot, change: (body: any) => unknown): Snapshot => ({
    ...snapshot,
    body: JSON.stringify(change(JSON.parse(snapshot.body)))
  })

  const unreadable: Record<string, (snapshot: Snapshot) => Snapshot> = {
    "a newer format": (snapshot) => ({ ...snapshot, format: 4 }),
    "a format that never was": (snapshot) => ({ ...snapshot, format: 0 }),
    "an old state that does not fit": (snapshot) => ({ ...snapshot, format: 1 }),
    "damaged JSON": (snapshot) => ({ ...snapshot, body: snapshot.body.slice(0, -1) }),
    "a state that does not fit": (snapshot) => changed(snapshot, (body) => ({ ...body, state: { items: "tea" } })),
    "a body without what belongs there": (snapshot) => changed(snapshot, ({ state }) => ({ state }))
  }

  const partly: Record<string, (snapshot: Snapshot) => Snapshot> = {
    "a timer for a message that there is no more": (snapshot) =>
      changed(snapshot, ({ timers, ...body }) => ({ ...body, timers: [{ ...timers[0], tag: "Sing" }] })),
    "a timer with a payload that does not fit": (snapshot) =>
      changed(snapshot, ({ timers, ...body }) => ({ ...body, timers: [{ ...timers[0], payload: 1 }] }))
  }

  for (const [what, change] of Object.entries(partly)) {
    it.effect(`${what} is reported and stored for a program that can read it, and all else is restored`, () =>
      goOn(
        change(keptBy("0.1", 3)),
        Effect.gen(function*() {
          const cart = (yield* carts.Cart).ref("ada")
          assert.deepStrictEqual(yield* cart.state, state(["tea"], "USD", started))
          assert.strictEqual((yield* cart.info).user, "ada")
          assert.strictEqual(yield* cart.callOnce("Add", "jam", carts.once(4)), 2)
          const told = yield* (yield* TestSessions.Recorder).of("SnapshotError")
          assert.lengthOf(told, 1)
          assert.match(String(told[0]!.error), /a timer of (Sing|Add) was left out of the snapshot of Cart\/ada/)
          assert.deepStrictEqual(yield* (yield* SnapshotStore).quarantined, [])
          yield* TestClock.adjust("1 hour")
          assert.deepStrictEqual(yield* cart.state, state(["tea", "jam"], "USD", started))
          // What was written meanwhile has it as it was.
          const store = yield* SnapshotStore
          yield* cart.setMetadata({ device: "tablet" })
          const now = Option.getOrThrow(yield* store.peek(key))
          const { alarmAt, body } = change(keptBy("0.1", 3))
          assert.isNotNull(alarmAt)
          assert.isNull(now.alarmAt)
          assert.deepStrictEqual(JSON.parse(now.body).quarantine, [JSON.parse(body).timers[0]])
        })
      ))
  }

  it.effect("a timer in quarantine fires when a program can read it", () => {
    const waiting = changed(keptBy("0.1", 3), ({ timers: [timer], ...body }) => ({
      ...body,
      timers: [],
      quarantine: [timer, { tag: "Sing" }, null]
    }))
    return goOn(
      waiting,
      Effect.gen(function*() {
        const cart = (yield* carts.Cart).ref("ada")
        assert.deepStrictEqual(yield* cart.state, state(["tea"], "USD", started))
        assert.lengthOf(yield* (yield* TestSessions.Recorder).of("SnapshotError"), 2)
        yield* TestClock.adjust("29 minutes")
        assert.deepStrictEqual(yield* cart.state, state(["tea", "milk"], "USD", started))
      })
    )
  })

  for (const [what, damage] of Object.entries(unreadable)) {
    it.effect(`${what} is quarantined unchanged and reported; the next start starts a new session, and leaves it alone`, () =>
      Effect.gen(function*() {
        const bad = damage(keptBy("0.1", 3))
        yield* goOn(
          bad,
          Effect.gen(function*() {
            const store = yield* SnapshotStore
            const cart = (yield* carts.Cart).ref("ada")
            const error = yield* Effect.flip(cart.call("Add", "jam"))
            assert.strictEqual(error._tag, "SnapshotUnreadable")
            const recorder = yield* TestSessions.Recorder
            const told = (yield* recorder.of("SnapshotError")).filter(({ id }) => id === "ada")
            assert.deepStrictEqual(told.map(({ error }) => error), [error])
            const entries = yield* store.quarantined
            assert.deepStrictEqual(entries.map(({ snapshot }) => snapshot), [bad])
            assert.notStrictEqual(entries[0]!.reason, "")
            assert.strictEqual(entries[0]!.at, carts.start + 60_000)
            const fresh = yield* (yield* carts.Cart).start("ada")
            assert.strictEqual(yield* fresh.call("Add", "jam"), 1)
            assert.isTrue(Option.isSome(yield* store.peek(key)))
            assert.deepStrictEqual(yield* store.quarantined, entries)
            // Operators see it, and can discard it when they are done with it.
            const sessions = yield* Sessions
            assert.deepStrictEqual(yield* sessions.quarantined, entries)
            assert.isFalse(yield* sessions.discardQuarantined({ ...bad, kind: "Unknown" }))
            assert.isTrue(yield* sessions.discardQuarantined(bad))
            assert.isFalse(yield* sessions.discardQuarantined(bad))
            assert.deepStrictEqual(yield* store.quarantined, [])
            assert.strictEqual(yield* fresh.call("Add", "jam"), 2)
          })
        )
      }))
  }

  it.effect("an answer that this program cannot read any more is forgotten, and nothing else is", () =>
    Effect.gen(function*() {
      const kept = changed(keptBy("0.1", 3), ({ clients: [{ answers, ...client }], ...body }) => {
        const [crash, tea, gold] = answers
        return { ...body, clients: [{ ...client, answers: [crash, { ...tea, tag: "Sing" }, gold] }] }
      })
      yield* goOn(
        kept,
        Effect.gen(function*() {
          const cart = (yield* carts.Cart).ref("ada")
          const again = (sequence: number) =>
            Effect.flip(cart.callOnce("Add", "tea", { ...carts.once(sequence), again: true }))
          assert.strictEqual((yield* again(2))._tag, "ActionForgotten")
          assert.strictEqual((yield* again(3))._tag, "SoldOut")
          assert.strictEqual(yield* cart.callOnce("Add", "jam", carts.once(4)), 2)
        })
      )
    }))
})
