/**
 * Makes mailboxes synchronously, for sessions that start, wake or are restored.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Scheduler from "effect/Scheduler"
import type { Envelope } from "./Envelope.ts"

/**
 * A queue holds a dispatcher for takers that wait. A session never waits in `Queue.take`, so all mailboxes share one dispatcher,
 * which saves some hundred bytes each.
 */
class OneDispatcher extends Scheduler.MixedScheduler {
  private readonly dispatcher = super.makeDispatcher()
  override makeDispatcher(): ReturnType<Scheduler.MixedScheduler["makeDispatcher"]> {
    return this.dispatcher
  }
}

const runFork = Effect.runForkWith(Context.make(Scheduler.Scheduler, new OneDispatcher()))

export const makeMailbox = (capacity: number): Queue.Queue<Envelope> => {
  const exit = runFork(Queue.bounded<Envelope>(capacity)).pollUnsafe()
  if (exit?._tag === "Success") return exit.value
  throw new Error("a queue is made without waiting")
}
