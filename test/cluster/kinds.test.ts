/** Presence, inboxes, groups and stores on several nodes, on a real PostgreSQL. */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Exit, HashMap, Layer, type Redacted, Schema, Scope, Stream } from "effect"
import { Groups, Inbox, Presence, Reducer, Session, SessionEvents, Store, StoreBroadcasts } from "effect-sessions"
import { SessionCluster } from "effect-sessions/cluster"
import { Rpc } from "effect/rpc"
import * as PostgresServer from "../snapshots/PostgresServer.ts"
import { idOn, settled, startProgram } from "./ClusterNode.ts"

class Url extends Context.Service<Url, Redacted.Redacted>()("test/Url") {}

class Shoppers extends Presence.Service<Shoppers>()("Shoppers", { meta: Schema.String }) {}

class Visit extends Session.Service<Visit>()("Visit", {
  state: Schema.Array(Schema.String),
  protocol: [Rpc.make("Notify", { payload: Schema.String })]
}) {}

class Rooms extends Groups.Service<Rooms>()("Rooms", { members: Visit }) {}

const VisitLayer = Visit.toLayer(
  Visit.behavior({ init: () => [], handlers: { Notify: ({ payload, state }) => [[...state, payload]] } }),
  { snapshots: { save: "everyChange" } }
)

class Mail extends Inbox.Service<Mail>()("Mail", { kinds: { note: Schema.String } }) {}

const counter = Reducer.make("counter", {
  state: Schema.Struct({ count: Schema.Int }),
  initial: { count: 0 },
  actions: { add: Schema.Int, load: Schema.Int },
  on: { add: ({ count }, by) => ({ count: count + by }) },
  async: { load: ({ dispatch, payload }) => dispatch("add", payload) }
})

class Shop extends Store.Service<Shop>()("Shop", { reducers: [counter] }) {}

const Program = Layer.mergeAll(
  Presence.layer(Shoppers, { grace: "300 millis", lease: "1 second" }),
  Inbox.layer(Mail, { snapshots: { save: "everyChange" } }),
  Shop.toLayer(Store.behavior(Shop, { history: 10 })).pipe(Layer.provideMerge(SessionCluster.broadcasts)),
  Groups.layer(Rooms, { lease: "1 second" }).pipe(Layer.provideMerge(VisitLayer))
)

let names = 0

const startNode = Effect.fnUntraced(function*(name: string) {
  const node = yield* startProgram({ url: yield* Url, name }, Program)
  return {
    ...node,
    shoppers: Context.get(node.context, Shoppers),
    mail: Context.get(node.context, Mail),
    shops: Context.get(node.context, Shop),
    broadcasts: Context.get(node.context, StoreBroadcasts),
    events: Context.get(node.context, SessionEvents),
    visits: Context.get(node.context, Visit),
    rooms: Context.get(node.context, Rooms),
    roomRefs: Context.get(node.context, Rooms.kind)
  }
})

type Node = Effect.Success<ReturnType<typeof startNode>>

/** Three nodes that have shared the places out. */
const nodes = Effect.gen(function*() {
  const name = `k${++names}`
  const all = yield* Effect.forEach([1, 2, 3], () => startNode(name), { concurrency: "unbounded" })
  yield* settled(...all)
  return all as ReadonlyArray<Node> & [Node, Node, Node]
})

/** Waits until it is so. */
const until = (isSo: () => boolean) =>
  Effect.gen(function*() {
    while (!isSo()) yield* Effect.sleep(5)
  })

/** Tracks until its scope is closed. */
const track = Effect.fnUntraced(function*(node: Node, topic: string, key: string) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const tracked = yield* Scope.provide(node.shoppers.track(topic, key, key.toUpperCase(), { device: "d" }), scope)
  return { tracked, close: Scope.close(scope, Exit.void) }
})

const keys = (node: Node, topic: string) =>
  Effect.map(node.shoppers.list(topic), (present) => present.map(({ key }) => key).sort())

/** What a reader of a topic is told. */
const follow = Effect.fnUntraced(function*(node: Node, topic: string) {
  const told: Array<string> = []
  const say = (event: Presence.Event<string>) =>
    event._tag === "List"
      ? `= ${event.present.map(({ key }) => key).sort().join(" ")}`
      : `${event._tag} ${event.key} ${event.meta}`
  yield* Effect.forkScoped(
    Stream.runForEach(node.shoppers.changes(topic), (event) => Effect.sync(() => void told.push(say(event))))
  )
  yield* until(() => told.length > 0)
  return told
})

