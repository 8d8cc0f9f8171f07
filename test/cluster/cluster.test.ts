/** A program on several nodes, on a real PostgreSQL. */
import { assert, layer } from "@effect/vitest"
import {
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Metric,
  type Redacted,
  Scope,
  Stream,
  SubscriptionRef,
  Tracer
} from "effect"
import { ClusterMetrics, Coverage } from "effect-sessions/cluster"
import * as PostgresServer from "../snapshots/PostgresServer.ts"
import { type ClusterNode, idOn, settled, startNode } from "./ClusterNode.ts"

class Url extends Context.Service<Url, Redacted.Redacted>()("test/Url") {}

let names = 0

/** So many nodes that have shared the places out. */
const nodes = Effect.fnUntraced(function*(
  count: number,
  kind?: Parameters<typeof startNode>[0]["kind"],
  tracer?: Tracer.Tracer
) {
  const url = yield* Url
  const name = `c${++names}`
  const all = yield* Effect.forEach(Array.from({ length: count }), () => startNode({ url, name, kind, tracer }), {
    concurrency: "unbounded"
  })
  yield* settled(...all)
  return all as ReadonlyArray<ClusterNode> & [ClusterNode, ClusterNode, ClusterNode]
})

layer(Layer.effect(Url, PostgresServer.start), { excludeTestServices: true })("A cluster", (it) => {
  it.effect("answers on every node for a session that is on one", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* nodes(3)
      const id = yield* idOn(b)
      const refs = yield* Effect.forEach([a, b, c], ({ counters }) => counters.start(id))
      for (const ref of refs) yield* ref.call("Add", 1)
      yield* refs[0]!.cast("Note", "hello")
      assert.deepStrictEqual(yield* refs[2]!.state, { count: 3, notes: ["hello"] })
      assert.strictEqual(yield* refs[0]!.callOnce("Add", 5, { client: "me", sequence: 1 }), 8)
      assert.strictEqual(yield* refs[2]!.callOnce("Add", 5, { client: "me", sequence: 1, again: true }), 8)
      assert.strictEqual((yield* Effect.flip(refs[0]!.call("Add", -1)))._tag, "Refused")
      assert.strictEqual((yield* Effect.flip(refs[0]!.call("Die")))._tag, "SessionCrashed")
      assert.strictEqual((yield* Effect.flip(a.counters.ref(`${id}-nobody`).call("Look")))._tag, "SessionNotFound")
      yield* refs[2]!.setUser("ada")
      yield* refs[0]!.setMetadata({ theme: "dark" })
      const info = yield* refs[2]!.info
      assert.deepInclude(info, { id, kind: "Counter", user: "ada", metadata: { theme: "dark" }, version: 5 })
      assert.isTrue(yield* refs[2]!.compareAndSet({ theme: "dark" }, { metadata: { theme: "light" } }))
      assert.isFalse(yield* refs[0]!.compareAndSet({ theme: "dark" }, { metadata: { theme: "pink" } }))
      const ended = yield* Effect.forkChild(refs[2]!.awaitEnd)
      yield* Effect.yieldNow
      assert.isTrue(yield* refs[0]!.end())
      assert.strictEqual((yield* Fiber.join(ended))._tag, "Stopped")
      assert.isFalse(yield* refs[2]!.isLive)
    }))

  it.effect("lists, counts and tells the sessions of all nodes, and says which nodes are missing", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* nodes(3)
      const ids = yield* Effect.forEach([a, b, c], (node) => idOn(node))
      yield* Effect.forEach(ids, (id) => a.counters.start(id, { user: "ada" }))
      assert.deepStrictEqual((yield* b.counters.list).map(({ id }) => id).sort(), Array.from(ids).sort())
      assert.strictEqual(yield* b.counters.count, 3)
      assert.deepStrictEqual((yield* c.sessions.match("s*")).length, 3)
      assert.strictEqual(yield* a.sessions.broadcast("Note", "all"), 3)
      for (const id of ids) assert.deepStrictEqual((yield* b.counters.ref(id).state).notes, ["all"])
      assert.deepInclude(yield* c.sessions.count, { count: 3, kinds: { Counter: 3 } })
      assert.deepStrictEqual(yield* c.sessions.health, { total: 3, healthy: 3, crashed: 0 })
      assert.strictEqual((yield* a.sessions.stats).totals["Counter"]!.started, 3)
      assert.deepStrictEqual((yield* b.sessions.ofUser("ada")).length, 3)
      const { unreachable, value } = yield* Coverage.of(a.counters.count)
      assert.deepStrictEqual([value, unreachable], [3, []])
      assert.strictEqual(yield* c.sessions.endAll(), 3)
      assert.strictEqual(yield* a.counters.count, 0)
    }))

  it.effect("counts its places, its members and the requests between nodes", () =>
    Effect.gen(function*() {
      const [a, b] = yield* nodes(2)
      // In one process, a metric shows the node that was built last: whichever it is, it asks and is asked.
      const refs = [yield* a.counters.start(yield* idOn(b)), yield* b.counters.start(yield* idOn(a))]
      const requests = (direction: string) =>
        Effect.map(Metric.value(Metric.withAttributes(ClusterMetrics.requests, { direction })), ({ count }) => count)
      // Starts also ask for the limits of starts, if those are counted on the other node.
      const before = [yield* requests("sent"), yield* requests("received")] as const
      for (const ref of refs) for (let i = 0; i < 3; i++) yield* ref.call("Add", 1)
      assert.deepStrictEqual([yield* requests("sent"), yield* requests("received")], [before[0] + 3, before[1] + 3])
      assert.strictEqual((yield* Metric.value(ClusterMetrics.nodes)).value, 2)
      assert.strictEqual((yield* Metric.value(ClusterMetrics.places)).value, 15)
    }))

  it.effect("hands sessions over when a node leaves, and loses nothing", () =>
    Effect.gen(function*() {
      const [a, b] = yield* nodes(2, { snapshots: { save: { debounce: "1 hour" } } })
      const ids = yield* Effect.forEach(Array.from({ length: 40 }), (_, i) =>
        Effect.as(a.counters.start(`n${i}`), `n${i}`))
      const sent = new Map(ids.map((id) => [id, 0]))
      const traffic = { isOver: false }
      const senders = yield* Effect.forkChild(Effect.forEach(ids, (id) =>
        Effect.gen(function*() {
          while (!traffic.isOver) {
            yield* a.counters.ref(id).call("Add", 1)
            sent.set(id, sent.get(id)! + 1)
            yield* Effect.yieldNow
          }
        }), { concurrency: "unbounded" }))
      yield* Effect.sleep(100)
      yield* b.stop
      yield* settled(a)
      yield* Effect.sleep(100)
      traffic.isOver = true
      yield* Fiber.join(senders)
      for (const id of ids) {
        assert.strictEqual(yield* a.counters.ref(id).call("Look"), sent.get(id), id)
      }
    }))

  it.effect("follows a session over a move without a gap", () =>
    Effect.gen(function*() {
      const [a, b] = yield* nodes(2)
      const id = yield* idOn(b)
      const ref = yield* a.counters.start(id)
      const seen: Array<number> = []
      const following = yield* Effect.forkChild(
        Stream.runForEach(ref.changes(({ count }) => count), (count) => Effect.sync(() => void seen.push(count)))
      )
      yield* ref.call("Add", 1)
      yield* ref.call("Add", 1)
      yield* b.stop
      yield* ref.call("Add", 1)
      while (seen.at(-1) !== 3) yield* Effect.sleep(5)
      assert.deepStrictEqual(seen, Array.from(new Set(seen)).sort())
      yield* Fiber.interrupt(following)
    }))

  it.effect("lets a handler finish that runs while its node leaves", () =>
    Effect.gen(function*() {
      const [a, b] = yield* nodes(2)
      const id = yield* idOn(b)
      const ref = yield* a.counters.start(id)
      const call = yield* Effect.forkChild(ref.call("Slow", 7))
      yield* Deferred.await(b.gate.entered)
      const stopping = yield* Effect.forkChild(b.stop)
      while (yield* b.cluster.isReady) yield* Effect.sleep(5)
      yield* Deferred.succeed(b.gate.open, undefined)
      assert.strictEqual(yield* Fiber.join(call), 7)
      yield* Fiber.join(stopping)
      assert.strictEqual(yield* ref.call("Look"), 7)
    }))

  it.effect("rings the timers of a session at its new owner", () =>
    Effect.gen(function*() {
      const [a, b] = yield* nodes(2)
      const id = yield* idOn(b)
      const ref = yield* a.counters.start(id)
      yield* ref.call("AddLater", 300)
      yield* b.stop
      while ((yield* ref.state).notes.length === 0) yield* Effect.sleep(10)
      assert.deepStrictEqual((yield* ref.state).notes, ["later"])
    }))

  it.effect("counts connections where the session is, and again where it moves to", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* nodes(3)
      const id = yield* idOn(b)
      const ref = yield* a.counters.start(id)
      const scope = yield* Scope.fork(yield* Effect.scope)
      yield* Effect.all([ref.attach, c.counters.ref(id).attach], { discard: true }).pipe(Scope.provide(scope))
      assert.strictEqual((yield* ref.info).connections, 2)
      yield* b.stop
      while ((yield* ref.info).connections !== 2) yield* Effect.sleep(5)
      yield* Scope.close(scope, Exit.void)
      while ((yield* ref.info).connections !== 0) yield* Effect.sleep(5)
    }))

  it.effect("mirrors a state that is on another node, until the session ends", () =>
    Effect.gen(function*() {
      const [a, b] = yield* nodes(2)
      const ref = yield* a.counters.start(yield* idOn(b))
      const [mirror, same] = yield* Effect.all([ref.subscriptionRef, ref.subscriptionRef], { concurrency: 2 })
      assert.strictEqual(same, mirror)
      assert.deepStrictEqual(yield* SubscriptionRef.get(mirror), { count: 0, notes: [] })
      yield* ref.call("Add", 2)
      yield* mirror.pipe(SubscriptionRef.changes, Stream.filter(({ count }) => count === 2), Stream.runHead)
      yield* ref.end()
      while ((yield* Effect.result(ref.subscriptionRef))._tag === "Success") yield* Effect.sleep(5)
    }))

  it.effect("withdraws a call whose caller is interrupted, and fails one that takes too long", () =>
    Effect.gen(function*() {
      const [a, b] = yield* nodes(2)
      const ref = yield* a.counters.start(yield* idOn(b))
      const slow = yield* Effect.forkChild(ref.call("Slow", 1))
      yield* Deferred.await(b.gate.entered)
      const waiting = yield* Effect.forkChild(ref.call("Add", 100))
      while ((yield* ref.info).mailbox === 0) yield* Effect.sleep(5)
      const late = yield* Effect.flip(ref.call("Add", 1_000, { timeout: 50 }))
      assert.strictEqual(late._tag, "CallTimeout")
      yield* Fiber.interrupt(waiting)
      while ((yield* ref.info).mailbox > 0) yield* Effect.sleep(5)
      yield* Deferred.succeed(b.gate.open, undefined)
      assert.strictEqual(yield* Fiber.join(slow), 1)
      assert.strictEqual(yield* ref.call("Look"), 1)
    }))

  it.effect("sends what is large, dies of what does not fit its schema, and goes on", () =>
    Effect.gen(function*() {
      const [a, b] = yield* nodes(2)
      const ref = yield* a.counters.start(yield* idOn(b))
      const large = "\u{1f600}\ud800".repeat(300_000)
      yield* ref.cast("Note", large)
      assert.deepStrictEqual((yield* ref.state).notes, [large])
      assert.strictEqual((yield* Effect.exit(ref.call("Add", 0.5)))._tag, "Failure")
      assert.strictEqual(yield* ref.call("Add", 1), 1)
    }))

  it.effect("ends sessions that are not stored when their node leaves, and says so to those who follow them", () =>
    Effect.gen(function*() {
      const [a, b] = yield* nodes(2, { snapshots: undefined })
      const ref = yield* a.counters.start(yield* idOn(b))
      const ended = yield* Effect.forkChild(ref.awaitEnd)
      const following = yield* Effect.forkChild(Effect.flip(Stream.runDrain(ref.changes())))
      yield* ref.call("Add", 1)
      yield* b.stop
      assert.strictEqual((yield* Fiber.join(ended))._tag, "Moved")
      assert.strictEqual((yield* Fiber.join(following))._tag, "SessionEnded")
      assert.strictEqual((yield* Effect.flip(ref.call("Look")))._tag, "SessionNotFound")
    }))

  it.effect("runs a handler in the trace of a caller on another node", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.Span> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      const [a, b] = yield* nodes(2, {}, tracer)
      const ref = yield* a.counters.start(yield* idOn(b))
      yield* Effect.andThen(ref.call("Add", 1), ref.cast("Note", "x")).pipe(
        Effect.withSpan("caller"),
        Effect.withTracer(tracer)
      )
      yield* ref.state
      const caller = spans.find(({ name }) => name === "caller")!
      const handlers = spans.filter(({ name }) => name.startsWith("Counter."))
      assert.deepStrictEqual(handlers.map(({ name }) => name), ["Counter.Add", "Counter.Note"])
      for (const { parent, traceId } of handlers) {
        assert.strictEqual(traceId, caller.traceId)
        assert.strictEqual(parent._tag === "Some" ? parent.value.spanId : "", caller.spanId)
      }
    }))
})
