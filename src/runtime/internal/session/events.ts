/**
 * The events of a session. Without a listener, each costs one check.
 */
import type { SessionEvent } from "../../../contract/SessionEvent.ts"
import type { HostContext } from "../host/HostContext.ts"
import type { Envelope } from "../messages/Envelope.ts"

/** What an event needs of its session. */
export interface EventSource {
  readonly host: Pick<HostContext, "events" | "clock" | "date" | "deadlines" | "now">
  readonly kind: { readonly name: string }
  readonly id: string
}

type Body = SessionEvent extends infer E ? E extends SessionEvent ? Omit<E, "kind" | "id" | "at"> : never : never

/** Publishes an event about this session, now. */
export const emit = (session: EventSource, body: Body): void => {
  const { host } = session
  if (host.events.active) {
    host.events.publish({ ...body, kind: session.kind.name, id: session.id, at: host.date() } as SessionEvent)
  }
}

/** The monotonic clock in milliseconds with fractions, for the durations in events. */
export const monotonicMillis = (host: Pick<HostContext, "clock">): number =>
  Number(host.clock.monotonicTimeNanosUnsafe()) / 1e6

/** Stores when a message was sent, for the duration in its event. */
export const markSent = (host: EventSource["host"], envelope: Envelope): void => {
  if (host.events.active) envelope.sentAt = monotonicMillis(host)
}

/** Publishes that a message was handled, or that its handler failed or died. */
export const emitHandled = (session: EventSource, envelope: Envelope, outcome: "success" | "failure"): void => {
  const { host } = session
  if (!host.events.active) return
  emit(session, {
    _tag: envelope.isCall ? "Call" : "Cast",
    tag: envelope.route.tag,
    outcome,
    // A message that was sent before anyone listened has no duration.
    duration: envelope.sentAt < 0 ? 0 : monotonicMillis(host) - envelope.sentAt
  })
}
