/** Why a value does not come back as it was from JSON, and where in it. */
export interface Unfit {
  readonly path: string
  readonly what: string
}

/** How deep values may be nested. */
const maxDepth = 64

/**
 * What JSON does not have of a value, if anything. Keys with `undefined` count as absent, as they are when they come
 * back.
 */
export const findUnfit = (value: unknown, path: string): Unfit | undefined => search(value, path, [])

const search = (value: unknown, path: string, within: Array<object>): Unfit | undefined => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return undefined
    case "number":
      return Number.isFinite(value) ? undefined : { path, what: String(value) }
    case "object": {
      if (value === null) return undefined
      if (within.includes(value)) return { path, what: "part of itself" }
      if (within.length === maxDepth) return { path, what: `nested deeper than ${maxDepth} levels` }
      within.push(value)
      const unfit = Array.isArray(value) ? searchArray(value, path, within) : searchObject(value, path, within)
      within.pop()
      return unfit
    }
    default:
      return { path, what: value === undefined ? "undefined" : `a ${typeof value}` }
  }
}

const searchArray = (value: ReadonlyArray<unknown>, path: string, within: Array<object>): Unfit | undefined => {
  for (let i = 0; i < value.length; i++) {
    const unfit = search(value[i], `${path}[${i}]`, within)
    if (unfit !== undefined) return unfit
  }
  return undefined
}

const searchObject = (value: object, path: string, within: Array<object>): Unfit | undefined => {
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== null && prototype !== Object.prototype) {
    return { path, what: `an instance of ${prototype.constructor?.name ?? "a class"}` }
  }
  if ("toJSON" in value) return { path, what: "an object with toJSON" }
  for (const [key, own] of Object.entries(value)) {
    const unfit = own === undefined ? undefined : search(own, `${path}.${key}`, within)
    if (unfit !== undefined) return unfit
  }
  return undefined
}
