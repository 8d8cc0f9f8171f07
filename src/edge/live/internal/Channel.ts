/**
 * One view of one session: its latest versions, and its viewers.
 *
 * All viewers share the versions, and the patch from a version to the newest is made once. A viewer is a reference to the
 * version that it has, however many changes it has missed. Nothing is selected while there is no viewer.
 */
import type * as Scope from "effect/Scope"
import type { EndReason } from "../../../contract/EndReason.ts"
import * as JsonPatch from "../../../contract/JsonPatch.ts"
import type * as Live from "../../../contract/Live.ts"
import { ViewFailed } from "../../../contract/LiveError.ts"
import type { VersionedState, Watcher } from "../../../contract/SessionRef.ts"

/** How a view is made from a state. */
export interface Lens {
  readonly view: string
  readonly select: (state: any) => unknown
  /** The selected value as JSON, which must not be changed. */
  readonly encode: (value: unknown) => any
  /** The properties that identify the rows of its arrays, in order of preference. */
  readonly identify: ReadonlyArray<string> | undefined
  /** How many versions are stored for viewers that return. */
  readonly history: number
  /** The size of these versions, besides the newest, in bytes of JSON (approximately). */
  readonly historySize: number
}

/** The view at a version. */
interface Version {
  readonly version: number
  readonly value: any
  /** The size of the patch from the version before, in bytes (approximately). */
  readonly size: number
}

/** An event that leads a viewer to the newest version, and its JSON if that was needed. */
interface Told {
  readonly event: Live.Event
  json: string | undefined
}

export class Channel implements Watcher<any> {
  private readonly lens: Lens
  /** Reports an exception of a selector, an encoder or a viewer. */
  private readonly report: (defect: unknown) => void
  private readonly viewers = new Set<MountedView>()
  /** The latest state of the session. */
  private latest: VersionedState<any>
  /** Whether the latest state has not been selected from yet. */
  private stale = true
  private epoch = -1
  private selected: unknown = none
  /** Distinct versions of this epoch, the newest last. */
  private versions: Array<Version> = []
  /** The size of all versions but the oldest. */
  private size = 0
  private snapshot: Told | undefined = undefined
  /** The patch from each version to the newest. */
  private readonly patches = new Map<Version, Told>()
  reason: EndReason | undefined = undefined
  /** Closing it ends the watch of the session. */
  readonly scope: Scope.Closeable
  /** When the last viewer left, by the monotonic clock. */
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

  /** The state at the begin of the watch. */
  begin(snapshot: VersionedState<any>): void {
    if (this.latest.epoch < 0) this.latest = snapshot
  }

  // -------------------------------------------------------------------------------------------------------
  // the session
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

  /** The view could not be made: ends all viewers. */
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
   * Makes a version of the latest state. `false` when the view is the same as before. When the selector or the encoder throws,
   * nothing changes.
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
  // viewers
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

  /** The event for a viewer could not be made: ends the viewer. */
  failedFor(mounted: MountedView, defect: unknown): void {
    this.report(defect)
    if (this.viewers.delete(mounted)) mounted.viewer.failed?.(ViewFailed.of(this.lens.view))
  }

  /** The version at a position, if it is still stored. */
  private find({ epoch, version }: Live.Position): Version | undefined {
    return epoch === this.epoch ? this.versions.findLast((known) => known.version === version) : undefined
  }

  get newest(): Version {
    return this.versions.at(-1)!
  }

  /** The event that leads from a version, or from nothing, to the newest version. */
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
  /** Whether the first event was taken. */
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

/** The size of a value as JSON, in bytes (approximately). */
const sizeOf = (value: unknown): number => {
  if (typeof value === "string") return value.length + 2
  if (typeof value !== "object" || value === null) return 5
  let size = 2
  if (Array.isArray(value)) { for (const item of value) size += sizeOf(item) + 1 }
  else for (const [key, item] of Object.entries(value)) size += key.length + sizeOf(item) + 4
  return size
}
