import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import { type KindOptions, Supervision } from "effect-sessions"

/** What is decided about crashes at these times, as "resume 50" or "stop". */
const decisions = (policy: KindOptions.Supervision, times: ReadonlyArray<number>): Array<string> => {
  const resolved = Supervision.resolve(policy)
  const recent: Array<number> = []
  return times.map((now) => {
    const decision = Supervision.decide(resolved, recent, now)
    return decision._tag === "stop" ? "stop" : `${decision._tag} ${decision.pauseMillis}`
  })
}

const at = (count: number, every = 0) => Array.from({ length: count }, (_, i) => 1_000 + i * every)

describe("Supervision", () => {
  it("resumes by default after pauses that double, and stops at the sixth crash in 10 seconds", () => {
    assert.deepStrictEqual(
      decisions(Supervision.resume(), at(7)),
      ["resume 0", "resume 50", "resume 100", "resume 200", "resume 400", "stop", "stop"]
    )
  })

  it("resets with the same pauses and intensity", () => {
    assert.deepStrictEqual(
      decisions(Supervision.reset(), at(6)),
      ["reset 0", "reset 50", "reset 100", "reset 200", "reset 400", "stop"]
    )
  })

  it("stops at the first crash when that is the policy", () => {
    assert.deepStrictEqual(decisions(Supervision.stop, at(1)), ["stop"])
    assert.deepStrictEqual(decisions({ ...Supervision.stop, maxCrashes: 100 }, at(1)), ["stop"])
  })

  it("stops at the first crash when none is allowed", () => {
    assert.deepStrictEqual(decisions(Supervision.resume({ maxCrashes: 0 }), at(1)), ["stop"])
  })

  it("forgets crashes that are as old as the window, and begins its pauses again", () => {
    assert.deepStrictEqual(
      decisions(Supervision.resume({ within: "1 second" }), [0, 400, 999, 1_000, 1_399, 1_400, 5_000]),
      ["resume 0", "resume 50", "resume 100", "resume 100", "resume 200", "resume 200", "resume 0"]
    )
  })

  it("never stops a session whose crashes are rare enough", () => {
    const rare = decisions(Supervision.resume({ maxCrashes: 2, within: "1 second" }), at(1_000, 500))
    assert.notInclude(rare, "stop")
    const oneMore = decisions(Supervision.resume({ maxCrashes: 2, within: "1 second" }), at(3, 499))
    assert.deepStrictEqual(oneMore, ["resume 0", "resume 50", "stop"])
  })

  it("asks the given backoff with the number of crashes in the window", () => {
    const asked: Array<number> = []
    const policy = Supervision.resume({
      maxCrashes: 3,
      backoff: (crash) => {
        asked.push(crash)
        return `${crash} seconds`
      }
    })
    assert.deepStrictEqual(decisions(policy, at(4)), ["resume 1000", "resume 2000", "resume 3000", "stop"])
    assert.deepStrictEqual(asked, [1, 2, 3])
  })

  it("takes a negative backoff for none", () => {
    assert.deepStrictEqual(decisions(Supervision.resume({ backoff: () => "-5 seconds" }), at(1)), ["resume 0"])
  })

  it("keeps no more crashes than the window holds", () => {
    const resolved = Supervision.resolve(Supervision.resume({ maxCrashes: 1_000_000, within: "1 second" }))
    const recent: Array<number> = []
    for (let now = 0; now < 10_000; now += 10) Supervision.decide(resolved, recent, now)
    assert.strictEqual(recent.length, 100)
  })

  it.prop(
    "stops exactly when more crashes than allowed fall into one window",
    [
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 }))),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))
    ],
    ([gaps, maxCrashes]) => {
      const times: Array<number> = []
      for (const gap of gaps) times.push((times.at(-1) ?? 0) + gap)
      const policy = Supervision.resume({ maxCrashes, within: "1 second", backoff: () => 0 })
      const expected = times.map((now, i) =>
        times.slice(0, i + 1).filter((time) => time > now - 1_000).length > maxCrashes ? "stop" : "resume 0"
      )
      assert.deepStrictEqual(decisions(policy, times), expected)
    },
    { arbitrary: { size: 60 } }
  )

  describe("exponential", () => {
    const pauses = (backoff: (crash: number) => Duration.Input, crashes: ReadonlyArray<number>) =>
      crashes.map((crash) => Duration.toMillis(backoff(crash)))

    it("does not pause after the first crash, then doubles from 50 ms up to 5 seconds", () => {
      assert.deepStrictEqual(
        pauses(Supervision.exponential(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100]),
        [0, 50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]
      )
    })

    it("takes its base and cap from the options", () => {
      assert.deepStrictEqual(
        pauses(Supervision.exponential({ base: "1 second", cap: "3 seconds" }), [1, 2, 3, 4]),
        [0, 1_000, 2_000, 3_000]
      )
    })

    it("stays at its cap however many crashes there were", () => {
      assert.deepStrictEqual(pauses(Supervision.exponential(), [10_000]), [5_000])
    })
  })
})
