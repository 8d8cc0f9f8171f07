/**
 * Collects the summary of one session while it lives: a few numbers, however long that is.
 */
import type { Of } from "../../../contract/SessionEvent.ts"
import type { Pattern, SessionSummary } from "../../../contract/SessionSummary.ts"

const minute = 60_000

export class Life {
  private readonly observedAt: number
  private readonly began: number
  private readonly pause: number
  private last: number
  private activeTime = 0
  private pausedTime = 0
  private pauses = 0
  private longestPause = 0
  private messages = 0
  private minute = 0
  private inMinute = 0
  private busiestMinute = 0
  private connections = 0
  crashes = 0

  /**
   * @param observedAt the date since which it is observed
   * @param now the same time on the monotonic clock, as are all other times here
   */
  constructor(observedAt: number, now: number, pause: number) {
    this.observedAt = observedAt
    this.began = this.last = now
    this.pause = pause
  }

  /** A message was handled. */
  message(now: number): void {
    this.active(now)
    this.messages++
    const minuteNow = Math.floor((now - this.began) / minute)
    if (minuteNow !== this.minute) {
      this.minute = minuteNow
      this.inMinute = 0
    }
    this.busiestMinute = Math.max(this.busiestMinute, ++this.inMinute)
  }

  /** A client connected. */
  connection(now: number): void {
    this.active(now)
    this.connections++
  }

  private active(now: number): void {
    const gap = Math.max(0, now - this.last)
    this.last = now
    if (gap < this.pause) this.activeTime += gap
    else {
      this.pauses++
      this.pausedTime += gap
      this.longestPause = Math.max(this.longestPause, gap)
    }
  }

  end({ at, duration, id, kind, reason, user }: Of<"Stop">, now: number): SessionSummary {
    const { busiestMinute, connections, crashes, longestPause, messages, observedAt, pauses } = this
    const rest = Math.max(0, now - this.last)
    const activeTime = this.activeTime + (rest < this.pause ? rest : 0)
    return {
      kind,
      id,
      user: user ?? null,
      startedAt: at - duration,
      observedAt,
      endedAt: at,
      duration,
      reason,
      messages,
      crashes,
      connections,
      activeTime,
      pauses,
      longestPause,
      busiestMinute,
      messagesPerActiveMinute: messages * minute / Math.max(minute, activeTime),
      pattern: this.pattern(activeTime)
    }
  }

  private pattern(activeTime: number): Pattern {
    if (this.messages === 0) return "idle"
    if (this.pauses === 0 && this.activeTime < this.pause) return "glance"
    return this.pausedTime > activeTime ? "bursty" : "steady"
  }
}
