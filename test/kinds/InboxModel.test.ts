import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { Inbox } from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"

class Inboxes extends Inbox.Service<Inboxes>()("Inboxes", { kinds: { a: Schema.Int, b: Schema.Int } }) {}

type Kind = "a" | "b"
type WhenFull = Inbox.WhenFull

const Act = Schema.Struct({
  does: Schema.Literals([
    "push",
    "push",
    "push",
    "push",
    "read",
    "readUpTo",
    "readAll",
    "remove",
    "clear",
    "wait",
    "restart"
  ]),
  kind: Schema.Literals(["a", "b"]),
  key: Schema.Literals(["", "", "x", "y"]),
  replaces: Schema.Boolean,
  seconds: Schema.Literals([0, 0, 1, 2, 5, 600]),
  n: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 }))
})
type Act = typeof Act.Type

interface Note {
  readonly id: number
  readonly kind: Kind
  readonly key: string
  readonly payload: number
  readonly expiresAt: number
  isRead: boolean
}

/** An inbox, as simple as it can be: a list that is looked through each time. */
class Model {
  notes: Array<Note> = []
  now = 0
  readonly capacity: number
  readonly whenFull: WhenFull
  constructor(capacity: number, whenFull: WhenFull) {
    this.capacity = capacity
    this.whenFull = whenFull
  }

  wait(millis: number) {
    this.now += millis
    this.notes = this.notes.filter(({ expiresAt }) => expiresAt > this.now)
  }

  /** The result of a push: the id of the notification that stays, or a new id, or no room. */
  push(note: Omit<Note, "id">, replaces: boolean, id: () => number): { readonly kept: number } | "new" | "full" {
    const same = note.key === "" ? undefined : this.notes.find(({ key }) => key === note.key)
    if (same !== undefined && !replaces) return { kept: same.id }
    const rest = this.notes.filter((other) => other !== same)
    if (rest.length === this.capacity) {
      if (this.whenFull === "reject") return "full"
      const read = this.whenFull === "dropRead" ? rest.findIndex(({ isRead }) => isRead) : 0
      rest.splice(Math.max(read, 0), 1)
    }
    this.notes = [...rest, { ...note, id: id() }]
    return "new"
  }

  mark(which: (note: Note) => boolean): number {
    const found = this.notes.filter((note) => !note.isRead && which(note))
    for (const note of found) note.isRead = true
    return found.length
  }

  remove(which: (note: Note) => boolean): number {
    const before = this.notes.length
    this.notes = this.notes.filter((note) => !which(note))
    return before - this.notes.length
  }
}

