/**
 * Live views and actions over plain HTTP: server-sent events (SSE), and `POST`. Use it for clients without WebSockets, and for
 * scripts. Browsers are served better by `LiveSocket` with `LiveClient`: one connection for views and actions, optimistic
 * updates, and actions that are handled once.
 *
 * ```ts
 * const Routes = LiveHttp.layer(CartLive, { path: "/live", session: Admission.cookie(Visitor) })
 * ```
 *
 * **Views.** `GET /live?view=items` is an event stream: `event: snapshot` with `{ epoch, version, state }`, then for each change
 * `event: patch` with `{ epoch, version, from, patch }` (RFC 6902), conflated for a slow client. The last event is `event: end`
 * with `{ reason }`, or `event: failed` with the `view` that failed. Several views (`?view=items&view=total`) share one stream,
 * with a `view` in the data.
 *
 * **Resuming.** The id of an event is `epoch:version`. A browser that reconnects sends it as `Last-Event-ID`, and the stream
 * continues from there. A browser also reconnects after the end of a session, which would start another one. Therefore the
 * event `end` has the id `end`, and a request with that id is answered with 204, after which an `EventSource` stays closed;
 * make a new one to begin again. When a session has only moved, or its server restarts, the event has no id.
 *
 * **Lost clients.** A client that vanishes without closing its connection, and whose buffers are full, is disconnected after
 * four heartbeats. On a quiet stream it takes as long as TCP tries to deliver a heartbeat, usually 15 minutes.
 *
 * **Actions.** `POST /live/Add` with the payload as JSON does an action. The headers `live-client` and `live-sequence` (see
 * `Live.headers`) make it safe to send it again.
 *
 * Add `CrossOrigin.protect` to the routes: browsers send cookies also with requests of other pages.
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as Exit from "effect/Exit"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as EndReason from "../../contract/EndReason.ts"
import * as Live from "../../contract/Live.ts"
import {
  ActionError,
  Forbidden,
  InvalidPayload,
  SessionGone,
  Unknown,
  type ViewError,
  type ViewFailed
} from "../../contract/LiveError.ts"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import type { SessionRef } from "../../contract/SessionRef.ts"
import { toJson } from "../../internal/jsonCodec.ts"
import { defaultDepth, isTextDeeper, tooDeep } from "../../internal/jsonDepth.ts"
import * as SessionsConfig from "../../policy/SessionsConfig.ts"
import { type Admission, type Allow, allowing, type Refused } from "../auth/Admission.ts"
import { json, refusal, refuse } from "../internal/answers.ts"
import { Commands } from "../internal/Commands.ts"
import { disconnectStalled, inParts } from "../internal/disconnectStalled.ts"
import type { AnyLive } from "./LiveViews.ts"

const of = <const Name extends string, F extends Schema.Struct.Fields>(event: Name, fields: F) =>
  Schema.Struct({
    id: Schema.String,
    event: Schema.Literal(event),
    data: Schema.fromJsonString(Schema.Struct(fields))
  })

/** The view, where there are several. */
const Named = { view: Schema.optionalKey(Schema.String) }

/**
 * The events of `follow`, for `HttpApiSchema.StreamSse`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ServerSentEvent = Schema.Union([
  of("snapshot", { ...Named, ...Live.ViewStateFields }),
  of("patch", { ...Named, ...Live.PatchFields }),
  Schema.Struct({
    id: Schema.optionalKey(Schema.String),
    event: Schema.Literal("end"),
    data: Schema.fromJsonString(Schema.Struct({ reason: Schema.NullOr(Schema.Literals(EndReason.tags)) }))
  }),
  Schema.Struct({
    event: Schema.Literal("failed"),
    data: Schema.fromJsonString(Schema.Struct({ view: Schema.String, message: Schema.String }))
  })
])

/**
 * The events of `follow`.
 *
 * @since 0.1.0
 * @category models
 */
export type ServerSentEvent = typeof ServerSentEvent.Type

