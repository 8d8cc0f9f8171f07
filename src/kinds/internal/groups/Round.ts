/**
 * A broadcast that is under way: sends the message to each member and counts the outcomes.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { Sent } from "../../Groups.ts"
import { type Lanes, type Message, type Run, stride } from "./Lanes.ts"

export class Round {
  private readonly lanes: Lanes
  private readonly message: Message
  private readonly except: ReadonlySet<string> | undefined
  private readonly run: Run | undefined
  private delivered = 0
  private waiting = 0
  private missed = 0
  /** Members that do not exist. */
  readonly gone: Array<string> = []

  constructor(lanes: Lanes, message: Message, except: ReadonlyArray<string> | undefined) {
    this.lanes = lanes
    this.message = message
    this.except = except === undefined || except.length === 0 ? undefined : new Set(except)
    // With a tracer, the spans of the members belong to the trace of the broadcast.
    const fiber = Fiber.getCurrent()
    this.run = fiber?.cache.tracer === undefined ? undefined : Effect.runForkWith(fiber.context)
  }

  get sent(): Sent {
    const { delivered, missed, waiting } = this
    return { delivered, waiting, missed }
  }

  /** Sends to all members, which must not change meanwhile. Yields between batches: the Effect sends the rest, if any. */
  toAll(members: Iterable<string>): Effect.Effect<void> | undefined {
    const left = members[Symbol.iterator]()
    if (!this.toSome(left)) return undefined
    let more = true
    return Effect.whileLoop({
      while: () => more,
      body: () => Effect.yieldNow,
      step: () => {
        more = this.toSome(left)
      }
    })
  }

  /** Sends to a batch; `false` when no member is left. */
  private toSome(left: Iterator<string>): boolean {
    for (let budget = stride; budget > 0; budget--) {
      const { done, value: member } = left.next()
      if (done === true) return false
      if (this.except?.has(member) === true) continue
      switch (this.lanes.send(member, this.message, this.run)) {
        case "delivered":
          this.delivered++
          break
        case "waiting":
          this.waiting++
          break
        case "gone":
          this.gone.push(member)
          this.missed++
          break
        default:
          this.missed++
      }
    }
    return true
  }
}
