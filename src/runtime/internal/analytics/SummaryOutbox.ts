/**
 * Sends summaries to the sink, in batches and in its own fiber, with limits on memory and time.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as MutableList from "effect/MutableList"
import * as Schedule from "effect/Schedule"
import type { SessionSummary } from "../../../contract/SessionSummary.ts"

export interface Options {
  readonly record: (batch: ReadonlyArray<SessionSummary>) => Effect.Effect<void, unknown>
  readonly batchSize: number
  /** How long the first summary of a batch waits for others, in milliseconds. */
  readonly every: number
  readonly capacity: number
  readonly retries: number
  /** The pause before the first retry, in milliseconds. Each further pause is twice as long. */
  readonly retryPause: number
  readonly lost: (count: number) => void
}

export class SummaryOutbox {
  private readonly options: Options
  private readonly waiting = MutableList.make<SessionSummary>()
  /** How many summaries are on their way to the sink. */
  private underWay = 0
  /** How many were dropped since the last log entry. */
  private dropped = 0
  private closing = false
  private readonly some = Latch.makeUnsafe()
  private readonly enough = Latch.makeUnsafe()

  constructor(options: Options) {
    this.options = options
  }

  /** Adds a summary. If there is no room, the oldest is dropped for it. */
  add(summary: SessionSummary): void {
    const { batchSize, capacity, lost } = this.options
    if (this.waiting.length >= capacity) {
      MutableList.take(this.waiting)
      this.dropped++
      lost(1)
    }
    MutableList.append(this.waiting, summary)
    this.some.openUnsafe()
    if (this.waiting.length >= batchSize) this.enough.openUnsafe()
  }

  /** Sends summaries until the outbox is closed and empty. */
  readonly work: Effect.Effect<void> = Effect.suspend(() => {
    if (this.closing && this.waiting.length === 0) return Effect.void
    return Effect.andThen(
      this.nextIsDue,
      Effect.andThen(Effect.suspend(() => this.send), Effect.suspend(() => this.work))
    )
  })

  private get nextIsDue(): Effect.Effect<void> {
    return Effect.andThen(
      this.some.await,
      Effect.suspend(() =>
        this.closing ? Effect.void : Effect.raceFirst(Effect.sleep(this.options.every), this.enough.await)
      )
    )
  }

  private get send(): Effect.Effect<void> {
    const { batchSize, lost, record, retries, retryPause } = this.options
    const batch = MutableList.takeN(this.waiting, batchSize)
    if (this.waiting.length < batchSize) this.enough.closeUnsafe()
    if (this.waiting.length === 0 && !this.closing) this.some.closeUnsafe()
    if (batch.length === 0) return Effect.void
    this.underWay = batch.length
    return Effect.suspend(() => record(batch)).pipe(
      Effect.sandbox,
      Effect.retry({
        times: retries,
        schedule: Schedule.exponential(retryPause),
        while: (cause) => !Cause.hasInterruptsOnly(cause)
      }),
      Effect.exit,
      Effect.flatMap((exit) => {
        this.underWay = 0
        if (Exit.isSuccess(exit)) return Effect.void
        lost(batch.length)
        // The failure is a cause already.
        return Effect.logError(
          `the sink did not take ${batch.length} session summaries, which are lost`,
          Cause.squash(exit.cause)
        )
      }),
      Effect.andThen(this.logDropped)
    )
  }

  private readonly logDropped = Effect.suspend(() => {
    const { dropped } = this
    this.dropped = 0
    return dropped === 0
      ? Effect.void
      : Effect.logWarning(`${dropped} session summaries were dropped: the sink takes them too slowly`)
  })

  /** Sends the rest, for at most this many milliseconds. */
  close(worker: Fiber.Fiber<void>, grace: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      this.closing = true
      this.some.openUnsafe()
      this.enough.openUnsafe()
      yield* Effect.timeoutOption(Fiber.await(worker), grace)
      yield* Fiber.interrupt(worker)
      const left = this.underWay + this.waiting.length
      if (left === 0) return
      this.options.lost(left)
      yield* Effect.logWarning(`${left} session summaries were lost: the sink did not take them before the end`)
    })
  }
}