const run = (model: Model, acts: ReadonlyArray<Act>) => {
  let last = 0
  const arrived: Array<number> = []

  /** Does one thing to both, and compares. */
  const step = ({ does, key, kind, n, replaces, seconds }: Act, payload: number) =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const id = model.notes[n % Math.max(model.notes.length, 1)]?.id ?? 0
      switch (does) {
        case "push": {
          const pushed = yield* Effect.result(inboxes.push("ada", kind, payload, {
            ...key === "" ? undefined : { key },
            ...seconds === 0 ? undefined : { expireAfter: seconds * 1_000 },
            onDuplicate: replaces ? "replace" : "keep"
          }))
          const expiresAt = seconds === 0 ? Infinity : model.now + seconds * 1_000
          const expected = model.push(
            { kind, key, payload, expiresAt, isRead: false },
            replaces,
            () => pushed._tag === "Success" ? pushed.success.id : NaN
          )
          if (expected === "full") {
            assert(pushed._tag === "Failure" && pushed.failure._tag === "InboxFull")
            return
          }
          assert(pushed._tag === "Success")
          if (expected !== "new") return assert.deepStrictEqual(pushed.success, { id: expected.kept, isNew: false })
          assert.isTrue(pushed.success.isNew)
          assert.isAbove(pushed.success.id, last)
          last = pushed.success.id
          arrived.push(payload)
          return
        }
        case "read":
          return assert.strictEqual(yield* inboxes.read("ada", [id]), model.mark((note) => note.id === id))
        case "readUpTo":
          return assert.strictEqual(
            yield* inboxes.readUpTo("ada", id, { kinds: [kind] }),
            model.mark((note) => note.id <= id && note.kind === kind)
          )
        case "readAll":
          return assert.strictEqual(
            yield* inboxes.readAll("ada", { kinds: [kind] }),
            model.mark((note) => note.kind === kind)
          )
        case "remove":
          return assert.strictEqual(yield* inboxes.remove("ada", [id]), model.remove((note) => note.id === id))
        case "clear":
          return assert.strictEqual(
            yield* inboxes.clear("ada", { kinds: [kind], read: replaces }),
            model.remove((note) => note.kind === kind && (!replaces || note.isRead))
          )
        case "wait":
          model.wait((n + 1) * 500)
          return yield* TestSessions.elapse((n + 1) * 500)
      }
    })

  const check = Effect.gen(function*() {
    const inboxes = yield* Inboxes
    const state = yield* (yield* inboxes.open("ada")).state
    const expected = model.notes.map(({ id, isRead, kind, payload }) => ({ id, kind, payload, isRead }))
    const shown = (all: typeof state.notifications) =>
      all.map(({ id, kind, payload, readAt }) => ({ id, kind, payload, isRead: readAt !== null }))
    assert.deepStrictEqual(shown(yield* inboxes.list("ada")), expected.toReversed())
    assert.deepStrictEqual(shown(state.notifications), expected)
    const unread = model.notes.filter(({ isRead }) => !isRead)
    assert.strictEqual(yield* inboxes.unread("ada"), unread.length)
    assert.strictEqual(state.unread, unread.length)
    assert.strictEqual(yield* inboxes.unread("ada", { kinds: ["b"] }), unread.filter(({ kind }) => kind === "b").length)
    // The alarm is never late.
    const first = Math.min(...model.notes.map(({ expiresAt }) => expiresAt))
    assert.isTrue(first === Infinity || (state.alarmAt !== null && state.alarmAt <= first))
  })

  /** One life of a process: until it restarts, or there is nothing left to do. */
  const life = (from: number): Effect.Effect<number, unknown, Inbox.Sessions<"Inboxes"> | Inboxes | TestServices> =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const seen: Array<number> = []
      arrived.length = 0
      const after = (yield* (yield* inboxes.open("ada")).state).lastId
      yield* Effect.forkChild(
        Stream.runForEach(inboxes.subscribe("ada", { after }), ({ payload }) => Effect.sync(() => seen.push(payload)))
      )
      yield* TestSessions.settle
      for (let i = from; i < acts.length; i++) {
        if (acts[i]!.does === "restart") return i + 1
        yield* step(acts[i]!, i)
        yield* TestSessions.settle
        yield* check
        assert.deepStrictEqual(seen, arrived)
      }
      return acts.length
    })

  return { check, life }
}

type TestServices = Effect.Services<ReturnType<typeof TestSessions.elapse>>

describe("an inbox", () => {
  it.effect.prop(
    "is what a simple model says, through restarts; and a subscriber gets each new notification, in order",
    [
      Schema.Array(Act).check(Schema.isMinLength(1), Schema.isMaxLength(60)),
      Schema.Literals([1, 3, 20]),
      Schema.Literals(["dropRead", "dropOldest", "reject"])
    ],
    ([acts, capacity, whenFull]) =>
      Effect.gen(function*() {
        const model = new Model(capacity, whenFull)
        const { check, life } = run(model, acts)
        let next = 0
        while (next < acts.length) {
          next = yield* Effect.provide(
            Effect.tap(life(next), check),
            TestSessions.layer(Inbox.layer(Inboxes, { capacity, whenFull, snapshots: {} }))
          )
        }
      }).pipe(Effect.provide(MemoryStore.layer)),
    { arbitrary: { runs: 100 } }
  )
})
