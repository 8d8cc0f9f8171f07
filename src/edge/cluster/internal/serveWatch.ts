/**
 * Tells another node of the states of a session, and of its user and metadata: first the whole, then what has changed since.
 *
 * A peer that reads too slowly misses states, not changes: it gets the difference to the newest state when it reads again. Of
 * kinds whose states say their changes it gets all of them, or the whole state when there are too many.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Schema from "effect/Schema"
import type { EndReason } from "../../../contract/EndReason.ts"
import * as JsonPatch from "../../../contract/JsonPatch.ts"
import type { Identity, VersionedState, Watcher } from "../../../contract/SessionRef.ts"
import { describe } from "../../../internal/describe.ts"
import { guard, observe, type Owner } from "../../../internal/guard.ts"
import { isNotHere } from "../../../runtime/internal/host/Placement.ts"
import type { PlacedRef } from "../../../runtime/internal/messages/PlacedRef.ts"
import { encodeReason, type KindCodec } from "./KindCodec.ts"
import type { Json, Reply } from "./peers/model.ts"
import { failed, succeeded } from "./wire.ts"

/** How many changes may wait for a slow peer; beyond that, it gets the whole state. */
const mostChanges = 1_024

class ServedWatch implements Watcher<unknown>, Owner {
  private readonly codec: KindCodec
  private readonly reply: Reply
  /** Of a kind whose states say them: the changes since the last event; `undefined` when the next one is a whole state. */
  private changes: Array<unknown> | undefined = undefined
  private version = -1
  readonly over = Deferred.makeUnsafe<EndReason>()
  /** What the peer has. */
  private told: { readonly epoch: number; readonly json: Schema.Json } | undefined = undefined
  private latest: VersionedState<unknown> | undefined = undefined
  private identity: Identity | undefined = undefined
  /** Was the peer told the user and the metadata? */
  private isIdentified = false
  private isWaiting = false
  private readonly tellNow = guard<this, void, void>(this, () => this.tell()) as () => void

  constructor(codec: KindCodec, reply: Reply) {
    this.codec = codec
    this.reply = reply
  }

  readonly changed = (state: unknown, version: number, epoch: number): void => {
    this.latest = { state, version, epoch }
    this.collect(state, version)
    this.tellLater()
  }

  /** A change that came before the watch began is newer than the state with which it begins. */
  begin({ epoch, state, version }: VersionedState<unknown>): void {
    if (this.latest === undefined && this.told === undefined) this.changed(state, version, epoch)
  }

  private collect(state: unknown, version: number): void {
    const { changes, codec, version: before } = this
    this.version = version
    if (changes === undefined) return
    const more = codec.changes!.of(state)
    if (version !== before + 1 || changes.length + more.length > mostChanges) this.changes = undefined
    else for (const change of more) changes.push(change)
  }

  readonly identified = (identity: Identity): void => {
    this.identity = identity
    this.tellLater()
  }

  readonly ended = (reason: EndReason): void => {
    Deferred.doneUnsafe(this.over, Exit.succeed(reason))
  }

  /** A state does not fit its schema: other states of the session may, but this node cannot follow it. */
  readonly threw = (defect: unknown): void => {
    Deferred.doneUnsafe(this.over, Exit.die(defect))
  }

  /** All that changes in one turn is told at once, when the peer reads. */
  private tellLater(): void {
    if (this.isWaiting) return
    this.isWaiting = true
    queueMicrotask(() => this.reply.onDrain(this.tellNow))
  }

  /** Sends what the peer does not have yet. */
  private tell(): void {
    const { codec, identity, latest, reply, told } = this
    this.isWaiting = false
    this.latest = this.identity = undefined
    if (latest !== undefined) {
      const { epoch, version } = latest
      if (codec.changes !== undefined) {
        reply.event(
          this.changes !== undefined && told?.epoch === epoch
            ? ["changes", epoch, version, codec.changes.encode(this.changes)]
            : ["state", epoch, version, codec.encodeState(latest.state)]
        )
        this.changes = []
        this.told = { epoch, json: null }
      } else {
        const json = codec.encodeState(latest.state) as Schema.Json
        this.told = { epoch, json }
        reply.event(
          told?.epoch === epoch
            ? ["patch", epoch, version, JsonPatch.diff(told.json, json)]
            : ["state", epoch, version, json]
        )
      }
    }
    if (identity === undefined) return
    reply.event(["identity", identity.user ?? null, identity.metadata, !this.isIdentified])
    this.isIdentified = true
  }
}

/** Gives the function that ends the watch. */
export const serveWatch = (codec: KindCodec, ref: PlacedRef, reply: Reply): () => void => {
  const { home } = ref
  const watch = new ServedWatch(codec, reply)
  const fiber = home.runFork(Effect.scoped(Effect.gen(function*() {
    watch.begin(yield* ref.watch(watch))
    // Where the session was before, its user or its metadata may have changed unseen.
    watch.identified(yield* ref.info)
    return yield* Deferred.await(watch.over)
  })))
  observe(home, fiber, (_, exit) => reply.end(outcome(codec, exit)))
  return () => fiber.interruptUnsafe()
}

/** `Moved` is an end like any other: the peer looks for the session again. */
const outcome = (codec: KindCodec, exit: Exit.Exit<EndReason, unknown>): Json => {
  if (Exit.isSuccess(exit)) return [succeeded, encodeReason(exit.value)]
  const error = Exit.findErrorOption(exit)
  if (error._tag === "None") return [failed, { defect: describe(exit.cause) }]
  return isNotHere(error.value) ? [succeeded, { _tag: "Moved" }] : [failed, codec.failure.encode(exit)]
}
