/**
 * Reads the store for callers who wait: loads sessions, and finds out who owns one. When the store cannot answer, the caller
 * gets `StoreUnavailable`; that never means that there is no such session.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { type LoadError, SnapshotUnreadable, StoreUnavailable } from "../../../contract/SessionError.ts"
import {
  ClaimRefused,
  type Head,
  type Quarantined,
  type QuarantineKey,
  type SnapshotStore,
  type SnapshotStoreError
} from "../../../contract/SnapshotStore.ts"
import type { HostContext } from "../host/HostContext.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { Breaker } from "./Breaker.ts"
import { leftOutOf, type SnapshotCodec, type StoredSession } from "./SnapshotCodec.ts"
import type { StoreReports } from "./StoreReports.ts"

/** How long the store may take to answer a caller, in milliseconds; longer counts as a failure. */
export const readLimit = 5_000

/** The number of heads to ask for at a time. */
const page = 256

/** What loading gives: the epoch under which the session writes, and what there was of it. */
export interface Loaded {
  readonly epoch: number
  readonly stored: StoredSession | undefined
}

export interface LoaderOptions {
  readonly kind: string
  readonly host: HostContext
  readonly store: SnapshotStore["Service"]
  readonly codec: SnapshotCodec
  /** Waits until the last operation for a session that has left memory is done. */
  readonly settled: (id: string) => Effect.Effect<void>
  readonly reports: StoreReports
}

/** Interrupts without waiting for the driver: some wait seconds until the server has cancelled a query. */
const givenUp = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(
    Effect.forkDetach(effect, { startImmediately: true }),
    (fiber) => Effect.onInterrupt(Fiber.join(fiber), () => Effect.sync(() => fiber.interruptUnsafe()))
  )

export class SnapshotLoader {
  private readonly options: LoaderOptions
  private readonly breaker: Breaker

  constructor(options: LoaderOptions) {
    this.options = options
    this.breaker = new Breaker(() => options.host.now())
  }

  /** The store may work again: the next caller asks it. */
  retryNow(): void {
    this.breaker.retryNow()
  }

  private key(id: string) {
    return { kind: this.options.kind, id }
  }

  private hasExpired({ expiresAt }: Head): boolean {
    return expiresAt !== null && expiresAt <= this.options.host.date()
  }

  /** Is there a session in the store that has not expired? */
  has(id: string): Effect.Effect<boolean, StoreUnavailable> {
    const { settled, store } = this.options
    return this.ask(
      id,
      Effect.andThen(
        settled(id),
        Effect.map(
          store.stat(this.key(id)),
          Option.exists(({ head }) => Option.isSome(head) && !this.hasExpired(head.value))
        )
      )
    )
  }

  /** Makes this process the owner of a session, unless it was claimed under a higher term, and reads its snapshot. */
  load(id: string): Effect.Effect<Loaded, LoadError>
  load(id: string, term: number | undefined): Effect.Effect<Loaded, LoadError | ClaimRefused>
  load(id: string, term?: number): Effect.Effect<Loaded, LoadError | ClaimRefused> {
    return Effect.gen({ self: this }, function*() {
      const { codec, host, kind, reports, settled, store } = this.options
      const claim = Effect.suspend(() => store.claim(this.key(id), host.nextEpoch(host.date()), term))
      // A refusal is an answer: the store works.
      const claimed = yield* this.ask(
        id,
        Effect.andThen(settled(id), Effect.catchTag(claim, "ClaimRefused", Effect.succeed<ClaimRefused>))
      )
      if (claimed instanceof ClaimRefused) return yield* claimed
      const { epoch, snapshot } = claimed
      host.noteEpoch(epoch)
      if (Option.isNone(snapshot) || this.hasExpired(snapshot.value)) return { epoch, stored: undefined }
      // In a cluster, another node may run the next version of the program. It is its snapshot, and not damaged.
      if (host.router !== undefined && snapshot.value.format > codec.format) {
        const why = `a newer version of the program wrote it (format ${snapshot.value.format}, here ${codec.format})`
        return yield* StoreUnavailable.of(kind, id, why, { scope: "key" })
      }
      const read = yield* Effect.result(Effect.try({
        try: () =>
          codec.decode(
            snapshot.value,
            host.date(),
            (part, defect) => reports.failed(id, leftOutOf(kind, id, part, defect))
          ),
        catch: (defect) => (defect instanceof Error ? defect.message : String(defect)).replace(/\s+/g, " ")
      }))
      if (read._tag === "Success") return { epoch, stored: read.success }
      yield* this.ask(id, store.quarantine(snapshot.value, read.failure))
      const error = SnapshotUnreadable.of(kind, id, snapshot.value.format, read.failure)
      reports.failed(id, error)
      return yield* error
    })
  }

