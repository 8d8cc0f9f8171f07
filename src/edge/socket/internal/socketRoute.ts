/**
 * A route for WebSockets: the handshake, its refusals, and the open sockets, which get heartbeats and are closed with the
 * Layer of the route.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Scope from "effect/Scope"
import * as CloseCode from "../../../contract/CloseCode.ts"
import type { Refused, Revocation } from "../../auth/Admission.ts"
import { CrossOrigin } from "../../http/CrossOrigin.ts"
import { refusal, refuse } from "../../internal/answers.ts"
import type { SocketConnection } from "./SocketConnection.ts"
import * as Upgrade from "./upgrade.ts"

/** What distinguishes a route. */
export interface Options {
  readonly path: `/${string}`
  /** How often a client is sent a ping, in milliseconds. */
  readonly heartbeat: number
  /** The largest frame of a client, in bytes. */
  readonly maxFrameSize: number
  /**
   * Makes the connection, which is then opened. What it acquires is released with the Scope, which is closed after `closed`
   * is called, or when the client is refused.
   */
  readonly connect: (
    request: HttpServerRequest,
    scope: Scope.Scope,
    closed: () => void
  ) => Effect.Effect<SocketConnection, Refused, Scope.Scope>
}

/** Adds the route. */
export const serve = Effect.fnUntraced(function*({ connect, heartbeat, maxFrameSize, path }: Options) {
  const origins = yield* CrossOrigin
  const upgrader = yield* Upgrade.make({ maxFrameSize })
  const sockets = yield* makeSockets(heartbeat)

  const open = Effect.fnUntraced(function*(request: HttpServerRequest, scope: Scope.Closeable) {
    yield* CrossOrigin.checkUpgrade(request, origins)
    const connection: SocketConnection = yield* connect(request, scope, () => sockets.remove(connection, scope))
    const opened = yield* upgrader.upgrade(request, (socket, wire) => {
      sockets.add(connection)
      connection.open(socket, wire)
    })
    if (!opened) yield* Scope.close(scope, Exit.void)
    return HttpServerResponse.empty()
  })

  const respond = Effect.gen(function*() {
    const request = yield* HttpServerRequest
    if (!Upgrade.isAskedFor(request)) return upgradeRequired
    if (!Upgrade.isWellFormed(request)) return badHandshake
    const scope = yield* Scope.make()
    return yield* Scope.provide(open(request, scope), scope).pipe(
      Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit)),
      Effect.catch((error: Refused) => Effect.succeed(refuse(error)))
    )
  })

  yield* HttpRouter.HttpRouter.use((router) => router.add("GET", path, respond))
})

/** The code with which a socket is closed whose credential is no longer valid. */
export const closeCodeOf = (why: Revocation): number =>
  why === "revoked" ? CloseCode.policyViolation : CloseCode.unauthorized

const badHandshake = refusal({ _tag: "BadHandshake", httpStatus: 400, message: "the WebSocket handshake is malformed" })

const upgradeRequired = refusal({ _tag: "UpgradeRequired", httpStatus: 426, message: "this route is for WebSockets" }, {
  upgrade: "websocket",
  connection: "upgrade"
})

const makeSockets = Effect.fnUntraced(function*(heartbeat: number) {
  const open = new Set<SocketConnection>()
  const run = Effect.runForkWith(yield* Effect.context<never>())
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(
    Effect.sleep(heartbeat),
    Effect.sync(() => {
      for (const connection of open) connection.beat()
    })
  )))
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      for (const connection of open) connection.close(CloseCode.goingAway, "the server is closing")
      // Most clients answer at once; the others get half a second.
      for (let i = 0; i < 10 && open.size > 0; i++) yield* Effect.sleep("50 millis")
      for (const connection of open) connection.terminate()
    })
  )
  return {
    add: (connection: SocketConnection) => open.add(connection),
    remove: (connection: SocketConnection, scope: Scope.Closeable) => {
      open.delete(connection)
      run(Scope.close(scope, Exit.void))
    }
  }
})
