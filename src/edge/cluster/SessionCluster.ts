/**
 * Sessions on several nodes: the same program as on one, with another Layer.
 *
 * `effect/cluster` and PostgreSQL say who is there and who owns which part of the ids. Each session is on one node at a time;
 * refs, live views, presence, inboxes and groups find it wherever it is, and go on when it moves.
 *
 * **When to use:** when one process is not enough, or when a deploy or the failure of a machine must not end sessions. One process
 * with a snapshot store does without.
 *
 * **Gotchas**
 *
 * - What moves is what is stored. Kinds without `snapshots` lose their sessions when their place moves.
 * - `findUnsafe` and `castUnsafe` see the sessions of their own node only, because they must not wait.
 * - Payloads, replies, states and errors have to fit their schemas when they go to another node, and metadata has to be JSON.
 * - `maxSessions` counts the sessions of each node.
 * - Handlers of sessions on different nodes that call each other in a circle wait until their calls time out; on one node, that
 *   is a defect at once.
 * - What a handler does outside its session cannot be taken back when its node turns out to have lost the session meanwhile.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import { MonotonicClock } from "../../internal/MonotonicClock.ts"
import { StoreBroadcasts } from "../../kinds/StoreBroadcasts.ts"
import { make as makeConfig, type Options as SessionsOptions, SessionsConfig } from "../../policy/SessionsConfig.ts"
import { HostRouter } from "../../runtime/internal/host/Placement.ts"
import { SessionEvents } from "../../runtime/SessionEvents.ts"
import { layerWith, type Provided, Sessions } from "../../runtime/Sessions.ts"
import { Connections } from "../http/Connections.ts"
import { allSessions, serveNode } from "./internal/allSessions.ts"
import { HostBroadcasts, NodeBroadcasts } from "./internal/broadcasts.ts"
import { ClusterCounters, showCluster } from "./internal/clusterMetrics.ts"
import { ClusterSessions } from "./internal/ClusterSessions.ts"
import { Everywhere } from "./internal/Everywhere.ts"
import { handOver } from "./internal/handOver.ts"
import { ClusterHolds, Holds } from "./internal/Holds.ts"
import { connections, startLimiter } from "./internal/limits.ts"
import * as Membership from "./internal/membership.ts"
import * as Peers from "./internal/peers/Peers.ts"
import { Places } from "./internal/Places.ts"
import { ClusterRouter } from "./internal/Router.ts"
import { type ServedKind, Server } from "./internal/Server.ts"
import type { ListenFailed } from "./ListenFailed.ts"
import type { NodeAddress } from "./NodeAddress.ts"

/**
 * Options of a node; what is left out has its default. All nodes of a cluster need the same `shards`, `expiration`, `refresh` and
 * `prefix`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Where the other nodes reach this node. */
  readonly self: { readonly host: string; readonly port: number }
  /** How many places this node gets, relative to the others. Default: 1. */
  readonly weight?: number | undefined
  /** How many places there are. It can never be changed. Default: 300. */
  readonly shards?: number | undefined
  /** After this time without a sign of life, other nodes take the places of a node. At least 3 seconds. Default: 5 seconds. */
  readonly expiration?: Duration.Input | undefined
  /** How often locks are confirmed: at least three times within the expiration. Default: 1.5 seconds. */
  readonly refresh?: Duration.Input | undefined
  /** How often a node looks who the members are. Default: 250 milliseconds. */
  readonly assignments?: Duration.Input | undefined
  /** How often one of the nodes checks whether the others can be reached. Default: 1 second. */
  readonly health?: Duration.Input | undefined
  /** The names of the tables begin with it, and with a `_`. Default: `effect_sessions_cluster`. */
  readonly prefix?: string | undefined
  /** Where it listens for other nodes, if that is not its address: for example `0.0.0.0` in a container. */
  readonly listen?: { readonly host?: string | undefined; readonly port?: number | undefined } | undefined
  /** The name of the cluster: nodes of another one are refused. Default: `effect-sessions`. */
  readonly cluster?: string | undefined
  /**
   * Nodes prove to each other that they know it, at least 32 bytes. Default: none, so that whoever reaches the port can send
   * messages to sessions: only for a network of the nodes' own.
   */
  readonly secret?: Redacted.Redacted | undefined
  /** A peer that gives no sign of life for so long is given up. Default: 3 seconds. */
  readonly silence?: Duration.Input | undefined
  /** The settings of the sessions, as for `Sessions.layer`. */
  readonly sessions?: SessionsOptions | undefined
}

