/**
 * What is noted of a session while it lives, for its summary: a few numbers, however long that is.
 */
import type { Of } from "../../contract/SessionEvent.ts"
import type { Pattern, SessionSummary } from "../../contract/SessionSummary.ts"

const minute = 60_000

export class Life {
  private readonly observedAt: number
  private readonly pause: number
  private lastAt: number
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

  constructor(observedAt: number, pause: number) {
    this.observedAt = observedAt
    this.lastAt = observedAt
    this.pause = pause
  }

  /** A message was handled. */
  message(at: number): void {
    this.active(at)
    this.messages++
    const minuteNow = Math.floor((at - this.observedAt) / minute)
    if (minuteNow !== this.minute) {
      this.minute = minuteNow
      this.inMinute = 0
    }
    this.busiestMinute = Math.max(this.busiestMinute, ++this.inMinute)
  }

  /** A client connected. */
  connection(at: number): void {
    this.active(at)
    this.connections++
  }

  private active(at: number): void {
    const gap = Math.max(0, at - this.lastAt)
    this.lastAt = at
    if (gap < this.pause) this.activeTime += gap
    else {
      this.pauses++
      this.pausedTime += gap
      this.longestPause = Math.max(this.longestPause, gap)
    }
  }

  end({ at, duration, id, kind, reason, user }: Of<"Stop">): SessionSummary {
    const { busiestMinute, connections, crashes, longestPause, messages, observedAt, pauses } = this
    const rest = Math.max(0, at - this.lastAt)
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
