/**
 * Live views and actions over WebSockets: a route that lets a client in, by its cookie or its token, and serves the RPCs
 * of a definition (see `Live.rpcs`).
 *
 * ```ts
 * const Routes = LiveSocket.layer(CartLive, { path: "/live", session: Admission.cookie(Visitor) })
 * ```
 *
 * Another origin is refused with 403, too many connections or sessions with 429 and 503, before the connection is
 * upgraded. A client without a session is let in and closed with 1008, since browsers do not tell their page the status of
 * a refused upgrade. The close code says what to do next: see `CloseCode`.
 *
 * Serve it with `NodeHttpServer.layer(…, { disablePreemptiveShutdown: true })`: without, the server waits for open
 * sockets for up to 20 seconds.
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
import { type Admission, type Allow, allowing } from "../auth/Admission.ts"
import * as TokenAdmission from "../auth/internal/TokenAdmission.ts"
import type { CrossOrigin } from "../http/CrossOrigin.ts"
import { serve } from "./internal/socketRoute.ts"
import { Commands } from "../internal/Commands.ts"
import { LiveConnection, RefusedConnection } from "./internal/LiveConnection.ts"
import type { AnyLive } from "../live/LiveViews.ts"

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
  /** May this client see the view, or do the action, of this name? Default: yes. */
  readonly allow?: Allow<D, R> | undefined
  /**
   * How much of a view may be on its way before changes are conflated: chunks that the client has not acknowledged.
   * Default: 32.
   */
  readonly window?: number | undefined
  /** How often a client is asked for a sign of life; one that gives none until the next time is let go. Default: 30 s. */
  readonly heartbeat?: Duration.Input | undefined
  /**
   * Messages of one connection, whatever they say; free are the acknowledgements that the server has asked for. Actions over it
   * are answered with `Busy`; who goes on regardless is closed with 1008. Default: 200 in 10 seconds.
   */
  readonly messageRate?: Rate | false | undefined
  /** The largest frame of a client in bytes; larger ones close the connection with 1009. Default: 65,536. */
  readonly maxFrameSize?: number | undefined
  /** How deep the JSON of an action may be nested; a deeper one is answered with `InvalidPayload`. Default: 64. */
  readonly maxDepth?: number | undefined
}

/**
 * What a route for live views needs, besides what finds the session.
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
        // What happens to the session may happen before there is a connection to tell.
        const fate: { connection?: LiveConnection; end?: EndReason.EndReason | TokenAdmission.Revocation } = {}
        const tell = () => {
          if (typeof fate.end === "string") fate.connection?.close(TokenAdmission.closeCodeOf(fate.end), fate.end)
          else if (fate.end !== undefined) fate.connection?.ended(fate.end)
        }
        const over = (end: EndReason.EndReason | TokenAdmission.Revocation) => {
          fate.end ??= end
          tell()
        }
        const client = yield* admission.connect(request, { revoked: over, ended: over })
        const { renewal, session } = client
        yield* session.watch({ identified: () => fate.connection?.askAgain(), ended: over })
        fate.connection = new LiveConnection(route, { session, renewal, allows: allows(client) }, closed)
        tell()
        return fate.connection
      }).pipe(Effect.catchIf(
        (error) => withoutSession.has(error._tag),
        ({ _tag }) => Effect.succeed(new RefusedConnection(route, closed, _tag))
      ))
  })
})

/** Pages are not told the status of a refused upgrade: these they must know. */
const withoutSession: ReadonlySet<string> = new Set(["NoSession", "InvalidToken", "SessionNotFound"])