/** The number of the protocol between nodes. Nodes with different numbers do not talk to each other. */
const protocol = 1

/**
 * The cluster as this node sees it.
 *
 * @since 0.1.0
 * @category services
 */
export class SessionCluster extends Context.Service<SessionCluster, {
  readonly self: NodeAddress
  /** The healthy members, this node among them. */
  readonly nodes: Effect.Effect<ReadonlyArray<NodeAddress>>
  /** The node that owns the sessions of this id; `undefined` while there is none. */
  readonly ownerOf: (id: string) => Effect.Effect<NodeAddress | undefined>
  /** How many parts of the ids this node serves, and how many there are. */
  readonly places: Effect.Effect<{ readonly open: number; readonly count: number }>
  /**
   * Can this node take requests? `false` before it has joined, while it cannot reach the database for longer than its lease
   * lasts, and once it leaves: what a readiness probe asks.
   */
  readonly isReady: Effect.Effect<boolean>
  /**
   * Hands all sessions over to the other nodes, and leaves. Requests go on: they are sent to the new owners. Closing the Layer
   * does it, too.
   */
  readonly leave: Effect.Effect<void>
}>()("effect-sessions/SessionCluster") {
  /**
   * Hosts the sessions of this node, and joins the cluster. Fails with `InvalidConfig` when an option is not usable, with
   * `ListenFailed` when the port is taken, and with `SqlError` when the database cannot be prepared.
   *
   * ```ts
   * const Cluster = SessionCluster.layer({ self: { host: "10.0.0.4", port: 7000 }, secret }).pipe(Layer.provide(PgClient.layer({ url })))
   * const Program = Layer.provide(CartLayer, Cluster) // where it was Sessions.layer()
   * ```
   *
   * @since 0.1.0
   */
  static readonly layer = (
    options: Options
  ): Layer.Layer<
    Provided | SessionCluster,
    InvalidConfig | ListenFailed | SqlError,
    SqlClient.SqlClient
  > =>
    Layer.effectContext(Effect.gen(function*() {
      const settings = yield* Membership.check(options)
      const time = new MonotonicClock(yield* Clock.Clock)
      const context = yield* Effect.context<never>()
      const run = Effect.runForkWith(context)
      const places = new Places({
        self: settings.self,
        count: settings.shards,
        now: () => time.now(),
        threw: (defect) => void run(Effect.logError("something in the cluster has failed", defect))
      })
      const kinds = new Map<string, ServedKind>()
      const counters = new ClusterCounters()
      const broadcasts = new NodeBroadcasts(places, kinds, (node) => linkTo(node))
      const serveSessions = serveNode(kinds, () => sessions)
      const server: Server = new Server(
        places,
        kinds,
        (op, rest) => everywhere.operation(op)?.(rest) ?? serveSessions(op, rest),
        (key, limit, reply) => holds.serve(key, limit as number | null, reply),
        run
      )
      const peers: Peers.Peers = yield* Peers.make({
        address: settings.self,
        listen: options.listen,
        cluster: options.cluster ?? "effect-sessions",
        protocol,
        features: {},
        secret: options.secret,
        silence: options.silence,
        handler: (json, reply) => {
          counters.received++
          return server.handle(json, reply)
        }
      })
      const linkTo = (node: NodeAddress) => peers.to(node)
      const everywhere: Everywhere = new Everywhere(places, linkTo)
      everywhere.serve("published", (rest) => Effect.sync(() => broadcasts.receive(rest)))
      const holds: Holds = new Holds(everywhere)
      const router: ClusterRouter = new ClusterRouter({
        time,
        places,
        linkTo,
        counters,
        leave: Effect.suspend(() => leave),
        register: (kind, codec) => {
          const routed = new ClusterSessions(kind, codec, router, everywhere)
          kinds.set(kind.name, { kind, codec, local: routed })
          everywhere.host ??= kind.host
          return routed
        }
      })
      const hosted = yield* Layer.build(
        Layer.provide(
          layerWith(Layer.effect(SessionsConfig, makeConfig(options.sessions)), startLimiter(everywhere)),
          Layer.succeed(HostRouter, router)
        )
      )
      const sessions: Sessions["Service"] = Context.get(hosted, Sessions)
      const membership = yield* Membership.join(settings, places, {
        drain: handOver(kinds),
        isAlive: (node) => peers.isAlive(node)
      })
      const leave: Effect.Effect<void> = yield* Effect.cached(
        Effect.andThen(membership.leave, peers.goodbye(2 * settings.assignments))
      )
      for (const place of places.all) place.onOpen(() => reload(kinds))
      yield* Effect.acquireRelease(
        Effect.sync(() => showCluster(context, places, counters)),
        (remove) => Effect.sync(remove)
      )
      return hosted.pipe(
        Context.add(Sessions, allSessions(sessions, kinds, everywhere)),
        // Kinds that keep something for their process ask whether there are others.
        Context.add(HostRouter, router),
        Context.add(ClusterHolds, holds),
        Context.add(HostBroadcasts, broadcasts),
        Context.add(SessionCluster, {
          self: places.self,
          nodes: Effect.sync(() => places.nodes),
          ownerOf: (id) => Effect.sync(() => places.ownerOf(places.of(id))),
          places: Effect.sync(() => ({ open: places.open, count: places.count })),
          isReady: Effect.sync(() => !places.isLeaving && places.open > 0),
          leave
        })
      )
    }))

  /**
   * `Connections.layer` with a limit for the connections of all nodes together: at most `perOwner` (default 20) at a time for one
   * user, or one anonymous session. Fails with `InvalidConfig` when that is not a whole number above 0, or `Infinity`.
   *
   * One node counts the connections of a user. A node that fails gives back what it had. While the node that counts cannot be
   * reached, each node applies the limit on its own.
   *
   * @since 0.1.0
   */
  static readonly connections = (
    options?: { readonly perOwner?: number | undefined }
  ): Layer.Layer<Connections, InvalidConfig, SessionCluster> =>
    Layer.effect(
      Connections,
      Effect.gen(function*() {
        yield* SessionCluster
        const local = Context.get(yield* Layer.build(Connections.layer(options)), Connections)
        const holds = yield* ClusterHolds
        return holds === undefined ? local : connections(local, holds)
      })
    )

  /**
   * `StoreBroadcasts` for all nodes: what is published on any node arrives at the readers of every node.
   *
   * Each action arrives at most once, and those of one node in the order in which it published them. Broadcasts are not stored:
   * a node that cannot be reached, or reads too slowly, misses some. An action that arrives from another node is the event
   * `BroadcastReceive`. States and payloads go by the schemas of their stores.
   *
   * ```ts
   * const Program = ShopLayer.pipe(Layer.provideMerge(SessionCluster.broadcasts), Layer.provideMerge(Cluster))
   * ```
   *
   * @since 0.1.0
   */
  static readonly broadcasts: Layer.Layer<StoreBroadcasts, never, SessionCluster> = Layer.effect(
    StoreBroadcasts,
    Effect.gen(function*() {
      yield* SessionCluster
      const others = (yield* HostBroadcasts)!
      const events = Option.getOrUndefined(yield* Effect.serviceOption(SessionEvents))
      const clock = yield* Clock.Clock
      const here = Context.get(yield* Layer.build(Layer.fresh(StoreBroadcasts.layer)), StoreBroadcasts)
      const receive = Effect.sync(() =>
        others.listen((broadcast, from) => {
          const { action: { type: tag }, id, kind } = broadcast
          here.publish(broadcast)
          if (events?.active !== true) return
          events.publish({ _tag: "BroadcastReceive", kind, id, at: clock.currentTimeMillisUnsafe(), tag, from })
        })
      )
      yield* Effect.acquireRelease(receive, (stop) => Effect.sync(stop))
      return {
        publish: (broadcast) => {
          here.publish(broadcast)
          others.publish(broadcast)
        },
        stream: here.stream
      }
    })
  )
}

/** Places that open have sessions with alarms, and a store that works again. */
const reload = (kinds: ReadonlyMap<string, ServedKind>): void => {
  for (const { kind } of kinds.values()) kind.persistence?.retryNow()
}