  /**
   * Is this process still the owner: has no other one taken the session over, or ended it?
   *
   * A session that was never saved can be told only as long as the store remembers its epoch. Then the store knows nothing
   * of it any more, whether another process took it over or not, and the answer is yes: no would end a session that
   * nobody else has. Another process can only have started one anew under the same id, for there was nothing to find.
   */
  owns(session: LiveSession): Effect.Effect<boolean, StoreUnavailable> {
    return this.ask(
      session.id,
      Effect.map(
        this.options.store.stat(this.key(session.id)),
        Option.match({
          // The epoch was forgotten: some time after the session was removed, or only claimed and never saved.
          onNone: () => session.stored!.version < 0,
          onSome: ({ epoch }) => epoch <= session.claimed
        })
      )
    )
  }

  /** Removes a session that is in the store only, without loading it. `false` when there is none. */
  discard(id: string): Effect.Effect<boolean, StoreUnavailable> {
    const { host, settled, store } = this.options
    const key = this.key(id)
    return this.ask(
      id,
      Effect.gen({ self: this }, function*() {
        yield* settled(id)
        for (;;) {
          const stat = yield* store.stat(key)
          if (Option.isNone(stat) || Option.isNone(stat.value.head)) return false
          // From then on it has no owner, whoever owned it.
          host.noteEpoch(stat.value.epoch)
          const [gone] = yield* store.remove([{ ...key, epoch: host.nextEpoch(host.date()) }])
          if (gone === true) return !this.hasExpired(stat.value.head.value)
        }
      })
    )
  }

  /** The quarantined snapshots of the kind. */
  get quarantined(): Effect.Effect<ReadonlyArray<Quarantined>, StoreUnavailable> {
    const { kind, store } = this.options
    return this.ask(
      "*",
      Effect.map(store.quarantined, (all) => all.filter(({ snapshot }) => snapshot.kind === kind))
    )
  }

  /** Deletes an entry of the quarantine. `false` when there was none. */
  discardQuarantined(entry: QuarantineKey): Effect.Effect<boolean, StoreUnavailable> {
    return this.ask(entry.id, this.options.store.discardQuarantined(entry))
  }

  /** The ids of a user's sessions that are in the store. */
  ofUser(user: string): Effect.Effect<ReadonlyArray<string>, StoreUnavailable> {
    const { kind, store } = this.options
    return Effect.gen({ self: this }, function*() {
      const ids: Array<string> = []
      for (let after: string | undefined;;) {
        const heads: ReadonlyArray<Head> = yield* this.ask("*", store.list({ kind, user, after, limit: page }))
        if (heads.length === 0) return ids
        for (const head of heads) if (!this.hasExpired(head)) ids.push(head.id)
        after = heads.at(-1)!.id
      }
    })
  }

  /** Asks the store within the time limit of a caller, and not at all while it counts as down. */
  private ask<A>(id: string, effect: Effect.Effect<A, SnapshotStoreError>): Effect.Effect<A, StoreUnavailable> {
    const asked = givenUp(effect).pipe(
      Effect.catch((error) => this.unavailable(id, error.message, error)),
      Effect.timeoutOrElse({
        duration: readLimit,
        orElse: () => this.unavailable(id, `the store did not answer within ${readLimit} ms`)
      })
    )
    return this.breaker.guard(asked, (failures, retryIn) =>
      // No event: the last failure was reported.
      Effect.fail(
        StoreUnavailable.of(
          this.options.kind,
          id,
          `the store failed ${failures} times; it is asked again in ${retryIn} ms`
        )
      ))
  }

  private unavailable(id: string, why: string, cause?: SnapshotStoreError): Effect.Effect<never, StoreUnavailable> {
    const error = StoreUnavailable.of(this.options.kind, id, why, { scope: cause?.scope })
    this.options.reports.failed(id, cause ?? error)
    return Effect.fail(error)
  }
}
