/**
 * Selections that tell whether they were remembered.
 */
import type { Selector } from "../Selector.ts"

/** What all selectors have, and other functions have not. */
export const selectorMark = Symbol.for("effect-sessions/Selector")

export const isSelector = (select: (state: any) => unknown): select is Selector<any, unknown> => selectorMark in select

interface Told {
  readonly _tag: "SelectorCacheHit" | "SelectorCacheMiss"
  readonly selector: string
}

/** Selects, and tells of it if that is a memoised selection. */
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
