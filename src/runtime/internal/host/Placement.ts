/**
 * Which process a session belongs to.
 *
 * In one process every session is here. In a cluster, ids are divided into places, each place has one owner at a time, and
 * requests for other places go to their owners.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import type { EndReason } from "../../../contract/EndReason.ts"
import type { ReachError } from "../../../contract/SessionError.ts"
import type { VersionedState, Watcher } from "../../../contract/SessionRef.ts"
import type { MonotonicClock } from "../../../internal/MonotonicClock.ts"
import type { Request } from "../messages/Request.ts"
import type { RoutedRef } from "../messages/RoutedRef.ts"
import type { Kind } from "./Kind.ts"
import type { KindSessions } from "./KindSessions.ts"

/** A part of the ids of sessions. */
export interface Place {
  /** Does this process serve its sessions at this time of the monotonic clock? */
  isHere(now: number): boolean
  /** Does nobody else serve them at this time? `true` also while they are handed over, and finish what they have accepted. */
  isHeld(now: number): boolean
  /** The number of this ownership: a later owner has a higher one. */
  readonly term: number
}

/** Finds the owners of sessions, and asks them. */
export interface Router {
  /** The time of its places, and of the host. */
  readonly time: MonotonicClock
  /** The place of an id. It is always the same one. */
  of(id: string): Place
  /** A kind is registered: gives its sessions, wherever they are. */
  register(kind: Kind): KindSessions
  /** A kind will close: the node leaves the cluster first, so that others take its sessions over. */
  readonly leave: Effect.Effect<void>
  /**
   * Carries out a request where its session is: `here` when that is this process. Waits, within the time limit of the
   * request, while the place has no owner.
   */
  route<A, E>(ref: RoutedRef, request: Request, here: Effect.Effect<A, E>): Effect.Effect<A, E>
  /** As `SessionRef.watch`. Goes on when the session moves. */
  watch(ref: RoutedRef, watcher: Watcher<any>): Effect.Effect<VersionedState<any>, ReachError, Scope.Scope>
  /** As `SessionRef.awaitEnd`. Goes on when the session moves. */
  awaitEnd(ref: RoutedRef): Effect.Effect<EndReason, ReachError>
  /** As `SessionRef.attach`. Goes on when the session moves. */
  attach(ref: RoutedRef): Effect.Effect<void, ReachError, Scope.Scope>
  /** As `SessionRef.subscriptionRef`. It follows the session until it ends. */
  mirror(ref: RoutedRef): Effect.Effect<SubscriptionRef.SubscriptionRef<any>, ReachError>
}

/** The router of a host; `undefined`: all its sessions are in this process. */
export const HostRouter = Context.Reference<Router | undefined>("effect-sessions/HostRouter", {
  defaultValue: () => undefined
})

/** The place of the session is not here, or not any more. No program sees this failure: the request goes to the owner. */
const notHere = { _tag: "NotHere" } as const

/** Fails with `notHere`. It is in no type, since only routers let it happen, and they handle it. */
export const failNotHere: Effect.Effect<never> = Effect.fail(notHere) as never

export const isNotHere = (error: unknown): boolean => error === notHere
