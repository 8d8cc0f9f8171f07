/**
 * The whole shop without its server: all routes, and the services behind them.
 */
import { ByteSize, Effect, Layer, Option } from "effect"
import { SessionCluster } from "effect-sessions/cluster"
import { Connections, CrossOrigin } from "effect-sessions/http"
import { HttpIncomingMessage, HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, HttpApiScalar } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { Accounts } from "./Accounts.ts"
import { CartHandlers } from "./CartHandlers.ts"
import { CounterHandlers } from "./CounterHandlers.ts"
import { IdentityHandlers } from "./IdentityHandlers.ts"
import { KeepAlive } from "./KeepAlive.ts"
import * as Kinds from "./Kinds.ts"
import * as MemberSocket from "./MemberSocket.ts"
import * as Page from "./Page.ts"
import { PeopleHandlers } from "./PeopleHandlers.ts"
import * as ReadableErrors from "./ReadableErrors.ts"
import { Senders } from "./Senders.ts"
import { ShopApi } from "./ShopApi.ts"
import { ShopHandlers } from "./ShopHandlers.ts"
import * as ShopViews from "./ShopViews.ts"
import * as Storage from "./Storage.ts"
import { StoreHandlers } from "./StoreHandlers.ts"
import * as Visitor from "./Visitor.ts"
import { Warehouse } from "./Warehouse.ts"

const Api = HttpApiBuilder.layer(ShopApi, { openapiPath: "/openapi.json" }).pipe(
  Layer.provide([CartHandlers, StoreHandlers, IdentityHandlers, PeopleHandlers, CounterHandlers, ShopHandlers]),
  Layer.provide([Visitor.VisitorCookie.layer, KeepAlive.layer, ReadableErrors.ReadableErrors.layer])
)

/** The documentation of the API, to read and to try. It loads nothing from other hosts. */
const Docs = HttpApiScalar.layer(ShopApi, { path: "/docs", scalar: { withDefaultFonts: false } })

const Health = HttpRouter.add("GET", "/health", HttpServerResponse.jsonUnsafe({ status: "ok" }))

/** Whether a proxy should send requests here: a node that joins or leaves its cluster gives 503. */
const Ready = Layer.unwrap(Effect.map(Effect.serviceOption(SessionCluster), (cluster) =>
  HttpRouter.add(
    "GET",
    "/ready",
    Effect.map(
      Option.isNone(cluster) ? Effect.succeed(true) : cluster.value.isReady,
      (ready) => HttpServerResponse.jsonUnsafe({ ready }, { status: ready ? 200 : 503 })
    )
  )))

const Metrics = PrometheusMetrics.layerHttp({ path: "/metrics" })

/** A larger request is refused before it is read. */
const BodyLimit = Layer.succeed(HttpIncomingMessage.MaxBodySize, ByteSize.kibibytes(64))

/** A page has up to four sockets, and a user may have several pages open. */
const connections = Connections.layer({ perOwner: 60 })

/** Needs `Sessions`, which hosts the visits. */
export const layer = Layer.mergeAll(
  Api,
  Docs,
  MemberSocket.layer,
  ShopViews.sockets,
  Page.layer,
  Health,
  Ready,
  Metrics
).pipe(
  Layer.provide(Layer.merge(ReadableErrors.layer, CrossOrigin.protect)),
  Layer.provide([ShopViews.views, Senders.layer]),
  Layer.provide([BodyLimit, MemberSocket.Tokens, Visitor.Keys, CrossOrigin.layer(), connections]),
  Layer.provideMerge(Kinds.layer),
  Layer.provide([Accounts.layer, Warehouse.layer]),
  Layer.provide(Storage.layer)
)
