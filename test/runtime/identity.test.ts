import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Session, type SessionRef, Sessions } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"

class Visit extends Session.Service<Visit>()("Visit", {
  state: Schema.Int,
  protocol: [Rpc.make("Name", { payload: Schema.String })]
}) {}

const VisitLayer = Visit.toLayer(Visit.behavior({
  init: () => 0,
  handlers: { Name: ({ payload, self, state }) => Effect.as(self.setUser(payload), [state] as const) }
}))

const test = <A, E>(effect: Effect.Effect<A, E, Visit | Sessions>) =>
  Effect.provide(effect, TestSessions.layer(VisitLayer))

const started = Effect.gen(function*() {
  const ref = yield* (yield* Visit).start("a", { metadata: { ticket: "one", since: { day: 1 } } })
  const users = (user: string) => Effect.map(Effect.flatMap(Sessions, (all) => all.ofUser(user)), (refs) => refs.length)
  return { ref, users, info: ref.info }
})

describe("compareAndSet", () => {
  it.effect("changes metadata and user in one step while what is expected is there", () =>
    test(Effect.gen(function*() {
      const { info, ref, users } = yield* started
      assert.isTrue(yield* ref.compareAndSet({ ticket: "one" }, { metadata: { ticket: "two" }, user: "ada" }))
      assert.deepInclude(yield* info, { user: "ada", metadata: { ticket: "two", since: { day: 1 } } })
      assert.strictEqual(yield* users("ada"), 1)
      assert.isFalse(yield* ref.compareAndSet({ ticket: "one" }, { metadata: { ticket: "three" }, user: "eve" }))
      assert.deepInclude(yield* info, { user: "ada", metadata: { ticket: "two", since: { day: 1 } } })
      assert.strictEqual(yield* users("eve"), 0)
    })))

  it.effect("leaves the user alone unless it is named, and takes it away when it is `undefined`", () =>
    test(Effect.gen(function*() {
      const { info, ref, users } = yield* started
      yield* ref.setUser("ada")
      assert.isTrue(yield* ref.compareAndSet({}, { metadata: { more: true } }))
      assert.strictEqual((yield* info).user, "ada")
      assert.isTrue(yield* ref.compareAndSet({}, { user: undefined }))
      assert.strictEqual((yield* info).user, undefined)
      assert.strictEqual(yield* users("ada"), 0)
    })))

  it.effect("compares what is in objects, and takes what is missing for `undefined`", () =>
    test(Effect.gen(function*() {
      const { ref } = yield* started
      assert.isTrue(yield* ref.compareAndSet({ since: { day: 1 }, other: undefined }, { metadata: { other: 1 } }))
      assert.isFalse(yield* ref.compareAndSet({ since: { day: 2 } }, {}))
      assert.isFalse(yield* ref.compareAndSet({ other: undefined }, {}))
    })))

  it.effect("of many callers that expect the same value, one succeeds", () =>
    test(Effect.gen(function*() {
      const { info, ref } = yield* started
      const done = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, i) => i),
        (i) => ref.compareAndSet({ ticket: "one" }, { metadata: { ticket: `by ${i}` }, user: `user ${i}` }),
        { concurrency: "unbounded" }
      )
      const winner = done.indexOf(true)
      assert.strictEqual(done.lastIndexOf(true), winner)
      assert.deepInclude(yield* info, { user: `user ${winner}` })
      assert.strictEqual((yield* info).metadata["ticket"], `by ${winner}`)
    })))

  it.effect("fails where there is no session", () =>
    test(Effect.gen(function*() {
      const error = yield* Effect.flip((yield* Visit).ref("nobody").compareAndSet({}, { user: "ada" }))
      assert.strictEqual(error._tag, "SessionNotFound")
    })))
})

describe("a watcher", () => {
  it.effect("gets each change of user and metadata, from outside and inside, and no other", () =>
    test(
      Effect.gen(function*() {
        const { ref } = yield* started
        const told: Array<SessionRef.Identity> = []
        yield* ref.watch({ identified: (identity) => told.push(identity), ended: () => {} })
        yield* ref.setUser("ada")
        yield* ref.setMetadata({ seen: true })
        yield* ref.compareAndSet({ ticket: "one" }, { metadata: { ticket: "two" }, user: "eve" })
        yield* ref.compareAndSet({ ticket: "one" }, { user: "mallory" })
        yield* ref.call("Name", "grace")
        yield* ref.touch
        const metadata = { ticket: "one", since: { day: 1 } }
        assert.deepStrictEqual(told, [
          { user: "ada", metadata },
          { user: "ada", metadata: { ...metadata, seen: true } },
          { user: "eve", metadata: { ...metadata, seen: true, ticket: "two" } },
          { user: "grace", metadata: { ...metadata, seen: true, ticket: "two" } }
        ])
      }).pipe(Effect.scoped)
    ))

  it.effect("that throws harms no other", () =>
    test(
      Effect.gen(function*() {
        const { info, ref } = yield* started
        yield* ref.watch({
          identified: () => {
            throw new Error("a bug")
          },
          ended: () => {}
        })
        yield* ref.setUser("ada")
        assert.strictEqual((yield* info).user, "ada")
      }).pipe(Effect.scoped)
    ))
})
