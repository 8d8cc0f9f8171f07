/**
 * A map from devices of keys. Most keys have one device, which costs no map of its own.
 */
interface Entry {
  readonly key: string
  readonly device: string
}

export class PresenceByDevice<A extends Entry> {
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

  *values(): Iterable<A> {
    for (const found of this.keys.values()) {
      if (found instanceof Map) yield* found.values()
      else yield found
    }
  }
}
