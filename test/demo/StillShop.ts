/**
 * The shop in the process of the test, on the test's clock: nothing in it expires unless the test moves its time.
 */
import { ConfigProvider, Context, Effect, Exit, Layer, Scope } from "effect"
import { Sessions, SessionsConfig } from "effect-sessions"
import { HttpServer } from "effect/http"
import { TestClock } from "effect/testing"
import * as Server from "../../examples/demo/Server.ts"
import * as Shop from "../../examples/demo/Shop.ts"

const turn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

/** A scope whose time advances while it is closed: the shop waits a while for connected clients. */
const scope = Effect.acquireRelease(Scope.make(), (scope) =>
  Effect.gen(function*() {
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
    while (closing.pollUnsafe() === undefined) yield* Effect.andThen(TestClock.adjust("100 millis"), turn)
  }))

/** Opens it with these settings, and gives its URL. It is as late in it as it is for a browser. */
export const open = (env: Record<string, string>) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(Date.now())
    const layer = Server.serve(Shop.layer).pipe(
      Layer.provide(Sessions.layerFromEnv(SessionsConfig.development)),
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ PORT: "0", ...env })))
    )
    const shop = yield* Scope.provide(Layer.build(layer), yield* scope)
    return HttpServer.formatAddress(Context.get(shop, HttpServer.HttpServer).address)
  })
