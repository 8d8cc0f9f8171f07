import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Redacted } from "effect"
import {
  type ClaimRefused,
  Encrypted,
  MemoryStore,
  type Snapshot,
  SnapshotStore,
  SnapshotStoreError
} from "effect-sessions/snapshots"
import { readFileSync } from "node:fs"
import { describeStore, snapshotOf } from "./contract.ts"

const newKey = () => Redacted.make(Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64"))

describeStore("Encrypted", Encrypted.layer(newKey()).pipe(Layer.provide(MemoryStore.layer)), { runs: 40 })

const key = { kind: "cart", id: "a" }
const secret = snapshotOf(key, 5, { version: 7, body: "the secret" })

/** A store and what reads and writes it with these keys. */
const setUp = Effect.gen(function*() {
  const inner = Context.get(yield* Layer.build(Layer.fresh(MemoryStore.layer)), SnapshotStore)
  const withKeys = (...keys: ReadonlyArray<Redacted.Redacted>) =>
    Effect.map(
      Layer.build(Layer.fresh(Encrypted.layer(keys)).pipe(Layer.provide(Layer.succeed(SnapshotStore, inner)))),
      (context) => Context.get(context, SnapshotStore)
    )
  return { inner, withKeys, raw: Effect.map(inner.peek(key), Option.getOrThrow) }
})

const assertUnreadable = (error: SnapshotStoreError | ClaimRefused, why: string) => {
  assert.instanceOf(error, SnapshotStoreError)
  assert.instanceOf(error.cause, Encrypted.UnreadableSnapshot)
  assert.include(error.message, why)
}

describe("Encrypted", () => {
  it.effect("lets the store see nothing of the body, nor of the reason of a quarantine", () =>
    Effect.gen(function*() {
      const { inner, raw, withKeys } = yield* setUp
      const store = yield* withKeys(newKey())
      yield* store.save([secret])
      const first = yield* raw
      assert.notInclude(first.body, "secret")
      assert.deepStrictEqual({ ...first, body: "" }, { ...secret, body: "" })
      yield* store.save([secret])
      assert.notStrictEqual((yield* raw).body, first.body)
      yield* store.quarantine(secret, "expected a number, got secret")
      assert.notInclude(JSON.stringify(yield* inner.quarantined), "secret")
      assert.deepStrictEqual(yield* store.quarantined, [
        { snapshot: secret, reason: "expected a number, got secret", at: 0 }
      ])
    }))

  it.effect("reads what former keys have encrypted, and encrypts with the first", () =>
    Effect.gen(function*() {
      const { raw, withKeys } = yield* setUp
      const [old, current] = [newKey(), newKey()]
      yield* (yield* withKeys(old)).save([secret])
      const before = yield* raw
      const rotated = yield* withKeys(current, old)
      assert.deepStrictEqual(yield* rotated.peek(key), Option.some(secret))
      yield* rotated.save([secret])
      const [, oldId] = before.body.split(".")
      const [, newId] = (yield* raw).body.split(".")
      assert.notStrictEqual(newId, oldId)
      assert.deepStrictEqual(yield* (yield* withKeys(current)).peek(key), Option.some(secret))
      assertUnreadable(yield* Effect.flip((yield* withKeys(old)).peek(key)), `the key ${newId}`)
    }))

  it.effect("fails for a snapshot that it has no key for, which stays", () =>
    Effect.gen(function*() {
      const { raw, withKeys } = yield* setUp
      const right = newKey()
      yield* (yield* withKeys(right)).save([secret])
      const before = yield* raw
      const wrong = yield* withKeys(newKey())
      assertUnreadable(yield* Effect.flip(wrong.claim(key, 1)), "not among the keys")
      assert.deepStrictEqual(yield* raw, before)
      assert.deepStrictEqual((yield* (yield* withKeys(right)).claim(key, 1)).snapshot, Option.some(secret))
    }))

  it.effect("finds out when a body was changed, cut, swapped, made older, or not encrypted", () =>
    Effect.gen(function*() {
      const { inner, raw, withKeys } = yield* setUp
      const mine = newKey()
      const store = yield* withKeys(mine)
      yield* store.save([secret, snapshotOf({ ...key, id: "b" }, 5, { version: 7 })])
      const good = yield* raw
      const other = Option.getOrThrow(yield* inner.peek({ ...key, id: "b" }))
      const at = good.body.lastIndexOf(".") + 30
      const flipped = good.body.slice(0, at) + (good.body[at] === "A" ? "B" : "A") + good.body.slice(at + 1)
      const forged: ReadonlyArray<Partial<Snapshot>> = [
        { body: flipped },
        { body: good.body.slice(0, -4) },
        { body: good.body.split(".").slice(0, 3).join(".") + "." },
        { body: other.body },
        { version: 8 },
        { epoch: 6 },
        { format: 2 },
        { body: "the secret" },
        { body: "" }
      ]
      assert.deepStrictEqual(yield* store.peek(key), Option.some(secret))
      for (const change of forged) {
        const forger = yield* setUp
        yield* forger.inner.save([{ ...good, ...change }])
        assertUnreadable(yield* Effect.flip((yield* forger.withKeys(mine)).peek(key)), "cannot be decrypted")
      }
    }))

  it.effect("reads what release 0.1 has stored, and finds its users", () =>
    Effect.gen(function*() {
      const text = readFileSync(new URL("fixtures/0.1/encrypted.json", import.meta.url), "utf8")
      const { key, quarantined, reads, reason, stored } = JSON.parse(text)
      const { inner, withKeys } = yield* setUp
      yield* inner.save([stored])
      yield* inner.quarantine(quarantined.snapshot, quarantined.reason)
      const store = yield* withKeys(newKey(), Redacted.make(key))
      assert.deepStrictEqual(yield* store.peek(reads), Option.some(reads))
      assert.deepStrictEqual((yield* store.list({ kind: "cart", user: reads.user, limit: 9 })).map(({ id }) => id), [
        reads.id
      ])
      assert.deepStrictEqual(yield* store.quarantined, [{ snapshot: { ...reads, id: "bob" }, reason, at: 0 }])
    }))

  it.effect("refuses keys of another length, none, and the same twice, without showing them", () =>
    Effect.gen(function*() {
      const { withKeys } = yield* setUp
      const same = newKey()
      const hex = Redacted.make(Buffer.from(Redacted.value(same), "base64").toString("hex"))
      const bad = [[], [Redacted.make("short")], [same, Redacted.make("x".repeat(44))], [same, hex]]
      for (const keys of bad) {
        const error = yield* Effect.flip(withKeys(...keys))
        assert.strictEqual(error._tag, "InvalidConfig")
        assert.notInclude(error.message, "xxx")
      }
      yield* (yield* withKeys(same)).save([secret])
      yield* withKeys(hex)
    }))
})
