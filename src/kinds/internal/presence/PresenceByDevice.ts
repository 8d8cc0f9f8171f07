/**
 * A map by key and device. Most keys have one device; that one is stored without a map of its own.
 */
interface Keyed {
  readonly key: string
  readonly device: string
}

export class PresenceByDevice<A extends Keyed> {
  private readonly keys = new Map<string, A | Map<string, A>>()

  get(key: string, device: string): A | undefined {
    const found = this.keys.get(key)
    if (found instanceof Map) return found.get(device)
    return found?.device === device ? found : undefined
  }

  add(entry: A): void {
    const { device, key } = entry
    const found = this.keys.get(key)
    if (found === undefined) this.keys.set(key, entry)
    else if (found instanceof Map) found.set(device, entry)
    else this.keys.set(key, new Map([[found.device, found], [device, entry]]))
  }

  delete({ device, key }: A): void {
    const found = this.keys.get(key)
    if (!(found instanceof Map)) {
      this.keys.delete(key)
      return
    }
    found.delete(device)
    if (found.size === 1) { for (const left of found.values()) this.keys.set(key, left) }
  }
}
