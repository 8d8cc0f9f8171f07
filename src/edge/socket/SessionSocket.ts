/**
 * WebSocket sessions of users: a route that lets a client in by its token, finds or starts the user's session, and
 * tells the client its state.
 *
 * ```ts
 * const Socket = SessionSocket.layer({ path: "/socket", kind: Member })
 * ```
 *
 * Everything is checked before the connection is upgraded, and refused with a status: 403 for another origin, 401
 * without a good token, 429 with `Retry-After` for too many connections or starts, 503 for too many sessions. Tokens
 * come in the query (`?token=`), in the header `Authorization: Bearer …`, or as subprotocol (`["bearer", token]`). A
 * query is seen by proxies and their logs, and by traces of the server; prefer the other two where you can.
 *
 * What follows is JSON, a message a line. The server sends `{"type":"state","state":…}` at once and after each change,
 * newest state first for a client that is slow, and at last `{"type":"end","reason":…}`, with the `error` with which
 * the session stopped if its kind declares it. `{"type":"ping"}` is answered with `{"type":"pong"}` and counts as
 * activity; other messages go to `receive`. The close code says what to do next: see `CloseCode`.
 *
 * Serve it with `NodeHttpServer.layer(…, { disablePreemptiveShutdown: true })`: without, the server waits for open sockets
 * before the route can close them, for up to 20 seconds. What is sent while a `receive` is under way waits for it; a
 * `receive` that is not over when the connection is, is interrupted.
 *
 * A session has as many connections as its user has devices. Give the kind an `idleTimeout` and a `reconnectWindow`
 * (30 minutes and 30 seconds are usual): how long it lives without activity, and without any connection.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type * as EndReason from "../../contract/EndReason.ts"
import type { Rate } from "../../contract/KindOptions.ts"
import type * as Session from "../../contract/Session.ts"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import type { SessionRef } from "../../contract/SessionRef.ts"
import * as SessionsConfig from "../../policy/SessionsConfig.ts"
import * as ClientAddress from "../http/ClientAddress.ts"
import { Connections } from "../http/Connections.ts"
import { CrossOrigin } from "../http/CrossOrigin.ts"
import * as HttpSession from "../http/HttpSession.ts"
import { refusal } from "../http/internal/refusal.ts"
import * as CloseCode from "./CloseCode.ts"
import { type Receive, SocketConnection } from "./internal/SocketConnection.ts"
import * as Upgrade from "./internal/upgrade.ts"
import { type Claims, JwtVerifier } from "./Jwt.ts"

/**
 * A client as `receive` sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client<D extends Session.Any> {
  /** The user's session. */
  readonly session: Session.Ref<D>
  /** What the client's token said. */
  readonly claims: Claims
  /** Sends a message to this client, as JSON. */
  readonly send: (message: { readonly type: string; readonly [key: string]: unknown }) => Effect.Effect<void>
  /** Closes this connection. */
  readonly close: (code: number, reason: string) => Effect.Effect<void>
}

/**
 * A message of a client: a JSON object with a `type`. The rest is yours to check.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message {
  readonly type: unknown
  readonly [key: string]: unknown
}

/**
 * Options of a route for sockets.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<D extends HttpSession.AnyKind, R = never> {
  readonly path: `/${string}`
  /** The kind of the users' sessions. */
  readonly kind: D
  /** The id of the session that a token opens. Default: its `sub`. */
  readonly id?: ((claims: Claims) => string) | undefined
  /** The options with which a session is started, such as its arguments. */
  readonly start?: ((claims: Claims) => Session.StartOptions & { readonly args?: D["args"]["Type"] }) | undefined
  /**
   * The kind of session to which tokens are bound by their claim `sid`, see `HttpSession.binding`: such a token opens a
   * socket only while that session has the cookie for which it was made, and the socket is cut with it. A token
   * without `sid` is bound to nothing.
   */
  readonly boundTo?: HttpSession.AnyKind | undefined
  /** Handles a message of a client, one at a time. Default: there are none but `ping`. */
  readonly receive?: ((message: Message, client: Client<D>) => Effect.Effect<void, never, R>) | undefined
  /** What clients are told of the state. Default: all of it, encoded by its schema. */
  readonly view?: ((state: D["state"]["Type"]) => unknown) | undefined
  /** How often a client is asked for a sign of life; one that gives none until the next time is let go. Default: 30 s. */
  readonly heartbeat?: Duration.Input | undefined
  /** Messages of one connection; more close it with 1008. Default: 100 in 10 seconds. */
  readonly messageRate?: Rate | false | undefined
  /** The largest frame of a client in bytes; larger ones close the connection with 1009. Default: 65,536. */
  readonly maxFrameSize?: number | undefined
}