/**
 * Follows views as server-sent events, for an endpoint of your own. Continues after `lastEventId`, if that is the id of an
 * event for the same views in the same order. Ends with the event `end` and the reason of the session's end, or `null` when
 * there is no session; or with the event `failed` when a view fails. Fails with `Busy` when the session cannot be loaded now.
 * A reader that takes nothing for two minutes, while there is an event for it, is interrupted, which closes its connection.
 *
 * @since 0.1.0
 * @category streams
 */
export const follow = <State, N extends string>(
  views: Live.Views<State, N>,
  session: SessionRef<State, any>,
  names: ReadonlyArray<N>,
  lastEventId?: string
): Stream.Stream<ServerSentEvent, Exclude<ViewError, SessionGone | ViewFailed>> =>
  disconnectStalled()(eventsOf(views, session, names, lastEventId))

const eventsOf = <State, N extends string>(
  views: Live.Views<State, N>,
  session: SessionRef<State, any>,
  names: ReadonlyArray<N>,
  lastEventId: string | undefined
): Stream.Stream<ServerSentEvent, Exclude<ViewError, SessionGone | ViewFailed>> =>
  Stream.unwrap(Effect.gen(function*() {
    // Only signals that there is something new: events are made when the reader is ready, and changes until then conflated.
    const bell = yield* Queue.sliding<void, SessionGone | ViewFailed>(1)
    const viewer: Live.Viewer = {
      changed: () => Queue.offerUnsafe(bell, undefined),
      ended: (reason) => Queue.failCauseUnsafe(bell, Cause.fail(SessionGone.of(reason._tag))),
      failed: (error) => Queue.failCauseUnsafe(bell, Cause.fail(error))
    }
    const after = parseId(lastEventId, names.length)
    const mounted = yield* Effect.forEach(names, (name, i) => views.mount(session, name, viewer, { after: after[i] }))
    const sent = new Array<Live.Position | undefined>(names.length).fill(undefined)
    Queue.offerUnsafe(bell, undefined)
    return Stream.fromQueue(bell).pipe(
      Stream.map(() =>
        mounted.flatMap((view, i): ReadonlyArray<ServerSentEvent> => {
          const event = view.next()
          if (event === undefined) return []
          sent[i] = event
          const id = formatId(event.epoch, sent)
          const named = names.length === 1 ? {} : { view: names[i]! }
          if (event._tag === "snapshot") {
            const { epoch, state, version } = event
            return [{ id, event: "snapshot", data: { ...named, epoch, version, state } }]
          }
          const { epoch, from, patch, version } = event
          return [{ id, event: "patch", data: { ...named, epoch, version, from, patch } }]
        })
      ),
      Stream.flatMap(Stream.fromIterable)
    )
  })).pipe(
    Stream.catchTag("SessionGone", ({ reason }) => Stream.succeed(endOf(reason))),
    Stream.catchTag(
      "ViewFailed",
      ({ message, name }) => Stream.succeed<ServerSentEvent>({ event: "failed", data: { view: name, message } })
    )
  )

/** The id of the event `end`. */
const endId = "end"

const endOf = (reason: SessionGone["reason"]): ServerSentEvent => {
  const event: ServerSentEvent = { event: "end", data: { reason } }
  // Without an id, the browser sends the id of the event before, and continues from there.
  return reason === "Moved" || reason === "Shutdown" ? event : { id: endId, ...event }
}

/** The epoch, and the version of each view; `-` for a view that was not sent in this epoch yet. */
const formatId = (epoch: number, sent: ReadonlyArray<Live.Position | undefined>): string =>
  `${epoch}:${sent.map((position) => position?.epoch === epoch ? position.version : "-").join(",")}`

const parseId = (id: string | undefined, views: number): ReadonlyArray<Live.Position | undefined> => {
  const [epoch = "", versions = ""] = (id ?? "").split(":")
  const each = versions.split(",")
  return each.length === views ? each.map((version) => Live.parsePosition(`${epoch}:${version}`)) : []
}

