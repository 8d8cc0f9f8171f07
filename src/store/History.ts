/**
 * The history of a store: a bounded list of steps.
 *
 * A step stores its action, not the state after it. To look at an earlier state, the reducers, which are pure, run again from
 * the nearest stored state. So a step costs a few words of memory, and a look costs at most 100 reductions.
 *
 * @since 0.1.0
 */
import { type Action, make as makeAction, type Meta, noMeta } from "./Action.ts"

/**
 * One step of a history.
 *
 * @since 0.1.0
 * @category models
 */
export interface Step {
  /** Counts the actions that changed the state, from 1; 0 is the first state. */
  readonly version: number
  /** The version that the action built on: the one before, except after a travel. */
  readonly from: number
  readonly action: Action
  /** Milliseconds since 1970. */
  readonly at: number
  /** The id of the trace in which the action was dispatched, if there was one. */
  readonly traceId: string | undefined
}

/** How many steps a segment has. Every other segment stores the state that it builds on. */
const stride = 50

/** The fields that only some steps have. */
interface Rare<Scope> {
  readonly meta: Meta
  readonly traceId: string | undefined
  readonly scope: Scope | undefined
}

/** Consecutive steps, with the state that the first one builds on, unless the previous segment leads to that state. */
class Segment<State, Scope> {
  readonly first: number
  readonly from: number
  base: { readonly state: State } | undefined
  /** When the first step was, in milliseconds since 1970. */
  readonly began: number
  count = 0
  /** For each step: the type, the payload, and the milliseconds since `began`. One array is smaller than three. */
  readonly cells: Array<unknown> = new Array(3 * stride)
  rare: Map<number, Rare<Scope>> | undefined

  constructor(first: number, from: number, base: { readonly state: State } | undefined, began: number) {
    this.first = first
    this.from = from
    this.base = base
    this.began = began
  }
}

/**
 * The latest steps. A `Scope` is what an action reached, if that is less than it could reach.
 *
 * @since 0.1.0
 * @category models
 */
export class History<State, Scope = never> {
  readonly limit: number
  private readonly reduce: (state: State, action: Action, scope: Scope | undefined) => State
  private readonly segments: Array<Segment<State, Scope>> = []

  /**
   * @param limit how many steps the history has; 0: none
   * @param reduce gives the state after a step
   */
  constructor(limit: number, reduce: (state: State, action: Action, scope: Scope | undefined) => State) {
    this.limit = limit
    this.reduce = reduce
  }

  /** Adds a step that builds on the state `base` of version `from`. Drops the oldest steps beyond the limit. */
  push(
    version: number,
    from: number,
    base: State,
    action: Action,
    at: number,
    traceId: string | undefined,
    scope: Scope | undefined
  ): void {
    if (this.limit === 0) return
    const { segments } = this
    let segment = segments[segments.length - 1]
    const follows = segment !== undefined && from === segment.first + segment.count - 1
    if (segment === undefined || segment.count === stride || !follows) {
      const isLedTo = follows && segment?.base !== undefined
      segment = new Segment<State, Scope>(version, from, isLedTo ? undefined : { state: base }, at)
      segments.push(segment)
    }
    // A segment is dropped when all of its steps are beyond the limit.
    while (segments.length > 1 && segments[1]!.first <= version - this.limit + 1) {
      const [oldest, next] = segments as [Segment<State, Scope>, Segment<State, Scope>]
      next.base ??= { state: this.replay(oldest, oldest.base!.state, oldest.count) }
      segments.shift()
    }
    const index = segment.count++
    const cell = 3 * index
    segment.cells[cell] = action.type
    segment.cells[cell + 1] = action.payload
    segment.cells[cell + 2] = at - segment.began
    const { meta } = action
    if (meta !== noMeta || traceId !== undefined || scope !== undefined) {
      const rare = segment.rare ??= new Map()
      rare.set(index, { meta, traceId, scope })
    }
  }

  private step(segment: Segment<State, Scope>, index: number): Step {
    const version = segment.first + index
    const rare = segment.rare?.get(index)
    const [type, payload, at] = segment.cells.slice(3 * index, 3 * index + 3) as [string, unknown, number]
    return {
      version,
      from: index === 0 ? segment.from : version - 1,
      action: makeAction(type, payload, rare?.meta ?? noMeta),
      at: segment.began + at,
      traceId: rare?.traceId
    }
  }

  /** The steps, oldest first. */
  list(): ReadonlyArray<Step> {
    const steps = this.segments.flatMap((segment) =>
      Array.from({ length: segment.count }, (_, at) => this.step(segment, at))
    )
    return steps.slice(-Math.max(this.limit, 1))
  }

  private replay(segment: Segment<State, Scope>, base: State, count: number): State {
    let state = base
    for (let index = 0; index < count; index++) {
      state = this.reduce(state, this.step(segment, index).action, segment.rare?.get(index)?.scope)
    }
    return state
  }

  /** The state after the step with this version; `undefined` when the history does not have it. */
  find(version: number): { readonly state: State } | undefined {
    const { limit, segments } = this
    const last = segments.at(-1)
    if (last === undefined || version <= last.first + last.count - 1 - limit) return undefined
    const at = segments.findIndex(({ count, first }) => first <= version && version < first + count)
    if (at === -1) return undefined
    const segment = segments[at]!
    const before = segments[at - 1]
    const base = segment.base === undefined
      ? this.replay(before!, before!.base!.state, before!.count)
      : segment.base.state
    return { state: this.replay(segment, base, version - segment.first + 1) }
  }

  /** Removes all steps. */
  clear(): void {
    this.segments.length = 0
  }
}
