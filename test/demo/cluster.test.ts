/**
 * The shop on three nodes: processes that share a PostgreSQL, and pages in a real Chromium.
 */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { inject } from "vitest"
import { type Node, open } from "../../examples/demo/ThreeShops.ts"
import * as PostgresServer from "../snapshots/PostgresServer.ts"
import { cartOf, Chromium, cuts, eventually, visitor } from "./Browser.ts"

/** How often a node is restarted under an open page. `.ci/run` does it ten times. */
const restarts = Number(process.env["RESTARTS"] ?? 3)

class Shops extends Context.Service<Shops, Effect.Success<ReturnType<typeof open>>>()("test/Shops") {
  static readonly layer = Layer.effect(
    this,
    Effect.flatMap(PostgresServer.start, (url) =>
      open({
        database: Redacted.value(url),
        port: 0,
        program: [`${inject("programs")}/shop.mjs`],
        env: { SESSIONS_RATE_LIMIT: "off", LOG_LEVEL: "Error" },
        pause: 0
      }))
  )
}

/** What a browser says when a node ends that it talks to, or that has the visit. */
const cut = { expects: new RegExp(`${cuts.source}|status of 503`) }

/** Waits until the node serves as another process. */
const restarted = (node: Node, before: number | undefined) =>
  eventually(async () => node.url !== undefined && node.pid !== before, true)

/** Waits until each node is ready, and knows the others. */
const ready = (nodes: ReadonlyArray<Node>) =>
  eventually(
    async () =>
      (await Promise.all(nodes.map(({ url }) => fetch(`${url}/ready`).then(({ ok }) => ok, () => false)))).every(
        Boolean
      ),
    true
  )

layer(Layer.merge(Chromium.layer, Shops.layer), { excludeTestServices: true })("the shop on three nodes", (it) => {
  it.effect("knows one cookie on every node, and the cart when the node that had it was killed", () =>
    Effect.gen(function*() {
      const { nodes, url } = yield* Shops
      yield* ready(nodes)
      const ada = yield* visitor(cut)
      for (const node of nodes) yield* ada.ask("POST", `${node.url}/api/cart/items`, { sku: "tea", quantity: 1 })
      for (const node of nodes) assert.deepStrictEqual(yield* cartOf(ada, node.url!), ["tea 3"])

      const { id } = yield* ada.ask("GET", `${url}/api/session`)
      const ownerOf = (node: Node) =>
        Effect.map(ada.ask("GET", `${node.url}/api/node?visit=${id}`), ({ owner }) => owner)
      const address = yield* ownerOf(nodes[0]!)
      const owner = nodes.find((node) => node.address === address)!
      const other = nodes.find((node) => node !== owner)!
      const tab = yield* ada.open(other.url!)
      yield* tab.seesCart("tea 3")
      yield* tab.sees("#node [data-show=node]", owner.address)
      yield* tab.sees("#node [data-show=here]", other.address)
      // What a debounced save has not written would be lost.
      yield* Effect.sleep("500 millis")

      const { pid } = owner
      process.kill(pid!, "SIGKILL")
      yield* tab.add("jam")
      yield* tab.seesCart("tea 3", "jam 1")
      // Another node has the visit, or this one again when it has started in time.
      assert.deepStrictEqual(yield* cartOf(ada, other.url!), ["tea 3", "jam 1"])
      yield* restarted(owner, pid)
    }))

  it.effect(`shows a consistent page over ${restarts} rolling restarts`, () =>
    Effect.gen(function*() {
      const { nodes, url } = yield* Shops
      yield* ready(nodes)
      const ada = yield* visitor(cut)
      const [left, right] = yield* Effect.all([ada.open(url), ada.open(url)])
      for (let count = 1; count <= restarts; count++) {
        const node = nodes[count % nodes.length]!
        const { pid } = node
        process.kill(pid!, "SIGTERM")
        yield* left.add("tea")
        yield* restarted(node, pid)
        yield* ready(nodes)
        yield* Effect.forEach([left, right], (tab) => tab.seesCart(`tea ${count}`))
      }
      assert.deepStrictEqual(yield* cartOf(ada, url), [`tea ${restarts}`])
    }))
})
