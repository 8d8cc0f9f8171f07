/**
 * The views of a definition on the server: how each is selected from the state, and how many versions are stored for clients
 * that reconnect. `LiveSocket` and `LiveHttp` serve them.
 *
 * ```ts
 * const CartViews = LiveViews.layer(CartLive, {
 *   select: { items: (cart) => cart.items, total: (cart) => cart.total }
 * })
 *
 * const views = yield* CartLive
 * const events = views.stream(cart, "items")
 * ```
 *
 * Fields that the schema of a view does not name are left out. A selector should give the same reference where nothing has
 * changed, and states should share their common parts, as those of reducers and handlers do: then the cost of a change is
 * proportional to what has changed.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { EndReason } from "../../contract/EndReason.ts"
import type * as Live from "../../contract/Live.ts"
import { type Busy, SessionGone, Unknown, type ViewError, ViewFailed } from "../../contract/LiveError.ts"
import type * as Session from "../../contract/Session.ts"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import type { SessionRef } from "../../contract/SessionRef.ts"
import { MonotonicClock } from "../../internal/MonotonicClock.ts"
import * as SessionsConfig from "../../policy/SessionsConfig.ts"
import { SessionEvents } from "../../runtime/SessionEvents.ts"
import { isSelector, observed } from "../../store/internal/observed.ts"
import { ofReach } from "../internal/clientErrors.ts"
import { Channel, type Lens, type MountedView } from "./internal/Channel.ts"
import { encoder } from "./internal/encoder.ts"

/**
 * Options of the views of a definition.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<D extends Live.Any> {
  /** How each view is selected from the state: a pure function. */
  readonly select: {
    readonly [N in Live.ViewName<D>]: (state: Session.State<D["kind"]>) => Live.View<D, N>
  }
  /**
   * The properties that identify the rows of a view's arrays, at any depth, in order of preference; as they are named in
   * JSON. A row is followed by the first property that holds a distinct string or number in each row that may have changed:
   * then an insert, a removal or a move is one operation. Without one, rows are compared by their place. Name a property
   * here when your rows have another one. The list takes the place of the default. Default: `["id", "key"]`.
   */
  readonly identify?: { readonly [N in Live.ViewName<D>]?: ReadonlyArray<string> | undefined } | undefined
  /** How many versions of a view are stored; a client that reconnects with an older one gets a snapshot. Default: 64. */
  readonly history?: number | undefined
  /**
   * The size of the stored versions, besides the newest, in bytes of JSON (approximately). The oldest versions are dropped
   * first. Default: 1 MiB.
   */
  readonly historySize?: number | undefined
  /** How long versions are stored after the last viewer has left. Default: 1 minute. */
  readonly resumeWindow?: Duration.Input | undefined
}

/**
 * A live definition, which is also the key of its views.
 *
 * @since 0.1.0
 * @category utility types
 */
export type AnyLive = Live.Any & Context.Key<any, any>

