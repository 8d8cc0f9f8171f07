import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { SlidingWindow } from "effect-sessions"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Mostly short pauses, sometimes long ones, so that windows fill up and run empty. */
const Gaps = Schema.Array(Schema.Union([int(0, 3), int(0, 40), int(0, 400)]))

const Script = Schema.Struct({
  limit: int(1, 8),
  window: int(1, 200),
  slices: Schema.Literals([1, 4, 20, 1_000]),
  gaps: Gaps
})

/** Everything that was allowed, with its exact time. */
class ExactLog {
  readonly taken: Array<number> = []
  /** How many were allowed within the last `millis`. An event leaves when it is exactly `millis` old. */
  within(millis: number, now: number): number {
    return this.taken.filter((at) => at > now - millis).length
  }
}

/** Runs a script and calls `check` before each take, and after it with what it gave. */
const run = (
  { gaps, limit, slices, window }: typeof Script.Type,
  check: (step: {
    readonly sliding: SlidingWindow
    readonly log: ExactLog
    readonly now: number
    /** The length of a slice. */
    readonly quantum: number
    readonly taken: boolean | undefined
  }) => void
) => {
  const sliding = new SlidingWindow(limit, window, slices)
  const log = new ExactLog()
  const quantum = window / slices
  let now = 1_000_000
  for (const gap of gaps) {
    now += gap
    check({ sliding, log, now, quantum, taken: undefined })
    const taken = sliding.take(now) === 0
    if (taken) log.taken.push(now)
    check({ sliding, log, now, quantum, taken })
  }
}

const many = { arbitrary: { runs: 300, size: 120 } }

describe("SlidingWindow", () => {
  it.prop("never allows more than its limit in any window, wherever that begins", [Script], ([script]) => {
    run(script, ({ log, now, taken }) => {
      if (taken === true) assert.isAtMost(log.within(script.window, now), script.limit)
    })
  }, many)

  it.prop("counts what happened within the window, exact to one slice and never too low", [Script], ([script]) => {
    run(script, ({ log, now, quantum, sliding }) => {
      const count = sliding.count(now)
      assert.isAtLeast(count, log.within(script.window, now))
      assert.isAtMost(count, log.within(script.window + quantum, now))
    })
  }, many)

  it.prop("refuses only when the window, give or take a slice, is full", [Script], ([script]) => {
    run(script, ({ log, now, quantum, taken }) => {
      if (taken === false) assert.isAtLeast(log.within(script.window + quantum, now), script.limit)
    })
  }, many)

  it.prop("says how long to wait, exact to one slice", [Script], ([script]) => {
    run(script, ({ log, now, quantum, sliding, taken }) => {
      if (taken !== undefined) return
      const wait = sliding.wait(now)
      const inWindow = log.taken.filter((at) => at > now - script.window)
      const exact = inWindow.length < script.limit ? 0 : inWindow[0]! + script.window - now
      assert.isAtLeast(wait, exact)
      assert.isAtMost(wait, Math.max(1, exact + quantum))
      // A copy, for taking changes it.
      const later = new SlidingWindow(script.limit, script.window, script.slices)
      for (const at of log.taken) assert.strictEqual(later.take(at), 0)
      assert.strictEqual(later.take(now + wait), 0)
    })
  }, { arbitrary: { runs: 100, size: 60 } })

  it.prop("counts nothing when it is only asked", [Script], ([script]) => {
    const asked: Array<boolean> = []
    run(script, ({ now, sliding, taken }) => {
      sliding.wait(now)
      sliding.count(now)
      if (taken !== undefined) asked.push(taken)
    })
    const notAsked: Array<boolean> = []
    run(script, ({ taken }) => {
      if (taken !== undefined) notAsked.push(taken)
    })
    assert.deepStrictEqual(asked, notAsked)
  }, many)

  it("gives a refused take the same answer as wait", () => {
    const sliding = new SlidingWindow(2, 60_000)
    assert.strictEqual(sliding.take(10_000), 0)
    assert.strictEqual(sliding.take(30_000), 0)
    assert.strictEqual(sliding.wait(40_000), 30_000)
    assert.strictEqual(sliding.take(40_000), 30_000)
  })

  it("slides: what a fixed window would allow at its border it refuses", () => {
    const sliding = new SlidingWindow(100, 60_000)
    for (let i = 0; i < 100; i++) assert.strictEqual(sliding.take(59_000), 0)
    assert.strictEqual(sliding.take(60_001), 58_999)
    assert.strictEqual(sliding.take(118_999), 1)
    for (let i = 0; i < 100; i++) assert.strictEqual(sliding.take(119_000), 0)
    assert.isAbove(sliding.take(119_000), 0)
  })

  it("lets events leave one after the other", () => {
    const sliding = new SlidingWindow(10, 1_000, 1_000)
    for (let i = 0; i < 10; i++) sliding.take(i * 100)
    assert.deepStrictEqual([999, 1_000, 1_100, 1_899, 1_900].map((now) => sliding.count(now)), [10, 9, 8, 1, 0])
  })

  it("does not count what it refuses", () => {
    const sliding = new SlidingWindow(1, 1_000)
    sliding.take(0)
    for (let now = 1; now < 1_000; now++) assert.isAbove(sliding.take(now), 0)
    assert.strictEqual(sliding.take(1_000), 0)
  })

  it("holds a bounded amount, however many events there were", () => {
    const sliding = new SlidingWindow(1_000_000, 60_000)
    let largest = 0
    let refused = 0
    for (let now = 0; now < 300_000; now++) {
      if (sliding.take(now) > 0) refused++
      if (now % 10_000 === 0) largest = Math.max(largest, JSON.stringify(sliding).length)
    }
    assert.strictEqual(refused, 0)
    // Of 60,000 events in the window, a thousand slices; and at most as many that wait to be cleared.
    assert.isAtLeast(sliding.count(300_000), 59_999)
    assert.isAtMost(sliding.count(300_000), 59_999 + 60)
    assert.isBelow(largest, 40_000)
  })

  it("holds nothing once it was quiet for a window", () => {
    const empty = JSON.stringify(new SlidingWindow(1_000, 1_000)).length
    const sliding = new SlidingWindow(1_000, 1_000)
    for (let now = 0; now < 900; now++) sliding.take(now)
    assert.isAbove(JSON.stringify(sliding).length, empty + 1_000)
    assert.strictEqual(sliding.count(2_000), 0)
    assert.strictEqual(JSON.stringify(sliding).length, empty)
  })
})
