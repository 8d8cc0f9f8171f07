/**
 * Live views and actions over WebSockets: a route that admits a client by its cookie or its token, and serves the RPCs of a
 * definition (see `Live.rpcs`). `LiveClient` of `effect-sessions/client` is a client for it. For clients without WebSockets,
 * see `LiveHttp` of `effect-sessions/live`.
 *
 * ```ts
 * const Routes = LiveSocket.layer(CartLive, { path: "/live", session: Admission.cookie(Visitor) })
 * ```
 *
 * A request from another origin is refused with 403, and one too many connections or sessions with 429 or 503, before the
 * connection is upgraded. A client without a session is upgraded and closed with 1008, because browsers do not tell a page
 * the status of a refused upgrade. The close code says what to do next: see `CloseCode`.
 *
 * Serve it with `NodeHttpServer.layer(…, { disablePreemptiveShutdown: true })`: otherwise the shutdown of the server waits
 * up to 20 seconds for open sockets.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpRouter from "effect/http/HttpRouter"
import * as Layer from "effect/Layer"
import type * as EndReason from "../../contract/EndReason.ts"
import type { Rate } from "../../contract/KindOptions.ts"
import type * as Live from "../../contract/Live.ts"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import { defaultDepth } from "../../internal/jsonDepth.ts"
import { MonotonicClock } from "../../internal/MonotonicClock.ts"
import * as SessionsConfig from "../../policy/SessionsConfig.ts"
import { type Admission, type Allow, allowing, type Revocation } from "../auth/Admission.ts"
import type { CrossOrigin } from "../http/CrossOrigin.ts"
import { Commands } from "../internal/Commands.ts"
import type { AnyLive } from "../live/LiveViews.ts"
import { LiveConnection, RefusedConnection } from "./internal/LiveConnection.ts"
import { closeCodeOf, serve } from "./internal/socketRoute.ts"

/**
 * Options of a route for live views.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<D extends Live.Any, RSession, R> {
  readonly path: `/${string}`
  /** How the session of a connection is found. */
  readonly session: Admission<D["kind"]["kind"], RSession>
  /** Decides whether a client may see a view, or do an action. Default: everything is allowed. */
  readonly allow?: Allow<D, R> | undefined
  /** How many chunks of a view may be unacknowledged before further changes are conflated. Default: 32. */
  readonly window?: number | undefined
  /** How often a client is sent a ping; it is disconnected if nothing comes from it until the next one. Default: 30 s. */
  readonly heartbeat?: Duration.Input | undefined
  /**
   * How many messages a connection may send. The acknowledgements that the server asked for do not count. Further actions are
   * answered with `Busy`; a client that ignores that is closed with 1008. Default: 200 in 10 seconds.
   */
  readonly messageRate?: Rate | false | undefined
  /** The largest frame of a client in bytes; a larger one closes the connection with 1009. Default: 65,536. */
  readonly maxFrameSize?: number | undefined
  /** How deep the JSON of an action may be nested; deeper JSON is answered with `InvalidPayload`. Default: 64. */
  readonly maxDepth?: number | undefined
}

/**
 * The services that a route for live views needs, besides those of its admission.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Needs<D extends AnyLive> = HttpRouter.HttpRouter | CrossOrigin | Context.Service.Identifier<D>

/**
 * A route for live views and actions. Fails with `InvalidConfig` when an option is not usable.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <D extends AnyLive, RSession, R = never>(
  definition: D,
  options: Options<D, RSession, R>
): Layer.Layer<never, InvalidConfig, Needs<D> | RSession | R> =>
  Layer.effectDiscard(make(definition, options as Options<any, RSession, R>)) as never

const make = Effect.fnUntraced(function*<RSession, R>(definition: AnyLive, options: Options<any, RSession, R>) {
  const heartbeat = yield* SessionsConfig.duration("live.heartbeat", options.heartbeat ?? "30 seconds")
  const messageRate = yield* SessionsConfig.rate(
    "live.messageRate",
    options.messageRate ?? { limit: 200, window: "10 seconds" }
  )
  const maxFrameSize = yield* SessionsConfig.wholeNumber("live.maxFrameSize", options.maxFrameSize ?? 65_536, 1)
  const maxDepth = yield* SessionsConfig.wholeNumber("live.maxDepth", options.maxDepth ?? defaultDepth, 1)
  const window = yield* SessionsConfig.wholeNumber("live.window", options.window ?? 32, 1)
  const views = (yield* definition) as Live.Views<any, string>
  const admission = yield* options.session.make
  const allows = yield* allowing(options.allow)
  const clock = yield* Clock.Clock
  const time = new MonotonicClock(clock)
  const route = {
    now: () => time.now(),
    date: () => clock.currentTimeMillisUnsafe(),
    messageRate,
    maxDepth,
    maxFrameSize,
    window,
    views,
    commands: new Commands(definition),
    run: Effect.runForkWith(yield* Effect.context<never>())
  }

  yield* serve({
    path: options.path,
    heartbeat,
    maxFrameSize,
    connect: (request, _scope, closed) =>
      Effect.gen(function*() {
        // The session may end before the connection is made.
        let connection: LiveConnection | undefined = undefined as LiveConnection | undefined
        let end: EndReason.EndReason | Revocation | undefined = undefined as
          | EndReason.EndReason
          | Revocation
          | undefined
        const close = () => {
          if (typeof end === "string") connection?.close(closeCodeOf(end), end)
          else if (end !== undefined) connection?.ended(end)
        }
        const over = (why: EndReason.EndReason | Revocation) => {
          end ??= why
          close()
        }
        const client = yield* admission.connect(request, { revoked: over, ended: over })
        const { renewal, session } = client
        yield* session.watch({ identified: () => connection?.askAgain(), ended: over })
        connection = new LiveConnection(route, { session, renewal, allows: allows(client) }, closed)
        close()
        return connection
      }).pipe(Effect.catchIf(
        (error) => withoutSession.has(error._tag),
        ({ _tag }) => Effect.succeed(new RefusedConnection(route, closed, _tag))
      ))
  })
})

/** Refusals that a page must learn of, although it is not told the status of a refused upgrade. */
const withoutSession: ReadonlySet<string> = new Set(["NoSession", "InvalidToken", "SessionNotFound"])