/**
 * What a route for sockets needs.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Needs = HttpRouter.HttpRouter | JwtVerifier | CrossOrigin | Connections

/**
 * A route for the sockets of users' sessions. Fails with `InvalidConfig` when an option is not usable.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <D extends HttpSession.AnyKind, R = never, B extends HttpSession.AnyKind = never>(
  options: Options<D, R> & { readonly boundTo?: B | undefined }
): Layer.Layer<
  never,
  InvalidConfig,
  Needs | R | Context.Service.Identifier<D> | ([B] extends [never] ? never : Context.Service.Identifier<B>)
> => Layer.effectDiscard(make(options)) as never

const make = Effect.fnUntraced(function*<D extends HttpSession.AnyKind, R>(options: Options<D, R>) {
  const heartbeat = yield* SessionsConfig.duration("socket.heartbeat", options.heartbeat ?? "30 seconds")
  const messageRate = yield* SessionsConfig.rate(
    "socket.messageRate",
    options.messageRate ?? { limit: 100, window: "10 seconds" }
  )
  const maxFrameSize = yield* SessionsConfig.wholeNumber("socket.maxFrameSize", options.maxFrameSize ?? 65_536, 1)
  const { run, ...sockets } = yield* makeSockets(heartbeat)
  const upgrader = Upgrade.make({ maxFrameSize })
  const kind = (yield* options.kind) as Session.SessionKind<any, any, any, any>
  const bindings = options.boundTo === undefined
    ? undefined
    : (yield* options.boundTo) as Session.SessionKind<any, any, any, any>
  const verifier = yield* JwtVerifier
  const origins = yield* CrossOrigin
  const connections = yield* Connections
  const clock = yield* Clock.Clock
  const route = {
    now: () => clock.currentTimeMillisUnsafe(),
    messageRate,
    stateFrame: stateFrames(options.view ?? encoder(options.kind.state)),
    declaredError: declaredErrors(options.kind.error)
  }

  /** Who may come in. */
  const admit = Effect.fnUntraced(function*(request: HttpServerRequest) {
    yield* CrossOrigin.checkUpgrade(request, origins)
    const token = readToken(request)
    if (token === undefined) return yield* new HttpSession.NoSession({ message: "a token is needed to connect" })
    const claims = yield* verifier.verify(token)
    const binding = claims["sid"]
    if (bindings === undefined || binding === undefined) return { claims, bound: undefined }
    return { claims, bound: yield* HttpSession.bound(bindings, String(binding)) }
  })

  /** What the route does with a message that came through a connection. */
  const receiver = (
    connection: SocketConnection,
    session: SessionRef<any, any>,
    claims: Claims,
    scope: Scope.Scope
  ): Receive => {
    const { receive } = options
    const client: Client<D> = {
      session,
      claims,
      send: (message) => Effect.sync(() => connection.send(message)),
      close: (code, reason) => Effect.sync(() => connection.close(code, reason))
    }
    return (message, done) => {
      if (message.type === "ping") {
        connection.send({ type: "pong" })
        run(Effect.ignore(session.touch)).addObserver(done)
      } else if (receive !== undefined) {
        Effect.suspend(() => receive(message as Message, client)).pipe(
          Effect.catchDefect((defect) =>
            Effect.andThen(
              Effect.logError(`a message of type ${shown(message.type)} could not be handled`, defect),
              Effect.sync(() => connection.send(failure("InternalError", "the message could not be handled")))
            )
          ),
          Effect.ensuring(Effect.sync(done)),
          // It is over with the connection.
          Effect.forkIn(scope),
          run
        )
      } else {
        connection.send(failure("UnknownMessage", `there are no messages of type ${shown(message.type)}`))
        done()
      }
    }
  }

  /** Finds or starts the session and lets the client in; all that is held is released with the Scope. */
  const connect = Effect.fnUntraced(function*(request: HttpServerRequest, scope: Scope.Closeable) {
    const { bound, claims } = yield* admit(request)
    const id = options.id?.(claims) ?? claims.sub
    const address = ClientAddress.of(request)
    const connection = new SocketConnection({ ...route, closed: () => sockets.remove(connection, scope) })
    const cut = () => connection.close(CloseCode.policyViolation, "revoked", { type: "end", reason: "Revoked" })
    yield* connections.add({
      session: bound ?? { kind: options.kind.kind, id },
      owner: claims.sub,
      address,
      agent: request.headers["user-agent"]?.slice(0, 200),
      cut
    })
    if (bound !== undefined) {
      // It goes with the server too, which is no fault of the client.
      const ended = (reason: EndReason.EndReason) => reason._tag === "Shutdown" ? connection.ended(reason) : cut()
      yield* bound.watch({ changed() {}, ended })
      yield* bound.attach
      // From here on it is cut when the cookie is replaced; it may have been while the token was looked at.
      yield* HttpSession.bound(bindings!, String(claims["sid"]))
    }
    const session: SessionRef<any, any> = yield* kind.start(id, {
      user: claims.sub,
      address,
      ...options.start?.(claims)
    })
    const { state } = yield* session.watch({
      changed: (state) => connection.push(state),
      ended: (reason) => connection.ended(reason)
    })
    yield* session.attach
    connection.push(state)
    const opened = yield* upgrader.upgrade(request, (socket) => {
      sockets.add(connection)
      connection.open(socket, receiver(connection, session, claims, scope))
    })
    if (!opened) yield* Scope.close(scope, Exit.void)
    return HttpServerResponse.empty()
  })

  const respond = Effect.gen(function*() {
    const request = yield* HttpServerRequest
    if (!Upgrade.isAskedFor(request)) return upgradeRequired
    if (!Upgrade.isWellFormed(request)) return badHandshake
    const scope = yield* Scope.make()
    return yield* Scope.provide(connect(request, scope), scope).pipe(
      Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit)),
      Effect.catch((error: Refused) => Effect.succeed(refuse(error)))
    )
  })

  yield* HttpRouter.HttpRouter.use((router) => router.add("GET", options.path, respond))
})

