/**
 * One watcher of a session, wherever the session is, and however often it moves.
 */
import * as Deferred from "effect/Deferred"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"
import * as EndReason from "../../../contract/EndReason.ts"
import * as JsonPatch from "../../../contract/JsonPatch.ts"
import type { ReachError } from "../../../contract/SessionError.ts"
import type { Identity, VersionedState, Watcher } from "../../../contract/SessionRef.ts"
import type { KindCodec } from "./KindCodec.ts"
import type { Json } from "./peers/model.ts"

export class RoutedWatch {
  private readonly codec: KindCodec
  private readonly watcher: Watcher<any>
  private readonly notFound: () => ReachError
  private readonly found = Deferred.makeUnsafe<VersionedState<any>, ReachError>()
  /** The last state that the watcher was told. */
  private last: { readonly epoch: number; readonly version: number } | undefined = undefined
  /** The JSON of the user and the metadata that were told last. */
  private identity: string | undefined = undefined
  /** The state of the last event of another node: as JSON; or decoded, if changes follow it. */
  private json: Schema.Json = null
  private state: unknown = undefined

  constructor(codec: KindCodec, watcher: Watcher<any>, notFound: () => ReachError) {
    this.codec = codec
    this.watcher = watcher
    this.notFound = notFound
  }

  /** The state with which it begins. */
  get first(): Effect.Effect<VersionedState<any>, ReachError> {
    return Deferred.await(this.found)
  }

  /** A state here, or decoded. After a move it may be the one that is known already. */
  readonly changed = (state: unknown, version: number, epoch: number): void => {
    const { last } = this
    if (last !== undefined && last.epoch === epoch && last.version === version) return
    this.last = { epoch, version }
    if (last === undefined) Deferred.doneUnsafe(this.found, Exit.succeed({ state, epoch, version }))
    else this.watcher.changed?.(state, version, epoch)
  }

  /** The user and the metadata have changed, or were set anew. */
  readonly identified = ({ metadata, user }: Identity): void => {
    if (this.watcher.identified === undefined) return
    this.identity = JSON.stringify([user, metadata])
    this.watcher.identified({ user, metadata })
  }

  /** The user and the metadata at the beginning, or after a move, during which they may have changed unseen. */
  readonly identifies = ({ metadata, user }: Identity): void => {
    const { identity } = this
    const now = JSON.stringify([user, metadata])
    if (identity === undefined) this.identity = now
    else if (identity !== now) this.identified({ user, metadata })
  }

  /** An event of another node. */
  readonly heard = (json: Json): void => {
    const [event, ...rest] = json as [string, ...Array<Json>]
    if (event === "identity") {
      const [user, metadata, isFirst] = rest as [string | null, Identity["metadata"], boolean]
      const identity = { user: user ?? undefined, metadata }
      return isFirst ? this.identifies(identity) : this.identified(identity)
    }
    const [epoch, version, value] = rest as [number, number, any]
    this.changed(this.stateOf(event, value), version, epoch)
  }

  private stateOf(event: string, value: any): unknown {
    const { codec } = this
    if (codec.changes !== undefined) {
      return this.state = event === "state" ? codec.decodeState(value) : codec.changes.apply(this.state, value)
    }
    this.json = event === "state" ? value : JsonPatch.apply(value, this.json)
    return codec.decodeState(this.json)
  }

  /** It goes on no more. */
  over(exit: Exit.Exit<EndReason.EndReason, ReachError>): void {
    if (this.last !== undefined) this.watcher.ended(Exit.isSuccess(exit) ? exit.value : EndReason.moved)
    else if (Exit.isFailure(exit)) Deferred.doneUnsafe(this.found, Exit.failCause(exit.cause))
    // It moved away before it was seen, and is nowhere any more.
    else Deferred.doneUnsafe(this.found, Exit.fail(this.notFound()))
  }
}
