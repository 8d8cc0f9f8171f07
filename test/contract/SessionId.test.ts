import { assert, describe, it, vi } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { SessionId } from "effect-sessions"

const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:@-"

describe("SessionId", () => {
  it.each([
    "a",
    "user:42",
    "ada@example.com",
    "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "room.1~draft_2",
    "..",
    "__proto__",
    "x".repeat(128)
  ])("takes %j", (id) => {
    assert.isTrue(SessionId.isValid(id))
  })

  it.each([
    ["the empty text", ""],
    ["one character too many", "x".repeat(129)],
    ["a space", "a b"],
    ["a trailing newline", "abc\n"],
    ["a leading newline", "\nabc"],
    ["a slash", "a/b"],
    ["a backslash", "a\\b"],
    ["a question mark", "a?b"],
    ["a number sign", "a#b"],
    ["a percent sign", "a%2Fb"],
    ["a plus sign", "a+b"],
    ["a semicolon, which ends a cookie", "a;b"],
    ["a comma", "a,b"],
    ["a quote", "a\"b"],
    ["a star, which is a glob", "a*"],
    ["a letter with an accent", "é"],
    ["a Cyrillic letter that looks Latin", "\u0430da"],
    ["a full-width letter", "\uff41"],
    ["an emoji", "😀"],
    ["a lone surrogate", "\ud83d"],
    ["a zero-width space", "a\u200bb"],
    ["a right-to-left mark", "a\u202eb"]
  ])("refuses %s", (_what, id) => {
    assert.isFalse(SessionId.isValid(id))
  })

  it("refuses every control character, wherever it stands", () => {
    for (const code of [...Array(0x20).keys(), ...Array.from({ length: 0x21 }, (_, i) => 0x7f + i)]) {
      const control = String.fromCharCode(code)
      for (const id of [control, `${control}a`, `a${control}`, `a${control}b`]) {
        assert.isFalse(SessionId.isValid(id), `code ${code}`)
      }
    }
  })

  it.each([undefined, null, 42, {}, ["a"], new String("a"), Symbol("a")])(
    "refuses what is no text: %s",
    (value) => {
      assert.isFalse(SessionId.isValid(value))
    }
  )

  it.prop(
    "is valid just when it has 1 to 128 characters and all of them are URL-safe",
    [Schema.Array(Schema.Union([Schema.Literals([...allowed]), Schema.Literals([..."/ é\0%"])]))],
    ([characters]) => {
      const id = characters.join("")
      const expected = id.length >= 1 && id.length <= 128 && [...id].every((character) => allowed.includes(character))
      return SessionId.isValid(id) === expected
    }
  )

  it.prop("agrees with itself in the guard, the schema and fromString", [Schema.String], ([id]) => {
    const valid = SessionId.isValid(id)
    return Schema.is(SessionId.SessionId)(id) === valid &&
      Exit.isSuccess(Effect.runSyncExit(SessionId.fromString(id))) === valid
  })

  it.effect("gives a valid id back as it was", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* SessionId.fromString("user:42"), "user:42")
      assert.strictEqual(yield* Schema.decodeUnknownEffect(SessionId.SessionId)("user:42"), "user:42")
    }))

  it.effect("says what is wrong with an id", () =>
    Effect.gen(function*() {
      const empty = yield* Effect.flip(SessionId.fromString(""))
      assert.strictEqual(empty._tag, "InvalidSessionId")
      assert.include(empty.message, "empty")
      const long = yield* Effect.flip(SessionId.fromString("x".repeat(129)))
      assert.include(long.message, "129")
      assert.include(long.message, String(SessionId.maxLength))
      const space = yield* Effect.flip(SessionId.fromString("a b"))
      assert.include(space.message, "\"a b\"")
      assert.include(space.message, "letters, digits")
    }))

  it.effect("quotes only the start of a hostile id", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(SessionId.fromString("x".repeat(1_000_000)))
      assert.isBelow(error.message.length, 200)
      assert.isBelow(error.id.length, 50)
    }))

  it.effect("says in the schema's own error what an id is", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Schema.decodeUnknownEffect(SessionId.SessionId)("a b"))
      assert.include(error.message, "session id")
    }))

  describe("make", () => {
    it.effect("takes all of 192 bits from the cryptographic source", () =>
      Effect.gen(function*() {
        const bytes: Array<Uint8Array> = []
        const real = globalThis.crypto.getRandomValues.bind(globalThis.crypto)
        const spy = vi.spyOn(globalThis.crypto, "getRandomValues").mockImplementation((array) => {
          const filled = real(array)
          bytes.push(new Uint8Array(filled!.buffer.slice(0)))
          return filled
        })
        const id = yield* Effect.ensuring(SessionId.make, Effect.sync(() => spy.mockRestore()))
        assert.strictEqual(bytes.length, 1)
        assert.strictEqual(bytes[0]!.length * 8, 192)
        assert.strictEqual(id, Buffer.from(bytes[0]!).toString("base64url"))
      }))

    it.effect("gives 32 characters of base64url, which are a valid id, and never the same twice", () =>
      Effect.gen(function*() {
        const ids = yield* Effect.replicateEffect(SessionId.make, 2_000)
        for (const id of ids) {
          assert.match(id, /^[A-Za-z0-9_-]{32}$/)
          assert.isTrue(SessionId.isValid(id))
        }
        assert.strictEqual(new Set(ids).size, ids.length)
      }))

    it.effect("uses the whole alphabet evenly, at every place", () =>
      Effect.gen(function*() {
        const ids = yield* Effect.replicateEffect(SessionId.make, 2_000)
        const total = new Map<string, number>()
        for (let place = 0; place < 32; place++) {
          const here = new Set(ids.map((id) => id[place]!))
          // Each of the 64 is expected 31 times: a missing character means that some bits are not random.
          assert.strictEqual(here.size, 64, `place ${place}`)
          for (const id of ids) total.set(id[place]!, (total.get(id[place]!) ?? 0) + 1)
        }
        // Expected 1,000 each; the limits are 8 standard deviations away.
        for (const [character, count] of total) {
          assert.isTrue(count > 750 && count < 1_250, `${character} was used ${count} times`)
        }
      }))
  })
})
