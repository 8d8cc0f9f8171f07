// oxlint-disable no-restricted-imports -- the module is internal: the package does not export it
import { assert, describe, it, vi } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { afterEach } from "vitest"
import { MonotonicClock } from "../../src/internal/MonotonicClock.ts"

afterEach(() => {
  vi.restoreAllMocks()
})

/** The clocks of a machine, each to be set; how often the dearer one was read. */
const machine = () => {
  const at = { wall: 1_700_000_000_000, mono: 5_000_000, reads: 0 }
  vi.spyOn(Date, "now").mockImplementation(() => at.wall)
  vi.spyOn(process.hrtime, "bigint").mockImplementation(() => {
    at.reads++
    return BigInt(Math.round(at.mono * 1e6))
  })
  return {
    at,
    pass: (millis: number) => {
      at.wall += millis
      at.mono += millis
    }
  }
}

const live = Effect.runSync(Clock.Clock)

describe("MonotonicClock", () => {
  it("counts the milliseconds since it was made", () => {
    const { pass } = machine()
    const clock = new MonotonicClock(live)
    assert.strictEqual(clock.now(), 0)
    for (const millis of [1, 15, 1_000, 3_600_000]) {
      const before = clock.now()
      pass(millis)
      assert.strictEqual(clock.now() - before, millis)
    }
  })

  it("does not jump with the wall clock, nor go back", () => {
    const { at, pass } = machine()
    const clock = new MonotonicClock(live)
    let expected = 0
    for (const step of [3_600_000, -3_600_000, 500, -1, 86_400_000 * 365, -86_400_000 * 400, 21]) {
      at.wall += step
      assert.strictEqual(clock.now(), expected)
      pass(10)
      assert.strictEqual(clock.now(), expected += 10)
      assert.strictEqual(clock.dateOf(clock.now()), at.wall)
    }
  })

  it("is wrong by a small step at most, and not for long", () => {
    const { at, pass } = machine()
    const clock = new MonotonicClock(live)
    at.wall += 20
    assert.strictEqual(clock.now(), 20)
    // It stands still until it is right again.
    for (let i = 0; i < 256; i++) clock.now()
    assert.strictEqual(clock.now(), 20)
    pass(5)
    assert.strictEqual(clock.now(), 20)
    pass(1_000)
    assert.strictEqual(clock.now(), 1_005)
  })

  it("reads the dearer clock now and then only, while messages come one after the other", () => {
    const { at, pass } = machine()
    const clock = new MonotonicClock(live)
    const { reads } = at
    for (let i = 0; i < 10_000; i++) {
      if (i % 10 === 0) pass(1)
      clock.now()
    }
    assert.isBelow(at.reads - reads, 50)
    assert.strictEqual(clock.now(), 1_000)
  })

  it.effect("is exact under a TestClock, whichever way that is moved", () =>
    Effect.gen(function*() {
      const clock = new MonotonicClock(yield* Clock.Clock)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(clock.now(), 3_600_000)
      yield* TestClock.adjust(0.5)
      assert.strictEqual(clock.now(), 3_600_000.5)
      yield* TestClock.setTime(7_200_000)
      assert.strictEqual(clock.now(), 7_200_000)
      yield* TestClock.setTime(0)
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(clock.now(), 14_400_000)
      assert.strictEqual(clock.dateOf(clock.now()), 7_200_000)
    }))
})