interface Refused {
  readonly _tag: string
  readonly message?: string
  readonly httpStatus?: number
  readonly retryAfter?: number
}

/** The kind's own errors, and what has gone wrong inside, are not for strangers. */
const refuse = ({ _tag, httpStatus, message, retryAfter }: Refused): HttpServerResponse.HttpServerResponse => {
  // The id of the session is the token's subject.
  if (_tag === "InvalidSessionId") return unauthorized({ _tag: "InvalidToken", message: "the token names no user" })
  if (message === undefined || httpStatus === undefined || internal.has(_tag)) {
    return refusal({
      _tag: "SessionUnavailable",
      httpStatus: 503,
      message: "the session did not start",
      retryAfter: 1_000
    })
  }
  if (httpStatus === 401) return unauthorized({ _tag, message })
  const later = retryAfter ?? (httpStatus === 503 ? 5_000 : undefined)
  return refusal({ _tag, httpStatus, message, ...(later === undefined ? {} : { retryAfter: later }) })
}

const internal: ReadonlySet<string> = new Set(["StartFailed", "SessionNotFound"])

const unauthorized = (error: { readonly _tag: string; readonly message: string }) =>
  refusal({ ...error, httpStatus: 401 }, { "www-authenticate": "Bearer error=\"invalid_token\"" })

const badHandshake = refusal({ _tag: "BadHandshake", httpStatus: 400, message: "the WebSocket handshake is malformed" })

const upgradeRequired = refusal({ _tag: "UpgradeRequired", httpStatus: 426, message: "this is for WebSockets" }, {
  upgrade: "websocket",
  connection: "upgrade"
})

/** Clients choose it: it may be anything, and of any length. */
const shown = (type: unknown): string => (typeof type === "string" ? type : JSON.stringify(type)).slice(0, 80)

const failure = (_tag: string, message: string) => ({ type: "error", error: { _tag, message } })

const readToken = ({ headers, url }: HttpServerRequest): string | undefined => {
  const { authorization } = headers
  if (authorization !== undefined) return /^bearer +(\S+) *$/i.exec(authorization)?.[1]
  const protocols = headers["sec-websocket-protocol"]?.split(",").map((protocol) => protocol.trim())
  if (protocols?.[0] === Upgrade.bearer) return protocols[1]
  const query = url.indexOf("?")
  return query < 0 ? undefined : new URLSearchParams(url.slice(query)).get("token") ?? undefined
}

const jsonCodec = (schema: Schema.Top) => Schema.toCodecJson(schema) as unknown as Schema.Codec<unknown, unknown>

const encoder = (schema: Schema.Top): (state: unknown) => unknown => Schema.encodeUnknownSync(jsonCodec(schema))

/** Encodes each state once, for however many connections it is. */
const stateFrames = (view: (state: any) => unknown): (state: unknown) => string => {
  const known = new WeakMap<object, string>()
  return (state) => {
    const isObject = typeof state === "object" && state !== null
    let frame = isObject ? known.get(state) : undefined
    if (frame === undefined) {
      frame = JSON.stringify({ type: "state", state: view(state) })
      if (isObject) known.set(state, frame)
    }
    return frame
  }
}

const declaredErrors = (schema: Schema.Top): (reason: EndReason.EndReason) => unknown => {
  const encode = Schema.encodeUnknownOption(jsonCodec(schema))
  return (reason) =>
    reason._tag === "Stopped" && reason.detail !== undefined
      ? Option.getOrUndefined(encode(reason.detail))
      : undefined
}

/** The open sockets of a route: asked for signs of life while the route is there, and closed with it. */
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
    run: run as <A, E>(effect: Effect.Effect<A, E, any>) => ReturnType<typeof run<A, E>>,
    add: (connection: SocketConnection) => open.add(connection),
    remove: (connection: SocketConnection, scope: Scope.Closeable) => {
      open.delete(connection)
      run(Scope.close(scope, Exit.void))
    }
  }
})
