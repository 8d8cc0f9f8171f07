/**
 * Memoised selectors.
 *
 * @since 0.1.0
 */
import { selectorMark } from "./internal/observed.ts"

/**
 * A memoised selector, which counts its hits and misses.
 *
 * @since 0.1.0
 * @category models
 */
export interface Selector<in State, out A> {
  (state: State): A
  /** Its name in events; empty when it has none. */
  readonly name: string
  /** How often it returned the remembered result. */
  readonly hits: () => number
  /** How often it computed the result. */
  readonly misses: () => number
}

type Values<Inputs extends ReadonlyArray<(state: any) => unknown>> = {
  readonly [K in keyof Inputs]: ReturnType<Inputs[K]>
}

/**
 * Makes a selector from input selectors. It computes its result again only when a result of an input changed, by `Object.is`.
 * It remembers one result: use one selector per session, since sessions that share it would evict each other's result.
 *
 * ```ts
 * const total = Selector.make([(s: State) => s.items, (s) => s.prices], (items, prices) => …, { name: "total" })
 * ```
 *
 * When it selects from the state of a session (`Store.select`, `SessionRef.changes`, live views), it publishes the event
 * `SelectorCacheHit` or `SelectorCacheMiss` with its name.
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
    // After the computation: when that throws, the next call computes again.
    last = values
    return result
  }
  Object.defineProperty(select, "name", { value: options?.name ?? compute.name })
  return Object.assign(select, { [selectorMark]: true, hits: () => hits, misses: () => misses })
}
