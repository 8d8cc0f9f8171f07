/**
 * A user's session over a WebSocket: a route that admits a client by its token, finds or starts the session of its user, and
 * sends the client the state.
 *
 * Use it for programs that speak plain JSON. Browsers are served better by `LiveSocket`: views, patches, and actions that are
 * handled once.
 *
 * ```ts
 * const Socket = SessionSocket.layer({ path: "/socket", kind: Member })
 * ```
 *
 * All checks are made before the connection is upgraded. A request is refused with 403 when it comes from another origin, 401
 * without a valid token, 429 with `Retry-After` for too many connections or starts, and 503 for too many sessions. The token
 * comes in the header `Authorization: Bearer …`, as a subprotocol (`["bearer", token]`), or in the query (`?token=`). Prefer
 * the first two: proxies, their logs, and the traces of the server see a query.
 *
 * After that, each line is a JSON message. The server sends `{"type":"state","state":…}` at once and after each change; a slow
 * client gets the newest state only. The last message is `{"type":"end","reason":…}`, with the `error` with which the session
 * stopped if its kind declares one. `{"type":"ping"}` is answered with `{"type":"pong"}` and counts as activity; other
 * messages go to `receive`. The close code says what to do next: see `CloseCode`.
 *
 * The connection is closed with 3000 when its token expires. To stay connected, a client sends a newer token for the same user
 * and session as `{"type":"token","token":"…"}`. The answer is `{"type":"token","expiresIn":milliseconds}`, or an error, which
 * changes nothing.
 *
 * Serve it with `NodeHttpServer.layer(…, { disablePreemptiveShutdown: true })`: otherwise the shutdown of the server waits
 * up to 20 seconds for open sockets. Messages that arrive while a `receive` runs wait for it. A `receive` that still runs when
 * the connection closes is interrupted.
 *
 * All devices of a user are connected to one session. Give its kind an `idleTimeout` and a `reconnectWindow` (usually 30
 * minutes and 30 seconds): how long it lives without activity, and without a connection.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as HttpRouter from "effect/http/HttpRouter"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as EndReason from "../../contract/EndReason.ts"
import type { Rate } from "../../contract/KindOptions.ts"
import type * as Session from "../../contract/Session.ts"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import { jsonCodec, toJson } from "../../internal/jsonCodec.ts"
import { defaultDepth } from "../../internal/jsonDepth.ts"
import { MonotonicClock } from "../../internal/MonotonicClock.ts"
import * as SessionsConfig from "../../policy/SessionsConfig.ts"
import * as Admission from "../auth/Admission.ts"
import type { Claims, TokenVerifier } from "../auth/TokenVerifier.ts"
import type { Connections } from "../http/Connections.ts"
import type { CrossOrigin } from "../http/CrossOrigin.ts"
import type * as HttpSession from "../http/HttpSession.ts"
import { closeCodeOf, serve } from "./internal/socketRoute.ts"
import { type Receive, StateConnection } from "./internal/StateConnection.ts"

/**
 * A client, as `receive` sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client<D extends Session.Any> {
  /** The user's session. */
  readonly session: Session.Ref<D>
  /** The claims of the client's latest token. */
  readonly claims: Claims
  /** Sends a message to this client, as JSON. */
  readonly send: (message: { readonly type: string; readonly [key: string]: unknown }) => Effect.Effect<void>
  /** Closes this connection. A code or reason that cannot be sent is replaced: see `CloseCode.sendable`. */
  readonly close: (code: number, reason: string) => Effect.Effect<void>
}

/**
 * A message of a client: a JSON object with a `type`. Nothing else is checked.
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
export interface Options<D extends HttpSession.AnyKind, R = never> extends Admission.TokenOptions<D> {
  readonly path: `/${string}`
  /** Handles the messages of a client, one at a time. Default: there are no messages but `ping` and `token`. */
  readonly receive?: ((message: Message, client: Client<D>) => Effect.Effect<void, never, R>) | undefined
  /** What a client is sent of the state. Default: all of it, encoded by its schema. */
  readonly view?: ((state: D["state"]["Type"]) => unknown) | undefined
  /** How often a client is sent a ping; it is disconnected if nothing comes from it until the next one. Default: 30 s. */
  readonly heartbeat?: Duration.Input | undefined
  /**
   * How many messages a connection may send; more close it with 1008. Blank lines and the control frames of the protocol count
   * too. Default: 100 in 10 seconds.
   */
  readonly messageRate?: Rate | false | undefined
  /** The largest frame of a client in bytes; a larger one closes the connection with 1009. Default: 65,536. */
  readonly maxFrameSize?: number | undefined
  /** How deep the JSON of a message may be nested; deeper JSON is answered with an error. Default: 64. */
  readonly maxDepth?: number | undefined
}

