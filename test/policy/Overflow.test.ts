import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Overflow } from "effect-sessions"

const message = (tag: string) => ({ route: { tag } })

const full = (sent: ReturnType<typeof message>, mailbox: ReadonlyArray<ReturnType<typeof message>> = []) => ({
  message: sent,
  canWait: true,
  droppable: () => mailbox
})

const policyOf = (overflow: "wait" | "reject" | "dropOldest" | undefined) =>
  Effect.map(Overflow.resolve("overflow", overflow, ["Move"]), (policies) => policies.get("Move")!)

describe("The policy for a full mailbox", () => {
  it.effect("wait: its sender waits, or is refused when it cannot", () =>
    Effect.gen(function*() {
      const decide = yield* policyOf("wait")
      assert.deepStrictEqual(decide(full(message("Move"))), { _tag: "wait" })
      assert.deepStrictEqual(decide({ ...full(message("Move")), canWait: false }), { _tag: "refuse" })
    }))

  it.effect("wait is the default", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* policyOf(undefined), yield* policyOf("wait"))
    }))

  it.effect("reject: its sender is refused", () =>
    Effect.gen(function*() {
      const decide = yield* policyOf("reject")
      assert.deepStrictEqual(decide(full(message("Move"), [message("Move")])), { _tag: "refuse" })
    }))

  it.effect("dropOldest: the oldest message with its tag is dropped, or it is refused when there is none", () =>
    Effect.gen(function*() {
      const decide = yield* policyOf("dropOldest")
      const oldest = message("Move")
      const decision = decide(full(message("Move"), [message("Say"), oldest, message("Move")]))
      assert.strictEqual(decision._tag === "replace" && decision.dropped, oldest)
      assert.deepStrictEqual(decide(full(message("Move"), [message("Say")])), { _tag: "refuse" })
    }))

  it.effect("is that of each message, where the option names messages", () =>
    Effect.gen(function*() {
      const policies = yield* Overflow.resolve("overflow", { Move: "dropOldest", Say: undefined } as never, [
        "Move",
        "Say",
        "constructor"
      ])
      assert.strictEqual(policies.get("Move"), yield* policyOf("dropOldest"))
      assert.strictEqual(policies.get("Say"), yield* policyOf("wait"))
      assert.strictEqual(policies.get("constructor"), yield* policyOf("wait"))
    }))
})
