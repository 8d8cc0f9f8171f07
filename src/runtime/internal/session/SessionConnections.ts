/**
 * The clients that are connected to a session. If its kind has a reconnect window, the session ends when the last client has
 * gone and none has come back in time.
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
  /** How many have connected since the start. */
  total = 0

  constructor(session: ConnectedSession) {
    this.session = session
    this.deadline = new CallbackDeadline(() => session.end(EndReason.disconnected, true))
  }

  /** Counts a client as connected. Returns the function that counts it as gone. */
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

  /** `true` when no client is connected and the reconnect window is over. */
  get isIdle(): boolean {
    return this.count === 0 && this.deadline.wheelTick === nowhere
  }

  /** The session has ended. */
  close(): void {
    this.session.host.deadlines.cancel(this.deadline)
  }
}
