/**
 * The endpoints of the operator. This demo has no passwords, so every visitor can use them.
 */
import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, OpenApi } from "effect/http-api"
import { about } from "./ApiParts.ts"
import * as Catalogue from "./Catalogue.ts"
import { Text } from "./Hearing.ts"

/** How many of one product there can be. */
const Stock = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9_999 }))

export const counter = HttpApiGroup.make("counter")
  .add(
    HttpApiEndpoint.post("broadcast", "/broadcast", {
      payload: Schema.Struct({ text: Text }),
      success: Schema.Struct({ delivered: Schema.Int })
    }).annotateMerge(about(
      "Announce something in the shop",
      "1 to 280 characters, for all visits whose pages are open or were a minute ago: `delivered` is how many. Whoever comes "
        + "later does not hear it."
    )),
    HttpApiEndpoint.put("stock", "/stock/:sku", {
      params: { sku: Catalogue.Sku },
      payload: Schema.Struct({ left: Stock }),
      success: Schema.Struct({ sku: Catalogue.Sku, left: Stock, notified: Schema.Int })
    }).annotateMerge(about(
      "Change the stock of a product",
      "And notify the users who have it in a cart: `notified` is how many."
    ))
  )
  .annotate(OpenApi.Description, "What the operator does.")