/**
 * Options of the routes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<D extends Live.Any, RSession, R> {
  /** The path of the views; the path of an action is this one, a slash, and the name of the action. */
  readonly path: `/${string}`
  /** How the session of a request is found. */
  readonly session: Admission<D["kind"]["kind"], RSession>
  /** Decides whether a client may see a view, or do an action. Default: everything is allowed. */
  readonly allow?: Allow<D, R> | undefined
  /** How often a comment is sent, to keep the connection open. Default: 15 s. */
  readonly heartbeat?: Duration.Input | undefined
  /** The largest body of an action, in bytes; a larger one is refused with 413. Default: 65,536. */
  readonly maxBodySize?: number | undefined
  /** How deep the JSON of an action may be nested; deeper JSON is refused with 400. Default: 64. */
  readonly maxDepth?: number | undefined
}

/**
 * Routes for views and actions. Fails with `InvalidConfig` when an option is not usable.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <D extends AnyLive, RSession, R = never>(
  definition: D,
  options: Options<D, RSession, R>
): Layer.Layer<never, InvalidConfig, HttpRouter.HttpRouter | Context.Service.Identifier<D> | RSession | R> =>
  Layer.effectDiscard(make(definition, options as Options<any, RSession, R>)) as never

const make = Effect.fnUntraced(function*<RSession, R>(definition: AnyLive, options: Options<any, RSession, R>) {
  const heartbeat = yield* SessionsConfig.duration("live.heartbeat", options.heartbeat ?? "15 seconds")
  const maxBodySize = yield* SessionsConfig.wholeNumber("live.maxBodySize", options.maxBodySize ?? 65_536, 1)
  const maxDepth = yield* SessionsConfig.wholeNumber("live.maxDepth", options.maxDepth ?? defaultDepth, 1)
  const views = (yield* definition) as Live.Views<any, string>
  const admission = yield* options.session.make
  const allows = yield* allowing(options.allow)
  const commands = new Commands(definition)
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const comments = Stream.tick(heartbeat).pipe(Stream.drop(1), Stream.map(() => ": still here\n\n"))

  const check = (allow: ReturnType<typeof allows>, names: ReadonlyArray<string>) =>
    Effect.forEach(
      names,
      (name) => Effect.flatMap(allow(name), (allowed) => allowed ? Effect.void : Effect.fail(Forbidden.of(name))),
      { discard: true }
    )

  const events = Effect.gen(function*() {
    const request = yield* HttpServerRequest
    if (request.headers["last-event-id"] === endId) return isOver
    const names = viewNames(request.url, definition)
    const unknown = names.find((name) => !Object.hasOwn(definition.views, name))
    if (unknown !== undefined) return yield* Unknown.of("view", unknown)
    const found = yield* admission.find(request)
    yield* check(allows(found), names)
    const held = Effect.gen(function*() {
      const disconnected = yield* Deferred.make<void>()
      const end = () => Deferred.doneUnsafe(disconnected, Exit.void)
      const client = yield* admission.connect(request, { revoked: end, ended: end })
      const { session } = client
      if (options.allow !== undefined) {
        const scope = yield* Effect.scope
        // The client may see less now: it learns of that when it reconnects.
        const again = Effect.matchCause(check(allows(client), names), { onFailure: end, onSuccess: () => {} })
        yield* session.watch({ identified: () => void run(Effect.forkIn(again, scope)), ended: () => {} })
      }
      const lastEventId = request.headers["last-event-id"]
      return Stream.interruptWhen(eventsOf(views, session, names, lastEventId), Deferred.await(disconnected))
    })
    const stream = Stream.unwrap(held).pipe(
      Stream.map(encodeEvent),
      Stream.merge(comments, { haltStrategy: "left" }),
      inParts,
      disconnectStalled(heartbeat),
      Stream.encodeText,
      // The headers are sent by now: a refusal just ends the stream, and the client reconnects.
      Stream.catch(() => Stream.empty)
    )
    return HttpServerResponse.stream(stream, {
      contentType: "text/event-stream",
      headers: { "cache-control": "no-cache, no-transform", "x-accel-buffering": "no" }
    })
  })

  const act = Effect.gen(function*() {
    const request = yield* HttpServerRequest
    const { name = "" } = yield* HttpRouter.params
    const command = commands.get(name)
    if (command === undefined) return yield* Unknown.of("action", name)
    const found = yield* admission.find(request)
    yield* check(allows(found), [name])
    // The body is read only after the client is admitted.
    const payload = yield* readJson(request, { name, maxBodySize, maxDepth })
    const done = yield* Effect.result(commands.run(found.session, {
      name,
      payload,
      header: (header) => request.headers[header]
    }))
    return yield* Effect.sync(() => {
      if (done._tag === "Failure") return failed(done.failure, command.encodeError(done.failure))
      const answer = command.encodeSuccess(done.success)
      return answer === undefined || answer === null
        ? HttpServerResponse.empty({ status: 204 })
        : HttpServerResponse.jsonUnsafe(answer)
    }).pipe(Effect.catchDefect((defect) => {
      const { id, kind } = found.session
      return Effect.as(
        Effect.logError(`the answer of ${kind}/${id} to ${name} could not be encoded`, defect),
        unencodable
      )
    }))
  })

  const respond = <E extends { readonly _tag: string }, R>(
    effect: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ) =>
    Effect.catch(effect, (error) => {
      const known = error._tag === "SessionNotFound" ? SessionGone.of(null) : error
      return Effect.succeed(isActionError(known) ? refusalOf(known) : refuse(known as Refused))
    })

  yield* HttpRouter.HttpRouter.use((router) =>
    Effect.andThen(
      router.add("GET", options.path, respond(events)),
      router.add("POST", `${options.path}/:name`, respond(act))
    )
  )
})

/** The views that a request names, each once; all views if it names none. */
const viewNames = (url: string, { views }: Live.Any): ReadonlyArray<string> => {
  const query = url.indexOf("?")
  const asked = query < 0 ? [] : new URLSearchParams(url.slice(query)).getAll("view")
  const names = asked.flatMap((names) => names.split(",")).filter((name) => name !== "")
  return names.length === 0 ? Object.keys(views) : Array.from(new Set(names))
}