/** The keys that a reader of a topic knows. */
const known = Effect.fnUntraced(function*(node: Node, topic: string) {
  let present = HashMap.empty<string, Presence.Present<string>>()
  yield* Effect.forkScoped(
    Stream.runForEach(node.shoppers.changes(topic), (event) =>
      Effect.sync(() => {
        present = Presence.apply(present, event)
      }))
  )
  return () => Array.from(HashMap.keys(present)).sort().join(" ")
})

layer(Layer.effect(Url, PostgresServer.start), { excludeTestServices: true })("Kinds on a cluster", (it) => {
  it.effect("shows who is present on all nodes, and each change once", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* nodes
      const topic = yield* idOn(b)
      const told = yield* Effect.forEach([a, b, c], (node) => follow(node, topic))
      const ada = yield* track(a, topic, "ada")
      yield* until(() => told.every((events) => events.length === 2))
      const bob = yield* track(c, topic, "bob")
      for (const node of [a, b, c]) assert.deepStrictEqual(yield* keys(node, topic), ["ada", "bob"])
      yield* ada.tracked.update("Ada L.")
      yield* until(() => told.every((events) => events.length === 4))
      yield* bob.tracked.leave
      yield* until(() => told.every((events) => events.length === 5))
      yield* ada.close
      assert.deepStrictEqual(yield* keys(b, topic), ["ada"], "the grace")
      yield* until(() => told.every((events) => events.length === 6))
      for (const events of told) {
        assert.deepStrictEqual(events, [
          "= ",
          "Join ada ADA",
          "Join bob BOB",
          "Update ada Ada L.",
          "Leave bob BOB",
          "Leave ada Ada L."
        ])
      }
    }))

  it.effect("has neither ghosts nor holes when the node of a topic leaves", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* nodes
      const topic = yield* idOn(b)
      yield* track(a, topic, "ada")
      yield* track(b, topic, "ben")
      const cid = yield* track(c, topic, "cid")
      const present = yield* known(a, topic)
      yield* until(() => present() === "ada ben cid")
      yield* b.stop
      yield* settled(a, c)
      yield* until(() => present() === "ada cid")
      for (const node of [a, c]) assert.deepStrictEqual(yield* keys(node, topic), ["ada", "cid"])
      yield* cid.tracked.leave
      yield* until(() => present() === "ada")
    }))

  it.effect("forgets those whose node is gone after the lease", () =>
    Effect.gen(function*() {
      const [a, b] = yield* nodes
      const topic = yield* idOn(b)
      yield* track(a, topic, "ada")
      const ref = yield* a.shoppers.topic(topic)
      const tracking = { id: 1, key: "dee", device: "d", meta: "DEE", revision: 1, since: null }
      yield* ref.call("Track", { owner: "a process that never renews", tracking })
      const told = yield* follow(a, topic)
      assert.deepStrictEqual(told, ["= ada dee"])
      yield* until(() => told.length === 2)
      assert.deepStrictEqual(told, ["= ada dee", "Leave dee DEE"])
    }))

  it.effect("delivers what is sent to a group to its members on all nodes, and drops those of nodes that are gone", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* nodes
      const room = yield* idOn(b, "room")
      const ids = yield* Effect.forEach([a, b, c], (node) => idOn(node, "visit"))
      for (const id of ids) yield* c.visits.start(id, { user: "ada" })
      yield* a.rooms.join(room, ids[0]!)
      const held = yield* Scope.fork(yield* Effect.scope)
      yield* Scope.provide(c.rooms.joinScoped(room, ids[1]!), held)
      yield* Scope.provide(a.rooms.joinScoped(room, ids[2]!), held)
      assert.strictEqual(yield* b.rooms.size(room), 3)
      yield* c.rooms.broadcast(room, "Notify", "one")
      yield* a.rooms.broadcastToUser("ada", "Notify", "two")
      yield* b.rooms.broadcastToAll("Notify", "three")
      const notified = (id: string) => a.visits.ref(id).state
      for (const id of ids) {
        while ((yield* notified(id)).length < 3) yield* Effect.sleep(5)
        assert.deepStrictEqual((yield* notified(id)).slice(0).sort(), ["one", "three", "two"])
      }
      const ref = yield* a.rooms.group(room)
      yield* ref.call("Join", { member: "dee", stays: false, owner: "a process that is gone" })
      assert.strictEqual(yield* c.rooms.size(room), 4)
      while ((yield* c.rooms.size(room)) === 4) yield* Effect.sleep(20)
      assert.sameMembers(Array.from(yield* a.rooms.members(room)), ids, "those whose lease was renewed stay")
      yield* Scope.close(held, Exit.void)
      while ((yield* a.rooms.size(room)) > 1) yield* Effect.sleep(5)
      assert.deepStrictEqual(yield* a.rooms.members(room), ids.slice(0, 1))
    }))

  it.effect("joins members again that Scopes hold when the node of their group leaves", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* nodes
      const room = yield* idOn(b, "room")
      const member = yield* idOn(c, "visit")
      yield* c.visits.start(member)
      yield* a.rooms.joinScoped(room, member)
      yield* b.stop
      yield* settled(a, c)
      while (!(yield* c.rooms.has(room, member))) yield* Effect.sleep(5)
      assert.isTrue(yield* a.rooms.leave(room, member))
      yield* Effect.sleep(700)
      assert.isFalse(yield* c.rooms.has(room, member), "whoever held it has noticed that it left")
    }))

  it.effect("takes notifications, and the actions of stores, on any node, and publishes each action to all", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* nodes
      const user = yield* idOn(b, "user")
      assert.strictEqual((yield* a.mail.push(user, "note", "one")).isNew, true)
      const notes: Array<string> = []
      const news = Stream.map(c.mail.subscribe(user), ({ payload }) => payload)
      yield* Effect.forkScoped(Stream.runForEach(news, (note) => Effect.sync(() => void notes.push(note))))
      const counts: Array<number> = []
      yield* Effect.forkScoped(
        Stream.runForEach(c.mail.unreadCounts(user), (count) => Effect.sync(() => void counts.push(count)))
      )
      yield* until(() => notes.length === 1 && counts.length === 1)
      yield* a.mail.push(user, "note", "two")
      yield* until(() => notes.length === 2 && counts.length === 2)
      assert.strictEqual(yield* a.mail.readAll(user), 2)
      yield* until(() => counts.length === 3)
      assert.deepStrictEqual([notes, counts], [["one", "two"], [1, 2, 0]])
      assert.strictEqual(yield* c.mail.unread(user), 0)

      const published = [b, c].map((): Array<string> => [])
      for (const [i, node] of [b, c].entries()) {
        yield* Effect.forkScoped(
          Stream.runForEach(
            node.broadcasts.stream,
            ({ action, id, kind, state }) =>
              Effect.sync(() => void published[i]!.push(`${kind}/${id} ${action.type} ${JSON.stringify(state)}`))
          )
        )
      }
      const received: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(c.events.stream(), (event) =>
          Effect.sync(() => {
            if (event._tag === "BroadcastReceive") received.push(`${event.kind}/${event.id} ${event.tag} ${event.from}`)
          }))
      )
      yield* Effect.sleep(20)
      const id = yield* idOn(a, "shop")
      const ref = yield* c.shops.start(id)
      assert.deepStrictEqual(yield* Store.dispatchWait(ref, "add", 1), { counter: { count: 1 } })
      yield* Store.dispatch(ref, "load", 5)
      while ((yield* Store.select(ref, ({ counter }) => counter.count)) !== 6) yield* Effect.sleep(5)
      assert.deepStrictEqual((yield* Store.history(ref)).map(({ type }) => type), ["add", "add"])
      assert.deepStrictEqual(yield* Store.travel(ref, 1), { counter: { count: 1 } })
      yield* until(() => received.length === 3 && published.every(({ length }) => length === 3))
      for (const actions of published) {
        assert.deepStrictEqual(actions, [
          `Shop/${id} add {"counter":{"count":1}}`,
          `Shop/${id} load {"counter":{"count":1}}`,
          `Shop/${id} add {"counter":{"count":6}}`
        ])
      }
      const from = a.cluster.self.key
      assert.deepStrictEqual(received, ["add", "load", "add"].map((tag) => `Shop/${id} ${tag} ${from}`))
    }))
})
