/**
 * Live views of the whole state of each ready-made kind: what a snapshot and the patches after it make is that state, by its
 * schema, and not more.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, HashSet, Layer, Option, Schema } from "effect"
import {
  Agent,
  Bag,
  Groups,
  Inbox,
  Live,
  Presence,
  Reducer,
  type Session,
  type SessionRef,
  Store
} from "effect-sessions"
import { LiveViews } from "effect-sessions/live"
import { TestSessions } from "effect-sessions/testing"
import { applyPatch } from "fast-json-patch"

const { settle } = TestSessions

class Counter extends Agent.Service<Counter>()("Counter", {
  state: Schema.Struct({ at: Schema.Date, tags: Schema.HashSet(Schema.String), n: Schema.Int })
}) {}
const counter = Reducer.make("counter", {
  state: Schema.Struct({ n: Schema.Int, last: Schema.Option(Schema.Date) }),
  initial: { n: 0, last: Option.none() },
  actions: { add: Schema.Int },
  on: { add: (state, n) => ({ ...state, n: state.n + n }) }
})
class Shelf extends Store.Service<Shelf>()("Shelf", { reducers: [counter] }) {}
class Inboxes extends Inbox.Service<Inboxes>()("Inboxes", {
  kinds: { note: Schema.Struct({ text: Schema.String }), due: Schema.Struct({ at: Schema.Date }) }
}) {}
class Here
  extends Presence.Service<Here>()("Here", { meta: Schema.Struct({ name: Schema.String, at: Schema.Date }) })
{}
class Rooms extends Groups.Service<Rooms>()("Rooms", { members: Bag }) {}

/** Follows a view of the whole state while the steps are taken. */
const follow = <D extends Session.Any>(
  kind: D,
  ref: SessionRef.SessionRef<any, any>,
  steps: ReadonlyArray<Effect.Effect<unknown, unknown, any>>
) => {
  class Whole extends Live.Service<Whole>()("Whole", { kind: kind as any, views: { all: kind.state } }) {}
  const json = Schema.toCodecJson(kind.state) as unknown as Schema.Codec<unknown, unknown>
  return Effect.gen(function*() {
    const views = yield* Whole
    const mounted: Live.Mounted = yield* (views as any).mount(ref, "all", { changed: () => {}, ended: () => {} })
    let seen: any
    let patches = 0
    const look = Effect.gen(function*() {
      const event = mounted.next()
      if (event?._tag === "snapshot") seen = event.state
      if (event?._tag === "patch") {
        patches++
        seen = applyPatch(structuredClone(seen), event.patch as any).newDocument
      }
      const state = yield* ref.state
      assert.deepStrictEqual(seen, JSON.parse(JSON.stringify(yield* Schema.encodeEffect(json)(state))))
      yield* Schema.decodeUnknownEffect(json)(seen)
    })
    yield* look
    for (const step of steps) {
      yield* step
      yield* settle
      yield* look
    }
    assert.strictEqual(patches, steps.length)
    return seen
  }).pipe(Effect.provide(LiveViews.layer(Whole as any, { select: { all: (state: unknown) => state } as any })))
}

const provide = Effect.provide(TestSessions.layer(Layer.mergeAll(
  Counter.toLayer(
    Agent.behavior(Counter, () => ({ at: new Date(0), tags: HashSet.make("x"), n: 0 }))
  ),
  Shelf.toLayer(Store.behavior(Shelf)),
  Inbox.layer(Inboxes),
  Presence.layer(Here, { grace: 0 }),
  Groups.layer(Rooms).pipe(Layer.provideMerge(Bag.layer()))
)))

describe("a live view of all that is in", () => {
  it.effect("an inbox", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const seen = yield* follow(Inboxes.kind, yield* inboxes.open("ada"), [
        inboxes.push("ada", "note", { text: "hi" }),
        inboxes.push("ada", "due", { at: new Date(7) }, { key: "k", expireAfter: "1 day" }),
        inboxes.readAll("ada"),
        inboxes.push("ada", "note", { text: "more" }),
        inboxes.clear("ada", { read: true })
      ])
      assert.strictEqual(seen.notifications.length, 1)
      assert.deepStrictEqual(seen.notifications[0].payload, { text: "more" })
      assert.strictEqual(seen.unread, 1)
    }).pipe(provide))

  it.effect("a topic of presence", () =>
    Effect.gen(function*() {
      const here = yield* Here
      const meta = (name: string) => ({ name, at: new Date(5) })
      const seen = yield* follow(Here.kind, yield* here.topic("shop"), [
        here.track("shop", "ada", meta("Ada"), { device: "phone" }),
        here.track("shop", "ada", meta("Ada"), { device: "tv" }),
        Effect.scoped(here.track("shop", "bob", meta("Bob")))
          .pipe(Effect.andThen(here.track("shop", "eve", meta("Eve"))))
      ])
      assert.strictEqual(seen.present.length, 2)
    }).pipe(provide))

  it.effect("a group", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      const bags = yield* Bag
      yield* bags.startAll(["a", "b"])
      const seen = yield* follow(Rooms.kind, yield* rooms.group("lobby"), [
        rooms.join("lobby", "a"),
        rooms.join("lobby", "b"),
        rooms.leave("lobby", "a")
      ])
      assert.deepStrictEqual(seen.members, [["b", true]])
    }).pipe(provide))

  it.effect("a bag", () =>
    Effect.gen(function*() {
      const bag = yield* (yield* Bag).start("ada")
      const seen = yield* follow(Bag, bag, [
        bag.call("Put", { key: "list", value: [{ id: 1 }] }),
        bag.call("Merge", { list: [{ id: 0 }, { id: 1, more: null }], n: 1 }),
        bag.call("Put", { key: "constructor", value: 2 }),
        bag.call("Delete", "n")
      ])
      assert.deepStrictEqual(seen, { list: [{ id: 0 }, { id: 1, more: null }], constructor: 2 })
    }).pipe(provide))

  it.effect("an agent", () =>
    Effect.gen(function*() {
      const agent = yield* (yield* Counter).start("ada")
      yield* follow(Counter, agent, [
        Agent.update(agent, (state) => ({ ...state, n: 1 })),
        Agent.update(agent, (state) => ({ ...state, at: new Date(9) }))
      ])
    }).pipe(provide))

  it.effect("a store", () =>
    Effect.gen(function*() {
      const shelf = yield* (yield* Shelf).start("ada")
      yield* follow(Shelf, shelf, [Store.dispatch(shelf, "add", 1), Store.dispatch(shelf, "add", 2)])
    }).pipe(provide))
})