/** The body of an action as JSON; `null` for none. */
const readJson = (
  request: HttpServerRequest,
  { maxBodySize, maxDepth, name }: { readonly name: string; readonly maxBodySize: number; readonly maxDepth: number }
): Effect.Effect<unknown, InvalidPayload | Refused> => {
  const invalid = (message: string) => new InvalidPayload({ name, message })
  return request.text.pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBodySize)),
    Effect.mapError(({ reason }) =>
      reason._tag === "RequestParseError" && reason.reason === "BodyTooLarge"
        ? tooLarge(maxBodySize)
        : invalid("the body could not be read")
    ),
    Effect.flatMap((text): Effect.Effect<unknown, InvalidPayload> => {
      if (text === "") return Effect.succeed(null)
      if (isTextDeeper(text, maxDepth)) return Effect.fail(invalid(tooDeep(maxDepth)))
      return Effect.try({
        try: (): unknown => JSON.parse(text),
        catch: () => invalid("the body is not JSON")
      })
    })
  )
}

const tooLarge = (maxBodySize: number): Refused => ({
  _tag: "PayloadTooLarge",
  httpStatus: 413,
  message: `a body may have at most ${maxBodySize} bytes`
})

/** The answer to an action that failed: its error as JSON. An error without a status gets 422. */
const failed = (error: unknown, encoded: unknown): HttpServerResponse.HttpServerResponse => {
  const { httpStatus = 422, retryAfter } = (error ?? {}) as { httpStatus?: number; retryAfter?: number }
  return json(encoded, { status: httpStatus, retryAfter })
}

/** An `EventSource` does not reconnect after a 204. */
const isOver = HttpServerResponse.empty({ status: 204, headers: { "cache-control": "no-store" } })

const unencodable = refusal({ _tag: "InternalError", httpStatus: 500, message: "the answer could not be encoded" })

const isActionError = Schema.is(ActionError)

const encodeActionError = toJson(ActionError)

/** An error with all its fields, so that clients can decode it. */
const refusalOf = (error: ActionError): HttpServerResponse.HttpServerResponse => failed(error, encodeActionError(error))

const encodeData = Schema.encodeSync(ServerSentEvent)

const encodeEvent = (event: ServerSentEvent): string => {
  const { data, ...rest } = encodeData(event)
  return Sse.encoder.write({ _tag: "Event", id: "id" in rest ? rest.id : undefined, event: rest.event, data })
}