/**
 * Provides the views of a definition. Fails with `InvalidConfig` when an option is not usable.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <D extends AnyLive>(
  definition: D,
  options: Options<D>
): Layer.Layer<Context.Service.Identifier<D>, InvalidConfig> =>
  Layer.effect(definition as Context.Key<Context.Service.Identifier<D>, unknown>, make(definition, options))

const make = Effect.fnUntraced(function*(definition: Live.Any, options: Options<any>) {
  const { kind: { kind }, views } = definition
  const history = yield* SessionsConfig.wholeNumber("live.history", options.history ?? 64, 1)
  const historySize = yield* SessionsConfig.wholeNumber("live.historySize", options.historySize ?? 1_048_576, 0)
  const resumeWindow = yield* SessionsConfig.duration("live.resumeWindow", options.resumeWindow ?? "1 minute")
  const wallClock = yield* Clock.Clock
  const clock = new MonotonicClock(wallClock)
  const events = Option.getOrUndefined(yield* Effect.serviceOption(SessionEvents))
  const run = Effect.runForkWith(yield* Effect.context<never>())

  const byView = new Map(
    Object.keys(views).map((name) => {
      const lens: Lens = {
        view: name,
        select: options.select[name]!,
        encode: encoder(views[name]!),
        identify: options.identify?.[name],
        history,
        historySize
      }
      return [name, { lens, channels: new Map<string, Channel>() }] as const
    })
  )

  // Channels without viewers, which stay open for clients that reconnect.
  const idle = new Set<Channel>()
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(
    Effect.sleep(resumeWindow / 2),
    Effect.sync(() => {
      for (const channel of idle) {
        // Closing it also removes it from the map, so that nobody finds it in between.
        if (channel.idleSince + resumeWindow <= clock.now()) run(Scope.close(channel.scope, Exit.void))
      }
    })
  )))
  yield* Effect.addFinalizer(() =>
    Effect.forEach(
      Array.from(byView.values()).flatMap(({ channels }) => Array.from(channels.values())),
      (channel) => Scope.close(channel.scope, Exit.void),
      { discard: true }
    )
  )

  const report = (view: string, id: string, defect: unknown): void => {
    run(Effect.logError(`the view ${view} of session ${kind}/${id} has failed`, defect))
  }

  /** The lens of one session, which publishes the events of its selector if anybody listens. */
  const ofSession = (lens: Lens, id: string): Lens => {
    const { select } = lens
    if (events === undefined || !isSelector(select)) return lens
    const publish = (event: Parameters<Parameters<typeof observed>[2]>[0]) =>
      events.publish({ ...event, kind, id, at: wallClock.currentTimeMillisUnsafe() })
    return { ...lens, select: (state) => events.active ? observed(select, state, publish) : select(state) }
  }

  /** The channel of a view of a session, opened if necessary. */
  const open = (
    lens: Lens,
    channels: Map<string, Channel>,
    ref: SessionRef<any, any>
  ): Effect.Effect<Channel, SessionGone | Busy> => {
    const known = channels.get(ref.id)
    if (known !== undefined) return Effect.succeed(known)
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      const channel = new Channel(ofSession(lens, ref.id), scope, (defect) => report(lens.view, ref.id, defect))
      const forget = () => {
        idle.delete(channel)
        if (channels.get(ref.id) === channel) channels.delete(ref.id)
      }
      yield* Scope.addFinalizer(scope, Effect.sync(forget))
      const snapshot = yield* ref.watch({
        changed: (state, version, epoch) => channel.changed(state, version, epoch),
        ended: (reason: EndReason) => {
          channel.ended(reason)
          run(Scope.close(scope, Exit.void))
        }
      }).pipe(
        Scope.provide(scope),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause))),
        Effect.mapError(ofReach)
      )
      channel.begin(snapshot)
      const other = channels.get(ref.id)
      if (other !== undefined) {
        // Another viewer was faster.
        yield* Scope.close(scope, Exit.void)
        return other
      }
      // If the session has ended meanwhile, its channel must not stay in the map.
      if (!channel.isOver) channels.set(ref.id, channel)
      return channel
    })
  }

  const attach = (channel: Channel, viewer: Live.Viewer, after: Live.Position | undefined): MountedView => {
    idle.delete(channel)
    try {
      return channel.mount(viewer, after)
    } finally {
      // The selector may have thrown.
      rest(channel)
    }
  }

  const detach = (channel: Channel, mounted: MountedView): void => {
    channel.unmount(mounted)
    rest(channel)
  }

  /** Starts the resume window of a channel without viewers. */
  const rest = (channel: Channel): void => {
    if (!channel.isUnused || channel.isOver) return
    channel.idleSince = clock.now()
    idle.add(channel)
  }

  const mount = (
    ref: SessionRef<any, any>,
    view: string,
    viewer: Live.Viewer,
    mountOptions?: Live.MountOptions
  ): Effect.Effect<Live.Mounted, ViewError, Scope.Scope> => {
    const found = byView.get(view)
    if (found === undefined || ref.kind !== kind) return Effect.fail(Unknown.of("view", view))
    const mounting = Effect.flatMap(
      open(found.lens, found.channels, ref),
      (channel): Effect.Effect<{ readonly channel: Channel; readonly mounted: MountedView }, ViewError> => {
        if (channel.isOver) return Effect.fail(SessionGone.of(channel.reason!._tag))
        try {
          return Effect.succeed({ channel, mounted: attach(channel, viewer, mountOptions?.after) })
        } catch (defect) {
          report(view, ref.id, defect)
          return Effect.fail(ViewFailed.of(view))
        }
      }
    )
    return Effect.map(
      Effect.acquireRelease(mounting, ({ channel, mounted }) => Effect.sync(() => detach(channel, mounted))),
      ({ mounted }) => mounted
    )
  }

  return {
    mount,
    stream: (ref: SessionRef<any, any>, view: string, mountOptions?: Live.MountOptions) =>
      Stream.unwrap(Effect.gen(function*() {
        // Only signals that there is something new: events are made when the reader is ready, and changes until then conflated.
        const bell = yield* Queue.sliding<void, ViewError>(1)
        const mounted = yield* mount(ref, view, {
          changed: () => Queue.offerUnsafe(bell, undefined),
          ended: (reason) => Queue.failCauseUnsafe(bell, Cause.fail(SessionGone.of(reason._tag))),
          failed: (error) => Queue.failCauseUnsafe(bell, Cause.fail(error))
        }, mountOptions)
        Queue.offerUnsafe(bell, undefined)
        return Stream.fromQueue(bell).pipe(
          Stream.map(() => mounted.next()),
          Stream.filter((event) => event !== undefined)
        )
      }))
  } satisfies Live.Views<any, any>
})
