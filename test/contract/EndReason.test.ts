import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { EndReason } from "effect-sessions"

const examples: ReadonlyArray<{ readonly reason: EndReason.EndReason; readonly text: string }> = [
  { reason: EndReason.stopped(), text: "stopped" },
  { reason: EndReason.stopped("logout"), text: "stopped (logout)" },
  { reason: EndReason.stopped({ by: "admin" }), text: "stopped ({\"by\":\"admin\"})" },
  { reason: EndReason.stopped(0), text: "stopped (0)" },
  { reason: EndReason.stopped(null), text: "stopped (null)" },
  { reason: EndReason.expired("idle"), text: "expired (idle timeout)" },
  { reason: EndReason.expired("absolute"), text: "expired (absolute timeout)" },
  { reason: EndReason.crashed("a text"), text: "crashed (a text)" },
  { reason: EndReason.crashed(new Error("no database")), text: "crashed (Error: no database)" },
  { reason: EndReason.crashed(new TypeError("")), text: "crashed (TypeError)" },
  { reason: EndReason.evicted, text: "evicted" },
  { reason: EndReason.shutdown, text: "shutdown" },
  { reason: { _tag: "Moved" }, text: "moved" },
  { reason: { _tag: "Disconnected" }, text: "disconnected" }
]

describe("EndReason", () => {
  it("lists the tags of all members of its schema, in their order", () => {
    const members = EndReason.EndReason.members.map((member) => member.fields._tag.schema.literal)
    assert.deepStrictEqual<ReadonlyArray<string>>(EndReason.tags, members)
    assert.deepStrictEqual(new Set(examples.map(({ reason }) => reason._tag)), new Set(EndReason.tags))
  })

  it.each(examples)("reads as $text", ({ reason, text }) => {
    assert.strictEqual(EndReason.format(reason), text)
  })

  it("reads as one line when the detail is circular", () => {
    const circular: Record<string, unknown> = {}
    circular["self"] = circular
    assert.match(EndReason.format(EndReason.stopped(circular)), /^stopped \(.+\)$/)
  })

  it("reads as one line when the detail is no JSON", () => {
    assert.strictEqual(EndReason.format(EndReason.stopped(Symbol("why"))), "stopped (Symbol(why))")
    assert.strictEqual(EndReason.format(EndReason.stopped(10n)), "stopped (10)")
  })

  it("has no detail when none is given", () => {
    assert.notProperty(EndReason.stopped(), "detail")
  })

  it.effect.each(examples)("travels as JSON: $text", ({ reason }) =>
    Effect.gen(function*() {
      const codec = Schema.toCodecJson(EndReason.EndReason)
      const json = JSON.stringify(yield* Schema.encodeEffect(codec)(reason))
      const back = yield* Schema.decodeUnknownEffect(codec)(JSON.parse(json))
      if (reason._tag === "Crashed" && reason.defect instanceof Error) {
        assert.strictEqual(back._tag, "Crashed")
        assert.strictEqual(EndReason.format(back), EndReason.format(reason))
      } else {
        assert.deepStrictEqual(back, reason)
      }
    }))

  it.effect.each([
    { _tag: "Gone" },
    { _tag: "Expired" },
    { _tag: "Expired", limit: "later" },
    { _tag: "stopped" },
    "Stopped",
    null
  ])("does not decode %j", (value) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Schema.decodeUnknownEffect(EndReason.EndReason)(value))
      assert.isTrue(Exit.isFailure(exit))
    }))
})
