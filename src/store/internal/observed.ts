/**
 * Tells whether a memoised selector returned its remembered result.
 */
import type { Selector } from "../Selector.ts"

/** Marks the functions that `Selector.make` made. */
export const selectorMark = Symbol.for("effect-sessions/Selector")

export const isSelector = (select: (state: any) => unknown): select is Selector<any, unknown> => selectorMark in select

interface Told {
  readonly _tag: "SelectorCacheHit" | "SelectorCacheMiss"
  readonly selector: string
}

/** Runs a selector; for a memoised one, tells whether it was a hit. */
export const observed = (
  select: (state: any) => unknown,
  state: unknown,
  tell: (event: Told) => void
): unknown => {
  if (!isSelector(select)) return select(state)
  const misses = select.misses()
  const value = select(state)
  tell({ _tag: select.misses() === misses ? "SelectorCacheHit" : "SelectorCacheMiss", selector: select.name })
  return value
}