/**
 * The services that a route for sockets needs.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Needs = HttpRouter.HttpRouter | TokenVerifier | CrossOrigin | Connections

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
  const maxDepth = yield* SessionsConfig.wholeNumber("socket.maxDepth", options.maxDepth ?? defaultDepth, 1)
  const admission = yield* Admission.token(options as Options<any, any>).make
  const run = Effect.runForkWith(yield* Effect.context<R>())
  const clock = new MonotonicClock(yield* Clock.Clock)
  const route = {
    now: () => clock.now(),
    messageRate,
    maxDepth,
    run: run as <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>,
    stateFrame: stateFrames(options.view ?? toJson(options.kind.state)),
    declaredError: declaredErrors(options.kind.error)
  }

  /** Handles the messages of a connection. */
  const receiver = (
    connection: StateConnection,
    admitted: Admission.Admitted,
    scope: Scope.Scope
  ): Receive => {
    const { receive } = options
    const { renewal, session } = admitted
    const client: Client<D> = {
      session,
      get claims() {
        return admitted.claims!
      },
      send: (message) => Effect.sync(() => connection.send(message)),
      close: (code, reason) => Effect.sync(() => connection.close(code, reason))
    }
    return (message, done) => {
      if (message.type === "ping") {
        connection.send({ type: "pong" })
        run(Effect.ensuring(Effect.ignore(session.touch), Effect.sync(done)))
      } else if (message.type === "token") {
        const { token } = message as Message
        run(
          renew(renewal!, token).pipe(
            Effect.map((answer) => connection.send(answer)),
            Effect.ensuring(Effect.sync(done))
          )
        )
      } else if (receive !== undefined) {
        Effect.suspend(() => receive(message as Message, client)).pipe(
          Effect.catchDefect((defect) =>
            Effect.andThen(
              Effect.logError(`a message of type ${shown(message.type)} could not be handled`, defect),
              Effect.sync(() => connection.send(failure("InternalError", "the message could not be handled")))
            )
          ),
          Effect.ensuring(Effect.sync(done)),
          // Interrupted when the connection closes.
          Effect.forkIn(scope),
          run
        )
      } else {
        connection.send(failure("UnknownMessage", `there are no messages of type ${shown(message.type)}`))
        done()
      }
    }
  }

  /** Admits the client and makes its connection. What is acquired is released with the Scope. */
  const connect = Effect.fnUntraced(function*(request: HttpServerRequest, scope: Scope.Scope, closed: () => void) {
    const connection = new StateConnection(route, options.kind.kind, closed)
    const admitted = yield* admission.connect(request, {
      revoked: (why) => connection.close(closeCodeOf(why), why, farewells[why]),
      ended: (reason) => connection.ended(reason)
    })
    const { session } = admitted
    connection.name = `${session.kind}/${session.id}`
    const { state } = yield* session.watch({
      changed: (state) => connection.push(state),
      ended: (reason) => connection.ended(reason)
    })
    connection.receive = receiver(connection, admitted, scope)
    connection.push(state)
    return connection
  })

  yield* serve({ path: options.path, heartbeat, maxFrameSize, connect })
})

const revoked = JSON.stringify({ type: "end", reason: "Revoked" })

const farewells: { readonly [R in Admission.Revocation]: string } = {
  revoked,
  replaced: revoked,
  expired: JSON.stringify({ type: "end", reason: "TokenExpired" })
}

/** The answer to a newer token. */
const renew = ({ expiresIn, renew }: Admission.Renewal, token: unknown) =>
  Effect.match(typeof token === "string" ? renew(token) : Effect.fail({ _tag: "InvalidToken" }), {
    onFailure: ({ _tag }) => failure(_tag, "the token is not accepted"),
    onSuccess: () => ({ type: "token", expiresIn: expiresIn() })
  })

/** The type of a message as text for an error: clients choose it, so it may be anything, and of any length. */
const shown = (type: unknown): string => (typeof type === "string" ? type : JSON.stringify(type)).slice(0, 80)

const failure = (_tag: string, message: string) => ({ type: "error", error: { _tag, message } })

/** Encodes each state once, for all connections that are sent it. */
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
