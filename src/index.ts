/**
 * effect-sessions: one supervised fiber per user session.
 *
 * @since 0.1.0
 */
export * as EndReason from "./contract/EndReason.ts"
export * as KindOptions from "./contract/KindOptions.ts"
export * as Retry from "./contract/Retry.ts"
export * as Session from "./contract/Session.ts"
export * as SessionError from "./contract/SessionError.ts"
export * as SessionEvent from "./contract/SessionEvent.ts"
export { SessionHost } from "./contract/SessionHost.ts"
export * as SessionId from "./contract/SessionId.ts"
export type * as SessionRef from "./contract/SessionRef.ts"
export * as Agent from "./kinds/Agent.ts"
export { Bag } from "./kinds/Bag.ts"
export * as SessionsConfig from "./policy/SessionsConfig.ts"
export { SlidingWindow } from "./policy/SlidingWindow.ts"
export * as Supervision from "./policy/Supervision.ts"
export { type DeadLetter, DeadLetters, type Reason as DeadLetterReason } from "./runtime/DeadLetters.ts"
export { type Entry as ExpiryEntry, Expiry } from "./runtime/Expiry.ts"
export { MemoryUsage } from "./runtime/MemoryUsage.ts"
export { MessageLimiter } from "./runtime/MessageLimiter.ts"
export * as SessionAlerts from "./runtime/SessionAlerts.ts"
export { SessionEvents } from "./runtime/SessionEvents.ts"
export * as SessionLogger from "./runtime/SessionLogger.ts"
export * as SessionMetrics from "./runtime/SessionMetrics.ts"
export { type Address, type Provided, Sessions } from "./runtime/Sessions.ts"
export { StartLimiter, type StartRequest } from "./runtime/StartLimiter.ts"
