/**
 * The service of a presence: tracks keys in topics, for this process.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type InvalidSessionId, SessionsClosed } from "../../../contract/SessionError.ts"
import * as SessionId from "../../../contract/SessionId.ts"
import type { SessionRef } from "../../../contract/SessionRef.ts"
import type * as Presence from "../../Presence.ts"
import { InvalidPresence } from "../../PresenceError.ts"
import type { ValueCheck } from "../valueCheck.ts"
import * as Lists from "./lists.ts"
import { type OwnTracking, PresenceHold, type TopicKind, type Tracker } from "./PresenceHold.ts"
import { type Item, PresenceReader } from "./PresenceReader.ts"

/** No control characters: nobody types them, and they would corrupt logs. */
// oxlint-disable-next-line no-control-regex
const pattern = /^[^\u0000-\u001f\u007f]{1,256}$/

const isUsable = (name: unknown): boolean => typeof name === "string" && pattern.test(name)

export class PresenceTracker implements Presence.Tracker<unknown>, Tracker {
  readonly id: string
  readonly kind: TopicKind
  readonly meta: ValueCheck
  readonly interval: number
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly holds = new Map<string, PresenceHold>()
  private revision = 0
  private closed = false

  /** @param id is unique among all trackers of all processes */
  constructor(id: string, kind: TopicKind, meta: ValueCheck, interval: number, run: PresenceTracker["run"]) {
    this.id = id
    this.kind = kind
    this.meta = meta
    this.interval = interval
    this.run = run
  }

  private hold(topic: string): PresenceHold {
    let hold = this.holds.get(topic)
    if (hold === undefined) {
      hold = new PresenceHold(this, topic)
      this.holds.set(topic, hold)
    }
    return hold
  }

  nextRevision(): number {
    return ++this.revision
  }

