/**
 * The list of who is in the shop: a user once, with all devices, and each guest with one device.
 */
import { Schema } from "effect"
import { Presence } from "effect-sessions"

export class Shoppers extends Presence.Service<Shoppers>()("Shoppers", {
  meta: Schema.Struct({ name: Schema.String, agent: Schema.String })
}) {}

/** There is one shop. */
export const shop = "shop"

/** A person in the shop, as others see it. Times are milliseconds since 1970. */
export const Shopper = Schema.Struct({
  key: Schema.String,
  name: Schema.String,
  /** The devices, in the order in which they came. */
  devices: Schema.Array(Schema.Struct({ id: Schema.String, agent: Schema.String, since: Schema.Number }))
})
export type Shopper = typeof Shopper.Type

/** The people in the shop, in the order in which they came. */
export const inOrder = (
  present: ReadonlyArray<Presence.Present<{ readonly name: string; readonly agent: string }>>
): ReadonlyArray<Shopper> =>
  present.map(({ devices, key }) => ({
    key,
    name: devices[0]?.meta.name ?? key,
    devices: devices.map(({ device, meta, since }) => ({ id: device, agent: meta.agent, since }))
  })).sort((a, b) => cameAt(a) - cameAt(b) || (a.key < b.key ? -1 : 1))

const cameAt = ({ devices }: Shopper): number => devices[0]?.since ?? 0
