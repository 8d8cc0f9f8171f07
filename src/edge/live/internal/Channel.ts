/**
 * One view of one session: its last versions, and those who look at it.
 *
 * All viewers share the versions, and what leads from one to the newest is made once. A viewer is a reference to the
 * version that it has, whatever number of changes it has missed. While there is no viewer, nothing is selected.
 */
import type * as Scope from "effect/Scope"
import type { EndReason } from "../../../contract/EndReason.ts"
import * as JsonPatch from "../../../contract/JsonPatch.ts"
import type * as Live from "../../../contract/Live.ts"
import { ViewFailed } from "../../../contract/LiveError.ts"
import type { VersionedState, Watcher } from "../../../contract/SessionRef.ts"

/** How a view is made of a state. */
export interface Lens {
  readonly view: string
  readonly select: (state: any) => unknown
  /** The selected value as JSON, which is not changed afterwards. */
  readonly encode: (value: unknown) => any
  /** The properties that identify the rows of its arrays, in order of preference. */
  readonly identify: ReadonlyArray<string> | undefined
  /** How many versions are kept for those who come back. */
  readonly history: number
  /** As much as these versions may hold beside the newest, in bytes of JSON, about. */
  readonly historySize: number
}

/** The view at a version. */
interface Version {
  readonly version: number
  readonly value: any
  /** What it has that the one before has not. */
  readonly size: number
}

/** What tells a viewer of the newest version. */
interface Told {
  readonly event: Live.Event
  json: string | undefined
}

export class Channel implements Watcher<any> {
  private readonly lens: Lens
  /** Told of what has thrown: a selector, an encoder, a viewer. */
  private readonly report: (defect: unknown) => void
  private readonly viewers = new Set<MountedView>()
  /** What the session has told last. */
  private latest: VersionedState<any>
  /** Is there something in it that was not looked at yet? */
  private stale = true
  private epoch = -1
  private selected: unknown = none
  /** Distinct, the newest last, all of this epoch. */
  private versions: Array<Version> = []
  /** What all of these have that the oldest has not. */
  private size = 0
  private snapshot: Told | undefined = undefined
  /** What leads from a version to the newest. */
  private readonly patches = new Map<Version, Told>()
  reason: EndReason | undefined = undefined
  /** Ends the watching of the session. */
  readonly scope: Scope.Closeable
  /** From when on nobody has looked at it, by the monotonic clock. */
  idleSince = Infinity

  constructor(lens: Lens, scope: Scope.Closeable, report: (defect: unknown) => void) {
    this.lens = lens
    this.report = report
    this.scope = scope
    this.latest = { state: undefined, epoch: -1, version: -1 }
  }

  get isOver(): boolean {
    return this.reason !== undefined
  }

  get isUnused(): boolean {
    return this.viewers.size === 0
  }

  /** The state from which the watching goes on. */
  begin(snapshot: VersionedState<any>): void {
    if (this.latest.epoch < 0) this.latest = snapshot
  }

  // -------------------------------------------------------------------------------------------------------
  // what the session tells
  // -------------------------------------------------------------------------------------------------------

  changed(state: any, version: number, epoch: number): void {
    this.latest = { state, version, epoch }
    this.stale = true
    if (this.viewers.size === 0) return
    let isNew: boolean
    try {
      isNew = this.look()
    } catch (defect) {
      return this.failed(defect)
    }
    if (!isNew) return
    for (const { viewer } of this.viewers) {
      try {
        viewer.changed()
      } catch (defect) {
        this.report(defect)
      }
    }
  }

  ended(reason: EndReason): void {
    this.reason = reason
    this.dismiss((viewer) => viewer.ended(reason))
  }

  /** The view could not be made: who looks at it is told so, and is gone. */
  private failed(defect: unknown): void {
    this.report(defect)
    const error = ViewFailed.of(this.lens.view)
    this.dismiss((viewer) => viewer.failed?.(error))
  }

  private dismiss(tell: (viewer: Live.Viewer) => void): void {
    const viewers = Array.from(this.viewers)
    this.viewers.clear()
    for (const { viewer } of viewers) {
      try {
        tell(viewer)
      } catch (defect) {
        this.report(defect)
      }
    }
  }

