/**
 * The clients that are connected to a session: a session whose kind has a reconnect window ends when the last one
 * has gone and none comes back in time.
 */
import * as EndReason from "../../../contract/EndReason.ts"
import { CallbackDeadline, type Deadline } from "../time/Deadlines.ts"
import { nowhere } from "../time/TimingWheel.ts"
import { emit, type EventSource } from "./events.ts"

/** The session to which they are connected. */
interface ConnectedSession extends EventSource {
  readonly kind: {
    readonly name: string
    readonly counters: { connections: number; connected: number }
    readonly reconnectWindow: number
  }
  readonly isNotEnded: boolean
  end(reason: EndReason.EndReason, drain: boolean): void
}

export class SessionConnections {
  private readonly session: ConnectedSession
  private readonly deadline: Deadline
  count = 0
  /** All that ever connected. */
  total = 0

  constructor(session: ConnectedSession) {
    this.session = session
    this.deadline = new CallbackDeadline(() => session.end(EndReason.disconnected, true))
  }

  /** Gives the function that takes it away again. */
  add(now: number): () => void {
    const { session } = this
    const { host, kind: { counters } } = session
    this.count++
    this.total++
    counters.connections++
    counters.connected++
    host.deadlines.cancel(this.deadline)
    emit(session, { _tag: "Connect", connections: this.count })
    let connected = true
    return () => {
      if (!connected) return
      connected = false
      this.count--
      counters.connections--
      emit(session, { _tag: "Disconnect", connections: this.count, duration: host.now() - now })
      if (this.count === 0 && session.isNotEnded) {
        host.deadlines.set(this.deadline, host.now() + session.kind.reconnectWindow)
      }
    }
  }

  /** Is nobody connected, and nobody expected to come back in time? */
  get isIdle(): boolean {
    return this.count === 0 && this.deadline.wheelTick === nowhere
  }

  /** The session is over. */
  close(): void {
    this.session.host.deadlines.cancel(this.deadline)
  }
}
