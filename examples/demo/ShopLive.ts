/**
 * What pages see of a visit, and what they may do: the contract between the shop and its pages.
 */
import { Live } from "effect-sessions"
import { Visit } from "./Visit.ts"

const { cart, catalog, user } = Visit.state.fields

export class ShopLive extends Live.Service<ShopLive>()("ShopLive", {
  kind: Visit,
  views: { cart, user, catalog },
  actions: ["cart.add", "cart.remove", "cart.clear", "catalog.search", "catalog.check", "drill.crash"]
}) {}