  track(
    topic: string,
    key: string,
    meta: unknown,
    options?: Presence.TrackOptions
  ): Effect.Effect<Presence.Tracked<unknown>, Presence.TrackError, Scope.Scope> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.scope, (scope): Effect.Effect<Presence.Tracked<unknown>, Presence.TrackError> => {
        if (!SessionId.isValid(topic)) return invalidTopic(topic)
        if (!isUsable(key)) return Effect.fail(InvalidPresence.of("key", key))
        const id = this.nextRevision()
        const device = options?.device ?? `${this.id}-${id.toString(36)}`
        if (!isUsable(device)) return Effect.fail(InvalidPresence.of("device", device))
        if (!this.meta.fits(meta)) return Effect.fail(InvalidPresence.ofMeta(this.meta.explain(meta)))
        if (this.closed) return Effect.fail(SessionsClosed.of())
        const hold = this.hold(topic)
        const tracked = new Tracked(hold, this.meta, id, key, device, meta)
        hold.add(tracked)
        return Effect.matchCauseEffect(restore(hold.track(tracked)), {
          onFailure: (cause) => {
            hold.untrack(tracked, false)
            return Effect.failCause(cause)
          },
          onSuccess: () => Effect.as(tracked.leaveWith(scope), tracked)
        })
      })
    )
  }

  /** Reads the state of a topic without starting it. */
  private read<A>(topic: string, select: (state: Presence.State<unknown>) => A, absent: A) {
    return Effect.suspend((): Effect.Effect<A, InvalidSessionId> =>
      SessionId.isValid(topic)
        ? Effect.match(this.kind.ref(topic).state, { onFailure: () => absent, onSuccess: select })
        : invalidTopic(topic)
    )
  }

  list(topic: string) {
    return this.read<ReadonlyArray<Presence.Present<unknown>>>(topic, Lists.list, [])
  }

  get(topic: string, key: string) {
    return this.read(topic, (state) => Lists.get(state, key), Option.none())
  }

  count(topic: string) {
    return this.read(topic, Lists.count, 0)
  }

  changes(
    topic: string,
    options?: Presence.ChangesOptions
  ): Stream.Stream<Presence.Event<unknown>, Presence.TopicError> {
    const capacity = options?.bufferSize ?? 1024
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw new RangeError(
        `changes of ${this.kind.kind}: bufferSize must be a whole number of at least 1, got ${capacity}`
      )
    }
    return Stream.callback<Item, Presence.TopicError>((queue) => this.follow(topic, queue, capacity), {
      bufferSize: capacity + 1
    }).pipe(Stream.map((item) => item instanceof PresenceReader ? item.take() : item))
  }

  private follow(topic: string, queue: Queue.Queue<Item, any>, capacity: number) {
    return Effect.suspend((): Effect.Effect<unknown, Presence.TopicError, Scope.Scope> => {
      if (!SessionId.isValid(topic)) return invalidTopic(topic)
      if (this.closed) return Effect.fail(SessionsClosed.of())
      return Effect.flatMap(
        Effect.acquireRelease(
          Effect.sync(() => {
            const hold = this.hold(topic)
            const reader = new PresenceReader(queue, capacity, hold.view)
            hold.addReader(reader)
            return { hold, reader }
          }),
          ({ hold, reader }) => Effect.sync(() => hold.removeReader(reader))
        ),
        // The session started and ended at once: the repair fiber tries again.
        ({ hold }) => Effect.catchTag(hold.reach, "SessionNotFound", () => Effect.void)
      )
    })
  }

  topic(topic: string): Effect.Effect<SessionRef<Presence.State<unknown>, Presence.Protocol>, Presence.TopicError> {
    return this.kind.start(topic) as Effect.Effect<
      SessionRef<Presence.State<unknown>, Presence.Protocol>,
      Presence.TopicError
    >
  }

  /** Renews the lease in all topics, and lets go of topics that nobody here needs any more. */
  readonly renewAll: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(Array.from(this.holds.values()), (hold) => {
      if (hold.isNeeded) return hold.renew
      this.holds.delete(hold.topic)
      return hold.drop
    }, { concurrency: "unbounded", discard: true })
  )

  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.closed = true
    const holds = Array.from(this.holds.values())
    this.holds.clear()
    return Effect.forEach(holds, (hold) => hold.release, { concurrency: "unbounded", discard: true })
  })
}

const invalidTopic = (topic: string): Effect.Effect<never, InvalidSessionId> =>
  Effect.flatMap(SessionId.fromString(topic), () => Effect.never)

class Tracked implements Presence.Tracked<unknown>, OwnTracking {
  private readonly hold: PresenceHold
  private readonly check: ValueCheck
  /** A child scope, so that `leave` leaves no finalizer in the caller's scope. */
  private scope: Scope.Closeable | undefined = undefined
  readonly id: number
  readonly key: string
  readonly device: string
  meta: unknown
  revision: number
  since: number | null = null

  constructor(hold: PresenceHold, check: ValueCheck, id: number, key: string, device: string, meta: unknown) {
    this.hold = hold
    this.check = check
    this.id = id
    this.key = key
    this.device = device
    this.meta = meta
    this.revision = id
  }

  get topic(): string {
    return this.hold.topic
  }

  /** Leaves when the Scope closes; at once when it is closed already. */
  leaveWith(parent: Scope.Scope): Effect.Effect<void> {
    return Effect.flatMap(Scope.fork(parent), (scope) => {
      this.scope = scope
      return Scope.addFinalizerExit(scope, () => {
        this.hold.untrack(this, true)
        return Effect.void
      })
    })
  }

  update(meta: unknown): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { explain, fits } = this.check
      if (!fits(meta)) return Effect.die(new TypeError(InvalidPresence.ofMeta(explain(meta)).message))
      this.hold.update(this, meta)
      return Effect.void
    })
  }

  get leave(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.hold.untrack(this, false)
      return this.scope === undefined ? Effect.void : Scope.close(this.scope, Exit.void)
    })
  }
}
