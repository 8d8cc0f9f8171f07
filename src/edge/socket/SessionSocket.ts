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
 * A connection ends with its token, with 3000. A client that has another one in time, for the same user and session, sends
 * `{"type":"token","token":"…"}` and is answered with `{"type":"token","expiresIn":milliseconds}`; one that is not accepted is
 * answered with an error and changes nothing.
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
import * as TokenAdmission from "../auth/internal/TokenAdmission.ts"
import type { Claims, JwtVerifier } from "../jwt/JwtVerifier.ts"
import type { Connections } from "../http/Connections.ts"
import type { CrossOrigin } from "../http/CrossOrigin.ts"
import type * as HttpSession from "../http/HttpSession.ts"
import { serve } from "./internal/socketRoute.ts"
import { type Receive, StateConnection } from "./internal/StateConnection.ts"

/**
 * A client as `receive` sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client<D extends Session.Any> {
  /** The user's session. */
  readonly session: Session.Ref<D>
  /** What the client's latest token said. */
  readonly claims: Claims
  /** Sends a message to this client, as JSON. */
  readonly send: (message: { readonly type: string; readonly [key: string]: unknown }) => Effect.Effect<void>
  /** Closes this connection. What cannot be sent as code or reason becomes what can: see `CloseCode.sendable`. */
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
export interface Options<D extends HttpSession.AnyKind, R = never> extends TokenAdmission.Options<D> {
  readonly path: `/${string}`
  /** Handles a message of a client, one at a time. Default: there are none but `ping`. */
  readonly receive?: ((message: Message, client: Client<D>) => Effect.Effect<void, never, R>) | undefined
  /** What clients are told of the state. Default: all of it, encoded by its schema. */
  readonly view?: ((state: D["state"]["Type"]) => unknown) | undefined
  /** How often a client is asked for a sign of life; one that gives none until the next time is let go. Default: 30 s. */
  readonly heartbeat?: Duration.Input | undefined
  /**
   * Messages of one connection; more close it with 1008. What says nothing, blank lines and pings of the protocol above all,
   * counts as well. Default: 100 in 10 seconds.
   */
  readonly messageRate?: Rate | false | undefined
  /** The largest frame of a client in bytes; larger ones close the connection with 1009. Default: 65,536. */
  readonly maxFrameSize?: number | undefined
  /** How deep the JSON of a message may be nested; deeper ones are answered with an error. Default: 64. */
  readonly maxDepth?: number | undefined
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
  const maxDepth = yield* SessionsConfig.wholeNumber("socket.maxDepth", options.maxDepth ?? defaultDepth, 1)
  const admission = yield* TokenAdmission.make(options)
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

  /** What the route does with a message that came through a connection. */
  const receiver = (
    connection: StateConnection,
    admitted: TokenAdmission.Admitted,
    scope: Scope.Scope
  ): Receive => {
    const { receive } = options
    const { renewal, session } = admitted
    const client: Client<D> = {
      session,
      get claims() {
        return admitted.claims
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
  const connect = Effect.fnUntraced(function*(request: HttpServerRequest, scope: Scope.Scope, closed: () => void) {
    const connection = new StateConnection(route, options.kind.kind, closed)
    const admitted = yield* admission.connect(request, {
      revoked: (why) => connection.close(TokenAdmission.closeCodeOf(why), why, farewells[why]),
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

const farewells: { readonly [R in TokenAdmission.Revocation]: string } = {
  revoked,
  replaced: revoked,
  expired: JSON.stringify({ type: "end", reason: "TokenExpired" })
}

/** The answer to another token. */
const renew = ({ expiresIn, renew }: TokenAdmission.Renewal, token: unknown) =>
  Effect.match(typeof token === "string" ? renew(token) : Effect.fail({ _tag: "InvalidToken" }), {
    onFailure: ({ _tag }) => failure(_tag, "the token is not accepted"),
    onSuccess: () => ({ type: "token", expiresIn: expiresIn() })
  })

/** Clients choose it: it may be anything, and of any length. */
const shown = (type: unknown): string => (typeof type === "string" ? type : JSON.stringify(type)).slice(0, 80)

const failure = (_tag: string, message: string) => ({ type: "error", error: { _tag, message } })

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
