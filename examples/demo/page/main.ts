/**
 * The page of the corner shop: it starts a visit, opens clients that keep their views up to date, and runs the parts of the
 * page, which show the views and send actions.
 */
import { Cause, Effect, Layer } from "effect"
import { announcements } from "./announcements.ts"
import * as Api from "./Api.ts"
import { bell } from "./bell.ts"
import { cart } from "./cart.ts"
import { companions } from "./companions.ts"
import { connection } from "./connection.ts"
import { together } from "./dom.ts"
import { drill } from "./drill.ts"
import { identity } from "./identity.ts"
import { letter } from "./letter.ts"
import { lifetime } from "./lifetime.ts"
import { node } from "./node.ts"
import { notice } from "./notice.ts"
import { operator } from "./operator.ts"
import { people } from "./people.ts"
import { search } from "./search.ts"
import { shelf } from "./shelf.ts"
import * as Clients from "./ShopClient.ts"
import { timeTravel } from "./travel.ts"
import { visit } from "./visit.ts"

const page = together(
  visit,
  connection,
  companions,
  shelf,
  search,
  cart,
  lifetime,
  identity,
  timeTravel,
  drill,
  announcements,
  bell,
  people,
  letter,
  operator,
  node
)

/** Gets the cookie first, because it opens the sockets. The dialog at the door shows what goes wrong. */
const clients = Layer.unwrap(Effect.as(Effect.ignore(Api.visit), Clients.live))

page.pipe(
  Effect.provide(clients),
  Effect.tapCause((cause) => notice(`This page broke down, please load it again. ${Cause.pretty(cause)}`)),
  Effect.runFork
)
