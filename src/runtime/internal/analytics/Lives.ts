/**
 * The lives of all observed sessions. A session that has left memory continues its life when it is back; the latest of these
 * sessions are remembered.
 */
import type { SessionEvent } from "../../../contract/SessionEvent.ts"
import type { SessionSummary } from "../../../contract/SessionSummary.ts"
import { Life } from "./Life.ts"

export class Lives {
  private readonly pause: number
  private readonly remembered: number
  private readonly here = new Map<string, Map<string, Life>>()
  private readonly away = new Map<string, Life>()

  constructor(pause: number, remembered: number) {
    this.pause = pause
    this.remembered = remembered
  }

  /** Records an event of a session. Gives its summary when the session has ended. */
  note(event: SessionEvent, now: number): SessionSummary | undefined {
    switch (event._tag) {
      case "Call":
      case "Cast":
        this.of(event.kind, event.id, event.at, now).message(now)
        return undefined
      case "Connect":
        this.of(event.kind, event.id, event.at, now).connection(now)
        return undefined
      case "Crash":
        this.of(event.kind, event.id, event.at, now).crashes++
        return undefined
      case "Start":
        this.live(event.kind).set(event.id, new Life(event.at - event.duration, now - event.duration, this.pause))
        return undefined
      case "Restore":
        this.of(event.kind, event.id, event.at, now)
        return undefined
      case "Passivate":
        this.leave(event.kind, event.id, event.at, now)
        return undefined
      case "Stop": {
        const summary = this.of(event.kind, event.id, event.at, now).end(event, now)
        this.live(event.kind).delete(event.id)
        return summary
      }
      default:
        return undefined
    }
  }

  private live(kind: string): Map<string, Life> {
    let lives = this.here.get(kind)
    if (lives === undefined) this.here.set(kind, lives = new Map())
    return lives
  }

  /** The life of a session; a new life if it was not observed before. */
  private of(kind: string, id: string, at: number, now: number): Life {
    const lives = this.live(kind)
    let life = lives.get(id)
    if (life === undefined) {
      const name = key(kind, id)
      life = this.away.get(name) ?? new Life(at, now, this.pause)
      this.away.delete(name)
      lives.set(id, life)
    }
    return life
  }

  private leave(kind: string, id: string, at: number, now: number): void {
    const life = this.of(kind, id, at, now)
    this.live(kind).delete(id)
    this.away.set(key(kind, id), life)
    if (this.away.size > this.remembered) {
      for (const oldest of this.away.keys()) {
        this.away.delete(oldest)
        return
      }
    }
  }
}

const key = (kind: string, id: string): string => `${kind}/${id}`
