/**
 * A ready-made kind of session: a bag of named values.
 *
 * **When to use.** To keep a few values for each user, without a definition. It is the default kind: `Sessions.start(id)`
 * starts a bag when its Layer is provided. For values that are not JSON use an `Agent`; for values with a schema, a kind of
 * your own (`Session.Service`).
 *
 * **Details.** Values are JSON, whether bags are stored or not: others are refused with `InvalidValue`. A bag copies what is
 * put into it, as JSON would: keys with `undefined` are absent, and -0 becomes 0.
 *
 * ```ts
 * const bag = yield* (yield* Bag).start("ada")
 * yield* bag.call("Put", { key: "theme", value: "dark" })
 * const theme = yield* bag.call("Get", "theme")
 * ```
 *
 * @since 0.1.0
 */
import type * as Layer from "effect/Layer"
import type { KindOptions } from "../contract/KindOptions.ts"
import type { InvalidConfig } from "../contract/SessionError.ts"
import type { SessionHost } from "../contract/SessionHost.ts"
import { makeBehavior } from "./internal/bag/behavior.ts"
import { makeKind } from "./internal/bag/definition.ts"

/**
 * The kind. Its arguments are the first values; `start` fails with `InvalidValue` when one of them is not JSON.
 *
 * Messages: `Put` sets a value and replies with the previous one. `Merge` sets several values at once; when one is refused,
 * none. `Get` replies with a value, `undefined` when there is none. `Delete` removes a value and replies with it. `All` replies
 * with all values.
 *
 * @since 0.1.0
 * @category kinds
 */
export class Bag extends makeKind<Bag>() {
  /**
   * Registers the kind.
   *
   * @since 0.1.0
   */
  static readonly layer = (
    options?: KindOptions<"Put" | "Merge" | "Get" | "Delete" | "All">
  ): Layer.Layer<Bag, InvalidConfig, SessionHost> => Bag.toLayer(makeBehavior(Bag), options)
}
