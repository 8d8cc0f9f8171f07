import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { LiveAtom, LiveClient } from "effect-sessions/client"
import * as AsyncResult from "effect/reactivity/AsyncResult"
import * as Atom from "effect/reactivity/Atom"
import * as AtomRegistry from "effect/reactivity/AtomRegistry"
import { CartLive, errors, fail, FakeServer, pen, succeed } from "./fakes.ts"

const make = () => {
  const server = new FakeServer()
  const client = Atom.make(LiveClient.make(CartLive, { url: "ws://cart" }).pipe(Effect.provide(server.layer)))
  const registry = AtomRegistry.make()
  return { server, client, registry }
}

const settle = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

describe("atoms", () => {
  it.effect("of a view, of the status and of what is pending", () =>
    Effect.gen(function*() {
      const { client, registry, server } = make()
      const items = LiveAtom.view(client, "items")
      const status = LiveAtom.status(client)
      const pending = LiveAtom.pending(client)
      const unmount = [items, status, pending].map((atom) => registry.mount(atom as Atom.Atom<unknown>))
      yield* settle
      assert.isTrue(AsyncResult.isInitial(registry.get(items)))
      server.accept()
      server.socket.snapshot("items", 1, [pen])
      yield* settle
      assert.deepStrictEqual(AsyncResult.getOrThrow(registry.get(items)), [pen])
      assert.deepStrictEqual(AsyncResult.getOrThrow(registry.get(status)), { _tag: "Open", epoch: 1 })
      assert.strictEqual(AsyncResult.getOrThrow(registry.get(pending)), 0)
      server.socket.drop(1000, "expired")
      yield* settle
      const result: any = registry.get(items)
      assert.isTrue(AsyncResult.isFailure(result))
      assert.deepStrictEqual(Option.getOrThrow(AsyncResult.value(result)), [pen], "what there was last")
      // The user presses the button.
      const reconnect = Atom.fn((_: void, get) => Effect.flatMap(get.result(client), (client) => client.reconnect))
      unmount.push(registry.mount(reconnect))
      registry.set(reconnect, undefined)
      yield* settle
      server.accept(2)
      server.socket.snapshot("items", 1, [pen], 2)
      yield* settle
      assert.deepStrictEqual(AsyncResult.getOrThrow(registry.get(items)), [pen])
      assert.isTrue(AsyncResult.isSuccess(registry.get(items)))
      for (const stop of unmount) stop()
      registry.dispose()
      yield* settle
    }))

  it.effect("that send actions, none of which is withdrawn by the next", () =>
    Effect.gen(function*() {
      const { client, registry, server } = make()
      const total = LiveAtom.view(client, "total")
      const add = LiveAtom.call(client, "Add", ({ count }) => ({ optimistic: { total: (n) => n + count } }))
      const unmount = [registry.mount(total), registry.mount(add)]
      yield* settle
      server.accept()
      server.socket.snapshot("total", 1, 10)
      server.socket.drop()
      registry.set(add, pen)
      registry.set(add, { sku: "ink", count: 5 })
      yield* settle
      assert.strictEqual(AsyncResult.getOrThrow(registry.get(total)), 16)
      const reconnect = Atom.fn((_: void, get) => Effect.flatMap(get.result(client), (client) => client.reconnect))
      unmount.push(registry.mount(reconnect))
      registry.set(reconnect, undefined)
      yield* settle
      server.accept()
      const [first, second] = server.socket.requests("Add")
      server.socket.say(succeed(first, 1), fail(second, errors.crashed))
      yield* settle
      assert.strictEqual(AsyncResult.getOrThrow(registry.get(total)), 10)
      assert.isTrue(AsyncResult.isFailure(registry.get(add)))
      for (const stop of unmount) stop()
      registry.dispose()
      yield* settle
      assert.strictEqual(server.socket.closedWith, 1000)
    }))
})
