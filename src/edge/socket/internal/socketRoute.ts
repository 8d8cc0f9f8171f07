/**
 * A route for WebSockets: the handshake, its refusals, and the open sockets, which are asked for signs of life and closed
 * with the route.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Scope from "effect/Scope"
import * as CloseCode from "../../../contract/CloseCode.ts"
import { CrossOrigin } from "../../http/CrossOrigin.ts"
import { refusal } from "../../internal/answers.ts"
import type { SocketConnection } from "./SocketConnection.ts"
import * as Upgrade from "./upgrade.ts"

/** Why a client is not let in. */
export interface Refused {
  readonly _tag: string
  readonly message?: string
  readonly httpStatus?: number
  readonly retryAfter?: number
}

/** What a route does for those who ask for a socket. */
export interface Options {
  readonly path: `/${string}`
  /** How often a client is asked for a sign of life, in milliseconds. */
  readonly heartbeat: number
  /** In bytes. */
  readonly maxFrameSize: number
  /**
   * Makes the connection, which is then opened. What it holds is released with the Scope, which is closed after
   * `closed` was called, or when the client is refused.
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
  const upgrader = Upgrade.make({ maxFrameSize })
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

/** The kind's own errors, and what has gone wrong inside, are not for strangers. */
export const refuse = ({ _tag, httpStatus, message, retryAfter }: Refused): HttpServerResponse.HttpServerResponse => {
  // The id of the session is the token's subject.
  if (_tag === "InvalidSessionId") return unauthorized({ _tag: "InvalidToken", message: "the token names no user" })
  if (message === undefined || httpStatus === undefined || internal.has(_tag)) {
    return refusal({
      _tag: "SessionUnavailable",
      httpStatus: 503,
      message: "the session cannot be reached now",
      retryAfter: 1_000
    })
  }
  if (httpStatus === 401) return unauthorized({ _tag, message })
  const later = retryAfter ?? (httpStatus === 503 ? 5_000 : undefined)
  return refusal({ _tag, httpStatus, message, ...(later === undefined ? {} : { retryAfter: later }) })
}

const internal: ReadonlySet<string> = new Set([
  "StartFailed",
  "StartTimeout",
  "RestoreFailed",
  "SessionNotFound",
  "StoreUnavailable",
  "SnapshotUnreadable"
])

const unauthorized = (error: { readonly _tag: string; readonly message: string }) =>
  refusal({ ...error, httpStatus: 401 }, { "www-authenticate": "Bearer error=\"invalid_token\"" })

const badHandshake = refusal({ _tag: "BadHandshake", httpStatus: 400, message: "the WebSocket handshake is malformed" })

const upgradeRequired = refusal({ _tag: "UpgradeRequired", httpStatus: 426, message: "this is for WebSockets" }, {
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
      // Most answer at once; who does not is not waited for long.
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
