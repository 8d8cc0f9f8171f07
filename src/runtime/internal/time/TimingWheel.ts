/**
 * A timing wheel: many deadlines, each set, moved and removed in O(1).
 *
 * Time is cut into ticks; all entries whose deadline falls into one tick share a slot. Only ticks with entries have a slot, and a
 * heap of those ticks gives the next one, so the cost of advancing depends on the entries that are due, not on the time that
 * has passed. An entry knows its place, so it is removed without a search and leaves nothing behind.
 */

/** An entry of a wheel. An object can be in one wheel only. */
export interface Entry {
  /** The tick in which the entry stands; `nowhere` when it is in no wheel. */
  wheelTick: number
  /** Its place in the slot. */
  wheelIndex: number
}

/** An entry that is in no wheel. */
export const nowhere = -1

/** An entry that is due and waits for the entries before it to be handed out. */
const comingDue = -2

export class TimingWheel<E extends Entry> {
  private readonly resolution: number
  private readonly slots = new Map<number, Array<E>>()
  /** A binary heap of the ticks that have a slot, and of some that have none any more. */
  private ticks: Array<number> = []
  private held = 0

  /** @param resolution the length of a tick in milliseconds */
  constructor(resolution: number) {
    this.resolution = resolution
  }

  /** How many entries the wheel holds. */
  get size(): number {
    return this.held
  }

  /** The time of the next tick with something in it, or `Infinity`. Never later than its entries' deadlines. */
  next(): number {
    while (this.ticks.length > 0 && !this.slots.has(this.ticks[0]!)) this.popTick()
    return this.ticks.length === 0 ? Infinity : this.ticks[0]! * this.resolution
  }

  /** Adds an entry, or moves it to another deadline; one of `Infinity` never comes, and is not in the wheel. */
  insert(entry: E, deadline: number): void {
    if (entry.wheelTick >= 0) this.remove(entry)
    if (deadline === Infinity) return
    // What is long past is due as soon as what is due at the very beginning.
    const tick = Math.max(0, Math.ceil(deadline / this.resolution))
    let slot = this.slots.get(tick)
    if (slot === undefined) {
      slot = []
      this.slots.set(tick, slot)
      this.pushTick(tick)
    }
    entry.wheelTick = tick
    entry.wheelIndex = slot.length
    slot.push(entry)
    this.held++
  }

  /** Takes an entry out; nothing when it is not in. */
  remove(entry: E): void {
    if (entry.wheelTick < 0) {
      entry.wheelTick = nowhere
      return
    }
    const slot = this.slots.get(entry.wheelTick)!
    const last = slot.pop()!
    if (last !== entry) {
      slot[entry.wheelIndex] = last
      last.wheelIndex = entry.wheelIndex
    }
    if (slot.length === 0) this.dropSlot(entry.wheelTick)
    entry.wheelTick = nowhere
    this.held--
  }

  /** Its tick stays in the heap until it comes, or until most ticks there have no slot. */
  private dropSlot(tick: number): void {
    this.slots.delete(tick)
    if (this.ticks.length < 64 || this.ticks.length < 2 * this.slots.size) return
    this.ticks = []
    for (const tick of this.slots.keys()) this.pushTick(tick)
  }

  /**
   * Takes out all entries whose tick is over and hands them to `due`, which may insert them again, and remove others that
   * are due as well. Gives their number.
   */
  advance(now: number, due: (entry: E) => void): number {
    const upTo = Math.floor(now / this.resolution)
    let count = 0
    while (this.ticks.length > 0 && this.ticks[0]! <= upTo) {
      const tick = this.popTick()
      const slot = this.slots.get(tick)
      if (slot === undefined) continue
      this.slots.delete(tick)
      this.held -= slot.length
      for (const entry of slot) entry.wheelTick = comingDue
      for (const entry of slot) {
        if (entry.wheelTick !== comingDue) continue
        entry.wheelTick = nowhere
        count++
        due(entry)
      }
    }
    return count
  }

  private pushTick(tick: number): void {
    const heap = this.ticks
    let at = heap.length
    heap.push(tick)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (heap[parent]! <= tick) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = tick
  }

  private popTick(): number {
    const heap = this.ticks
    const top = heap[0]!
    const last = heap.pop()!
    const length = heap.length
    if (length > 0) {
      let at = 0
      for (;;) {
        let child = 2 * at + 1
        if (child >= length) break
        if (child + 1 < length && heap[child + 1]! < heap[child]!) child++
        if (heap[child]! >= last) break
        heap[at] = heap[child]!
        at = child
      }
      heap[at] = last
    }
    return top
  }
}
