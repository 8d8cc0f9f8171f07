/**
 * Lists of who is present, made of the state of a topic.
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { Device, Devices, Event, Present, State } from "../../Presence.ts"

/** Devices that came in the same millisecond are ordered by name. */
const byAge = (a: Device<unknown>, b: Device<unknown>): number =>
  a.since === b.since ? (a.device < b.device ? -1 : 1) : a.since - b.since

/** `true` when the key has one device. */
export const isOne = <Meta>(devices: Devices<Meta>): devices is Device<Meta> => !HashMap.isHashMap(devices)

const toPresent = <Meta>(key: string, devices: Devices<Meta>): Present<Meta> => ({
  key,
  devices: isOne(devices) ? [devices] : Array.from(HashMap.values(devices)).sort(byAge)
})

export const list = <Meta>(state: State<Meta>): ReadonlyArray<Present<Meta>> =>
  Array.from(HashMap.entries(state.present), ([key, devices]) => toPresent(key, devices))

export const get = <Meta>(state: State<Meta>, key: string): Option.Option<Present<Meta>> =>
  Option.map(HashMap.get(state.present, key), (devices) => toPresent(key, devices))

export const count = <Meta>(state: State<Meta>): number => HashMap.size(state.present)

export const apply = <Meta>(
  present: HashMap.HashMap<string, Present<Meta>>,
  event: Event<Meta>
): HashMap.HashMap<string, Present<Meta>> => {
  if (event._tag === "List") return HashMap.fromIterable(event.present.map((one) => [one.key, one]))
  const { _tag, device, key, meta, since } = event
  const had = Option.getOrUndefined(HashMap.get(present, key))?.devices ?? []
  const devices = had.filter((one) => one.device !== device)
  if (_tag !== "Leave") devices.push({ device, since, meta })
  return devices.length === 0
    ? HashMap.remove(present, key)
    : HashMap.set(present, key, { key, devices: devices.sort(byAge) })
}
