/**
 * The address of a session in a cluster. While its place is here, it is the local ref; otherwise the router asks the owner.
 *
 * A message to a session in memory takes the path of `LocalRef`, with one comparison more. Everything else is described by a
 * `Request`, so that it can be done wherever the session is.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Equivalence from "effect/Equivalence"
import type * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import type * as EndReason from "../../../contract/EndReason.ts"
import { type InvalidMetadata, type LoadError, type ReachError, SessionEnded } from "../../../contract/SessionError.ts"
import type { EndOptions, Identity, SessionInfo, VersionedState, Watcher } from "../../../contract/SessionRef.ts"
import type { Kind } from "../host/Kind.ts"
import type { Router } from "../host/Placement.ts"
import { checkIdleTimeout } from "../session/idleTimeout.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { followsMove, PlacedRef } from "./PlacedRef.ts"
import type { Message, Request } from "./Request.ts"

export class RoutedRef extends PlacedRef {
  private readonly router: Router

  constructor(home: Kind, id: string, session: LiveSession | undefined, router: Router) {
    super(home, id, session, router.of(id))
    this.router = router
  }

  private route<A, E>(request: Request, here: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return this.router.route(this, request, here)
  }

  override elsewhere<A, E>(then: Effect.Effect<A, E>, message?: Message): Effect.Effect<A, any> {
    // Without a message it is part of a request that is being routed.
    const here = Effect.suspend(() => super.elsewhere(then, message))
    return message === undefined ? here : this.route(message, here)
  }

  override failed<A, E>(exit: Exit.Exit<A, E>, again: Effect.Effect<A, E>, message: Message): Effect.Effect<A, E> {
    return followsMove(exit, message.op) ? this.elsewhere(again, message) : exit
  }

  override get state(): Effect.Effect<any, ReachError> {
    return this.route({ op: "state" }, super.state)
  }

  override get info(): Effect.Effect<SessionInfo<any>, ReachError> {
    return this.route({ op: "info" }, super.info)
  }

  /** What is known of the session while its place is here. */
  get infoHere(): Effect.Effect<SessionInfo<any>, ReachError> {
    return super.info
  }

  override get isLive(): Effect.Effect<boolean, LoadError> {
    return this.route({ op: "isLive" }, super.isLive)
  }

  override get touch(): Effect.Effect<void, ReachError> {
    return this.route({ op: "touch" }, super.touch)
  }

  override get awaitEnd(): Effect.Effect<EndReason.EndReason, ReachError> {
    return this.router.awaitEnd(this)
  }

  override end(options?: EndOptions): Effect.Effect<boolean, LoadError> {
    const { drain = true, reason } = options ?? {}
    return this.route({ op: "end", drain, reason }, Effect.suspend(() => super.end(options)))
  }

  override setIdleTimeout(timeout: Duration.Input): Effect.Effect<void, ReachError> {
    return Effect.suspend(() =>
      this.route({ op: "setIdleTimeout", timeout: checkIdleTimeout(timeout) }, super.setIdleTimeout(timeout))
    )
  }

  override identify(
    change: Partial<Identity>,
    expected: Readonly<Record<string, unknown>> = {}
  ): Effect.Effect<boolean, ReachError | InvalidMetadata> {
    return this.route({ op: "identify", change, expected }, Effect.suspend(() => super.identify(change, expected)))
  }

  override note(
    metadata: Readonly<Record<string, unknown>>
  ): Effect.Effect<void, ReachError | InvalidMetadata> {
    return this.route({ op: "note", metadata }, Effect.suspend(() => super.note(metadata)))
  }

  override get attach(): Effect.Effect<void, ReachError, Scope.Scope> {
    return this.router.attach(this)
  }

  /** Attaches to the session while its place is here. */
  get attachHere(): Effect.Effect<void, ReachError, Scope.Scope> {
    return super.attach
  }

  /** Waits for the end of the session while its place is here; a move is an end, too. */
  get awaitEndHere(): Effect.Effect<EndReason.EndReason, ReachError> {
    return super.awaitEnd
  }

  /** Follows the session while its place is here. */
  watchHere(watcher: Watcher<any>): Effect.Effect<VersionedState<any>, ReachError, Scope.Scope> {
    return super.watch(watcher)
  }

  override watch(watcher: Watcher<any>): Effect.Effect<VersionedState<any>, ReachError, Scope.Scope> {
    return this.router.watch(this, watcher)
  }

  override get subscriptionRef(): Effect.Effect<SubscriptionRef.SubscriptionRef<any>, ReachError> {
    return this.router.mirror(this)
  }

  override changes(
    select: (state: any) => any = (state) => state,
    options?: { readonly equivalence?: Equivalence.Equivalence<any> | undefined }
  ): Stream.Stream<any, ReachError | SessionEnded> {
    const equivalence = options?.equivalence ?? Object.is
    return Stream.callback<any, ReachError | SessionEnded>(
      (queue) => {
        const changed = (state: unknown) => {
          try {
            Queue.offerUnsafe(queue, select(state))
          } catch (defect) {
            Queue.failCauseUnsafe(queue, Cause.die(defect))
          }
        }
        const ended = (reason: EndReason.EndReason) =>
          Queue.failCauseUnsafe(queue, Cause.fail(SessionEnded.of(this.kind, this.id, reason, false)))
        return Effect.map(this.watch({ changed, ended }), ({ state }) => changed(state))
      },
      { bufferSize: 1, strategy: "sliding" }
    ).pipe(Stream.changesWith(equivalence))
  }
}
