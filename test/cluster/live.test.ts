/** Live views of a session that is on another node, with the client of `effect-sessions/client`. */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Redacted, Schema, Stream } from "effect"
import { Live, Session } from "effect-sessions"
import { Admission } from "effect-sessions/auth"
import { LiveClient } from "effect-sessions/client"
import { Connections, CrossOrigin } from "effect-sessions/http"
import { JwtKeys, JwtSigner, JwtVerifier } from "effect-sessions/jwt"
import { LiveSocket, LiveViews } from "effect-sessions/live"
import { HttpRouter, HttpServer } from "effect/http"
import * as Rpc from "effect/rpc/Rpc"
import { createServer } from "node:http"
import * as PostgresServer from "../snapshots/PostgresServer.ts"
import { idOn, settled, startProgram } from "./ClusterNode.ts"

class Url extends Context.Service<Url, Redacted.Redacted>()("test/Url") {}

class Notes extends Session.Service<Notes>()("Notes", {
  state: Schema.Array(Schema.Int),
  protocol: [Rpc.make("Add", { payload: Schema.Int, success: Schema.Int })]
}) {}

class NotesLive extends Live.Service<NotesLive>()("NotesLive", {
  kind: Notes,
  views: { all: Schema.Array(Schema.Int) },
  messages: ["Add"]
}) {}

const NotesLayer = Notes.toLayer(
  Notes.behavior({
    init: () => [],
    handlers: { Add: ({ payload, state }) => [[...state, payload], state.length + 1] }
  }),
  { snapshots: { save: "everyChange" } }
)

const secret = Redacted.make("a secret of at least thirty-two bytes")

const Program = HttpRouter.serve(
  LiveSocket.layer(NotesLive, { path: "/live", session: Admission.token({ kind: Notes }) }),
  { disableLogger: true, disableListenLog: true }
).pipe(
  Layer.provide([
    LiveViews.layer(NotesLive, { select: { all: (notes) => notes } }),
    JwtVerifier.layer(),
    CrossOrigin.layer(),
    Connections.layer()
  ]),
  Layer.provide(JwtKeys.layerSecret(secret)),
  Layer.provideMerge(NotesLayer),
  Layer.provideMerge(JwtSigner.layerSecret(secret)),
  Layer.provideMerge(
    NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0, disablePreemptiveShutdown: true })
  )
)

layer(Layer.effect(Url, PostgresServer.start), { excludeTestServices: true })("Live views on a cluster", (it) => {
  it.effect("go on when the session moves, and each action happens once", () =>
    Effect.gen(function*() {
      const url = yield* Url
      const [a, b] = yield* Effect.all([
        startProgram({ url, name: "l1" }, Program),
        startProgram({ url, name: "l1" }, Program)
      ], {
        concurrency: 2
      })
      yield* settled(a, b)
      const id = yield* idOn(b)
      const token = yield* Context.get(a.context, JwtSigner).sign({ sub: id })
      const { address } = Context.get(a.context, HttpServer.HttpServer)
      const live = HttpServer.formatAddress(address).replace("http", "ws") + "/live"
      const client = yield* LiveClient.make(NotesLive, { url: live, token: Effect.succeed(token) }).pipe(
        Effect.provide(LiveClient.layerWebSocket)
      )
      const shown: Array<ReadonlyArray<number>> = []
      const view = yield* client.mount("all")
      yield* Effect.forkScoped(Stream.runForEach(view.changes, (notes) => Effect.sync(() => void shown.push(notes))))
      assert.strictEqual(yield* client.call("Add", 1), 1)
      const stopping = yield* Effect.forkChild(b.stop)
      const expected = [1]
      while ((yield* a.cluster.nodes).length > 1 || expected.length < 20) {
        expected.push(expected.length + 1)
        assert.strictEqual(yield* client.call("Add", expected.length), expected.length)
      }
      yield* Fiber.join(stopping)
      assert.strictEqual(yield* client.call("Add", 0), expected.length + 1)
      while (shown.at(-1)?.at(-1) !== 0) yield* Effect.sleep(5)
      assert.deepStrictEqual(shown.at(-1), [...expected, 0])
      // Never anything that was shown before, and no state that the session did not have.
      for (const [i, notes] of shown.slice(1, -1).entries()) {
        assert.isAbove(notes.length, shown[i]!.length)
        assert.deepStrictEqual(notes, expected.slice(0, notes.length))
      }
    }))
})
