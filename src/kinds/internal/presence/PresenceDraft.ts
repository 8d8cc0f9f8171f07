/**
 * The next state of a topic while one message is handled, with the changes that lead to it.
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { Change, Device, Devices, State } from "../../Presence.ts"
import { isOne } from "./lists.ts"

export const emptyState: State<unknown> = { present: HashMap.empty(), changes: [] }

export class PresenceDraft {
  private readonly before: State<unknown>
  private present: HashMap.HashMap<string, Devices<unknown>>
  private readonly changes: Array<Change<unknown>> = []

  constructor(before: State<unknown>) {
    this.before = before
    this.present = before.present
  }

  /** The state after the changes of another one. */
  static apply(before: State<unknown>, changes: ReadonlyArray<Change<unknown>>): State<unknown> {
    const draft = new PresenceDraft(before)
    for (const { _tag, device, key, meta, since } of changes) {
      if (_tag === "Join") draft.join(key, device, since, meta)
      else if (_tag === "Update") draft.update(key, device, meta)
      else draft.leave(key, device)
    }
    return draft.state
  }

  private devices(key: string): Devices<unknown> | undefined {
    return Option.getOrUndefined(HashMap.get(this.present, key))
  }

  /** A device that is present. */
  device(key: string, device: string): Device<unknown> {
    const devices = this.devices(key)!
    return isOne(devices) ? devices : HashMap.getUnsafe(devices, device)
  }

  join(key: string, device: string, since: number, meta: unknown): void {
    const devices = this.devices(key)
    this.set(key, devices, { device, since, meta })
    this.changes.push({ _tag: "Join", key, device, since, meta, first: devices === undefined })
  }

  update(key: string, device: string, meta: unknown): void {
    const { since } = this.device(key, device)
    this.set(key, this.devices(key), { device, since, meta })
    this.changes.push({ _tag: "Update", key, device, since, meta })
  }

  leave(key: string, device: string): void {
    const devices = this.devices(key)!
    const { meta, since } = this.device(key, device)
    const last = isOne(devices)
    this.present = last ? HashMap.remove(this.present, key) : HashMap.set(this.present, key, without(devices, device))
    this.changes.push({ _tag: "Leave", key, device, since, meta, last })
  }

  private set(key: string, devices: Devices<unknown> | undefined, device: Device<unknown>): void {
    this.present = HashMap.set(this.present, key, devices === undefined ? device : within(devices, device))
  }

  /** The state after the message; the same object when nothing changed. */
  get state(): State<unknown> {
    const { before, changes, present } = this
    return changes.length === 0 ? before : { present, changes }
  }
}

const within = (devices: Devices<unknown>, device: Device<unknown>): Devices<unknown> =>
  !isOne(devices)
    ? HashMap.set(devices, device.device, device)
    : devices.device === device.device
    ? device
    : HashMap.make([devices.device, devices], [device.device, device])

const without = (devices: HashMap.HashMap<string, Device<unknown>>, device: string): Devices<unknown> => {
  const left = HashMap.remove(devices, device)
  return HashMap.size(left) > 1 ? left : HashMap.values(left).next().value!
}