  /**
   * Takes what the session told last into the versions. `false` when the view is the same as before. When it throws,
   * all is as before.
   */
  private look(): boolean {
    if (!this.stale) return false
    const { epoch, state, version } = this.latest
    const selected = this.lens.select(state)
    const isNewLife = epoch !== this.epoch
    const value = !isNewLife && Object.is(selected, this.selected) ? this.newest.value : this.lens.encode(selected)
    const before = isNewLife ? undefined : this.versions.at(-1)
    const patch = before === undefined ? undefined : JsonPatch.diff(before.value, value, this.lens.identify)
    this.stale = false
    this.selected = selected
    if (isNewLife) {
      this.epoch = epoch
      this.versions = []
      this.size = 0
      this.patches.clear()
      for (const viewer of this.viewers) viewer.has = undefined
    }
    if (patch?.length === 0) return false
    const size = patch === undefined ? 0 : sizeOf(patch)
    this.versions.push({ version, value, size })
    this.size += size
    while (this.versions.length > 1 && this.isTooMuch) {
      this.versions.shift()
      this.size -= this.versions[0]!.size
    }
    this.snapshot = undefined
    this.patches.clear()
    if (patch !== undefined) this.patches.set(before!, this.tell(before!, patch))
    return true
  }

  private get isTooMuch(): boolean {
    return this.versions.length > this.lens.history || this.size > this.lens.historySize
  }

  // -------------------------------------------------------------------------------------------------------
  // those who look at it
  // -------------------------------------------------------------------------------------------------------

  /** Throws what the selector or the encoder throws. */
  mount(viewer: Live.Viewer, after: Live.Position | undefined): MountedView {
    this.look()
    const mounted = new MountedView(this, viewer, after === undefined ? undefined : this.find(after))
    this.viewers.add(mounted)
    return mounted
  }

  unmount(mounted: MountedView): void {
    this.viewers.delete(mounted)
  }

  /** What there is to tell someone could not be made. */
  failedFor(mounted: MountedView, defect: unknown): void {
    this.report(defect)
    if (this.viewers.delete(mounted)) mounted.viewer.failed?.(ViewFailed.of(this.lens.view))
  }

  /** What someone has who has this position, if that is still known. */
  private find({ epoch, version }: Live.Position): Version | undefined {
    return epoch === this.epoch ? this.versions.findLast((known) => known.version === version) : undefined
  }

  get newest(): Version {
    return this.versions.at(-1)!
  }

  /** What brings someone to the newest version. */
  from(has: Version | undefined): Told {
    if (has === undefined) {
      const { value, version } = this.newest
      return this.snapshot ??= {
        event: { _tag: "snapshot", epoch: this.epoch, version, state: value },
        json: undefined
      }
    }
    let told = this.patches.get(has)
    if (told === undefined) {
      told = this.tell(has, JsonPatch.diff(has.value, this.newest.value, this.lens.identify))
      this.patches.set(has, told)
    }
    return told
  }

  private tell(has: Version, patch: ReadonlyArray<JsonPatch.Operation>): Told {
    return {
      event: { _tag: "patch", epoch: this.epoch, version: this.newest.version, from: has.version, patch },
      json: undefined
    }
  }
}

const none = Symbol()

export class MountedView implements Live.Mounted {
  private readonly channel: Channel
  readonly viewer: Live.Viewer
  has: Version | undefined
  /** Has it been told where it begins? */
  private begun = false

  constructor(channel: Channel, viewer: Live.Viewer, has: Version | undefined) {
    this.channel = channel
    this.viewer = viewer
    this.has = has
  }

  get isBehind(): boolean {
    return !this.begun || this.has !== this.channel.newest
  }

  next(): Live.Event | undefined {
    return this.advance()?.event
  }

  nextJson(): string | undefined {
    return this.advance(true)?.json
  }

  private advance(asJson = false): Told | undefined {
    if (!this.isBehind) return undefined
    let told: Told
    try {
      told = this.channel.from(this.has)
      if (asJson) told.json ??= JSON.stringify(told.event)
    } catch (defect) {
      this.channel.failedFor(this, defect)
      return undefined
    }
    this.has = this.channel.newest
    this.begun = true
    return told
  }
}

/** About how many bytes it takes as JSON. */
const sizeOf = (value: unknown): number => {
  if (typeof value === "string") return value.length + 2
  if (typeof value !== "object" || value === null) return 5
  let size = 2
  if (Array.isArray(value)) { for (const item of value) size += sizeOf(item) + 1 }
  else for (const [key, item] of Object.entries(value)) size += key.length + sizeOf(item) + 4
  return size
}
