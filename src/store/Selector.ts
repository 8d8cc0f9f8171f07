/**
 * Selections of a state that are computed only when their inputs change.
 *
 * @since 0.1.0
 */
import { selectorMark } from "./internal/observed.ts"

/**
 * A memoised selection, with counters of how often it was remembered and computed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Selector<in State, out A> {
  (state: State): A
  /** Names it in events; empty when it has no name. */
  readonly name: string
  /** How often the last result was given again. */
  readonly hits: () => number
  /** How often it was computed. */
  readonly misses: () => number
}

type Values<Inputs extends ReadonlyArray<(state: any) => unknown>> = {
  readonly [K in keyof Inputs]: ReturnType<Inputs[K]>
}

/**
 * A selector over input selectors: it is computed again only when one of their results is another one (by
 * `Object.is`). It remembers one result, so use one selector per place that selects from a different state.
 *
 * ```ts
 * const total = Selector.make([(s: State) => s.items, (s) => s.prices], (items, prices) => …, { name: "total" })
 * ```
 *
 * Where it selects from the state of a session (`Store.select`, `SessionRef.changes`, live views), the events
 * `SelectorCacheHit` and `SelectorCacheMiss` tell of it under its name.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <State, const Inputs extends ReadonlyArray<(state: any) => unknown>, A>(
  inputs: Inputs & ReadonlyArray<(state: State) => unknown>,
  compute: (...values: Values<Inputs>) => A,
  options?: { readonly name?: string | undefined }
): Selector<State, A> => {
  let last: ReadonlyArray<unknown> | undefined
  let result: A
  let hits = 0
  let misses = 0
  const select = (state: State): A => {
    const values = inputs.map((input) => input(state))
    if (last !== undefined && values.every((value, i) => Object.is(value, last![i]))) {
      hits++
      return result
    }
    misses++
    result = compute(...values as unknown as Values<Inputs>)
    // Not before it is computed: one that throws is computed again.
    last = values
    return result
  }
  Object.defineProperty(select, "name", { value: options?.name ?? compute.name })
  return Object.assign(select, { [selectorMark]: true, hits: () => hits, misses: () => misses })
}
