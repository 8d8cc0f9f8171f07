/**
 * The page of the corner shop: a visit to come in for, a client that keeps its views up to date, and the parts of the
 * page, which show the views and send actions.
 */
import { Cause, Effect, Layer } from "effect"
import * as Api from "./Api.ts"
import { cart } from "./cart.ts"
import { connection } from "./connection.ts"
import { together } from "./dom.ts"
import { drill } from "./drill.ts"
import { identity } from "./identity.ts"
import { lifetime } from "./lifetime.ts"
import { notice } from "./notice.ts"
import { search } from "./search.ts"
import { shelf } from "./shelf.ts"
import { ShopClient } from "./ShopClient.ts"
import { timeTravel } from "./travel.ts"
import { visit } from "./visit.ts"

const page = together(visit, connection, shelf, search, cart, lifetime, identity, timeTravel, drill)

/** The cookie first: the socket is opened by it. What is wrong with it, the door tells. */
const client = Layer.unwrap(Effect.as(Effect.ignore(Api.visit), ShopClient.live))

page.pipe(
  Effect.provide(client),
  Effect.tapCause((cause) => notice(`This page broke down, please load it again. ${Cause.pretty(cause)}`)),
  Effect.runFork
)
