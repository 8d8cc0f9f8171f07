/**
 * What runs in the browser in react.test.ts: the component of the example, with a client of its own.
 */
import { Effect } from "effect"
import { LiveClient } from "effect-sessions/client"
import { createElement } from "react"
import { createRoot } from "react-dom/client"
import { CartLive, LiveCart } from "../../examples/14-react.ts"

const { document, location } = globalThis as any

Effect.gen(function*() {
  const client = yield* LiveClient.make(CartLive, {
    url: `ws://${location.host}/live`,
    protocols: ["bearer", location.hash.slice(1)]
  })
  const items = yield* client.mount("items")
  createRoot(document.body).render(createElement(LiveCart, { client, items }))
  return yield* Effect.never
}).pipe(Effect.scoped, Effect.provide(LiveClient.layerWebSocket), Effect.runFork)
