interface Node<A> {
  readonly at: number
  readonly item: A
}

/** Fewer stale nodes than this are not worth cleaning up. */
const fewStale = 64

/**
 * Items by the time at which they are due, the earliest first. A time that moves to later, as an expiry does with each
 * activity, costs nothing until the item reaches the front.
 */
export class DueQueue<A> {
  private readonly timeOf: (item: A) => number | null
  private readonly isBefore: (one: A, other: A) => boolean
  private heap: Array<Node<A>> = []
  /** The valid node of each item, never later than the item's time. All other nodes are stale. */
  private readonly nodes = new Map<A, Node<A>>()

  constructor(timeOf: (item: A) => number | null, isBefore: (one: A, other: A) => boolean) {
    this.timeOf = timeOf
    this.isBefore = isBefore
  }

  /** Must be called after the time of an item has changed. */
  update(item: A): void {
    const at = this.timeOf(item)
    const node = this.nodes.get(item)
    if (at === null) this.nodes.delete(item)
    else if (node === undefined || at < node.at) this.add({ at, item })
    if (this.heap.length > 2 * this.nodes.size + fewStale) this.rebuild()
  }

  /** At most `limit` items that are due at this time or before, in order. They stay in the queue. */
  due(until: number, limit: number): Array<A> {
    const found: Array<Node<A>> = []
    while (found.length < limit) {
      const node = this.heap[0]
      if (node === undefined || node.at > until) break
      this.takeFirst()
      if (this.nodes.get(node.item) !== node) continue
      const at = this.timeOf(node.item)
      if (at === null) this.nodes.delete(node.item)
      else if (at === node.at) found.push(node)
      else this.add({ at, item: node.item })
    }
    for (const node of found) this.push(node)
    return found.map((node) => node.item)
  }

  private add(node: Node<A>): void {
    this.nodes.set(node.item, node)
    this.push(node)
  }

  private rebuild(): void {
    const items = Array.from(this.nodes.keys())
    this.nodes.clear()
    this.heap = []
    for (const item of items) {
      const at = this.timeOf(item)
      if (at !== null) this.add({ at, item })
    }
  }

  private isLess(one: Node<A>, other: Node<A>): boolean {
    return one.at < other.at || (one.at === other.at && this.isBefore(one.item, other.item))
  }

  private push(node: Node<A>): void {
    const { heap } = this
    let at = heap.length
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.isLess(node, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = node
  }

  private takeFirst(): void {
    const { heap } = this
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && this.isLess(heap[child + 1]!, heap[child]!)) child++
      if (!this.isLess(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}
