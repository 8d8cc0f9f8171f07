/**
 * A place: one of the parts into which the ids of all sessions are divided. Each place has at most one owner, the node that
 * holds its lock; the owner serves the sessions of the place.
 *
 * A place is closed, open or leaving: open while this node may serve it, and leaving from then until its sessions are drained
 * and, if it is handed over, its lock is released. An open place whose lease has run out is not here, although it is not
 * closed yet.
 */
import { guard, type Owner } from "../../../internal/guard.ts"

/** Callbacks that last until they are unsubscribed. What they throw goes to their owner. */
export class Listeners {
  private readonly owner: Owner
  private readonly all = new Set<() => void>()

  constructor(owner: Owner) {
    this.owner = owner
  }

  add(f: () => void): () => void {
    const guarded = guard(this.owner, f) as () => void
    this.all.add(guarded)
    return () => {
      this.all.delete(guarded)
    }
  }

  /** Calls those of this moment, unless an earlier one unsubscribes them. */
  notify(): void {
    if (this.all.size === 0) return
    for (const f of Array.from(this.all)) {
      if (this.all.has(f)) f()
    }
  }
}

export class Place {
  readonly index: number
  /** The number of the latest ownership of this node. Each new owner of a place has a higher one. */
  term = 0
  /** Was it opened, and not yet closed? */
  isOpen = false
  /** Are its sessions being drained, or its lock released? */
  isLeaving = false
  /** Until when its lock is certain to be held by this node, in milliseconds of the monotonic clock. */
  leaseUntil = -Infinity
  private readonly opened: Listeners
  private readonly left: Listeners

  constructor(index: number, owner: Owner) {
    this.index = index
    this.opened = new Listeners(owner)
    this.left = new Listeners(owner)
  }

  /** May this node serve its sessions at this time of the monotonic clock? */
  isHere(now: number): boolean {
    return this.isOpen && now < this.leaseUntil
  }

  /** Is its lock certainly held by this node? `true` also while it is handed over, when it finishes what it has accepted. */
  isHeld(now: number): boolean {
    return now < this.leaseUntil
  }

  /** Calls back whenever the place opens. Gives the function that unsubscribes. */
  onOpen(f: () => void): () => void {
    return this.opened.add(f)
  }

  /** Calls back whenever requests that wait for the place have to go elsewhere. Gives the function that unsubscribes. */
  onLeave(f: () => void): () => void {
    return this.left.add(f)
  }

  /** The lock is held until then: sessions are served, under a new term. */
  open(term: number, leaseUntil: number): void {
    this.term = term
    this.leaseUntil = leaseUntil
    this.isLeaving = false
    this.isOpen = true
    this.opened.notify()
  }

  /** The lock was confirmed. */
  prolong(leaseUntil: number): void {
    if (leaseUntil > this.leaseUntil) this.leaseUntil = leaseUntil
  }

  /** Nothing is accepted here from now on. Its sessions are still to be drained, or dropped if the lock is lost. */
  leave(why: "release" | "lost"): void {
    this.isOpen = false
    this.isLeaving = true
    if (why === "lost") this.leaseUntil = -Infinity
    this.left.notify()
  }

  /** It is drained, and its lock is released or lost. */
  close(): void {
    this.isLeaving = false
  }

  /** Whoever waits for the place has to ask elsewhere. */
  refuse(): void {
    this.left.notify()
  }
}
