/**
 * The whole shop but for the server: all routes, and the services behind them.
 */
import { ByteSize, Layer } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { PrometheusMetrics } from "effect/observability"
import { CartHandlers } from "./CartHandlers.ts"
import { KeepAlive } from "./KeepAlive.ts"
import * as Page from "./Page.ts"
import * as ReadableErrors from "./ReadableErrors.ts"
import { ShopApi } from "./ShopApi.ts"
import { ShopHandlers } from "./ShopHandlers.ts"
import { StoreHandlers } from "./StoreHandlers.ts"
import { VisitLayer } from "./Visit.ts"
import { VisitorCookie } from "./VisitorCookie.ts"

const Api = HttpApiBuilder.layer(ShopApi, { openapiPath: "/openapi.json" }).pipe(
  Layer.provide([CartHandlers, StoreHandlers, ShopHandlers]),
  Layer.provide([VisitorCookie.layer, KeepAlive.layer, ReadableErrors.ReadableErrors.layer])
)

const Health = HttpRouter.add("GET", "/health", HttpServerResponse.jsonUnsafe({ status: "ok" }))

const Metrics = PrometheusMetrics.layerHttp({ path: "/metrics" })

/** Larger requests are refused before they are read. */
const BodyLimit = Layer.succeed(HttpIncomingMessage.MaxBodySize, ByteSize.kibibytes(64))

/** Needs the sessions of the program, which hosts the visits. */
export const layer = Layer.mergeAll(Api, Page.layer, Health, Metrics, ReadableErrors.layer).pipe(
  Layer.provide(BodyLimit),
  Layer.provideMerge(VisitLayer)
)
