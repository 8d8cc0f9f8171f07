/**
 * How deep JSON is nested. `JSON.parse` takes any depth; what walks through its result by recursion, codecs above all, does
 * not. So what comes from outside is asked this before anything else looks at it.
 */

/** How deep JSON from outside may be nested if nothing else is said. */
export const defaultDepth = 64

/** Is there more nesting in a text than `max`, if it is JSON at all? */
export const isTextDeeper = (text: string, max: number): boolean => {
  // That many opening brackets do not fit.
  if (text.length <= max) return false
  let depth = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (inString) {
      if (code === backslash) i++
      else if (code === quote) inString = false
    } else if (code === quote) inString = true
    else if (code === openBracket || code === openBrace) {
      if (++depth > max) return true
    } else if (code === closeBracket || code === closeBrace) depth--
  }
  return false
}

/** Is a value that was parsed nested deeper than `max`? */
export const isDeeper = (value: unknown, max: number): boolean => {
  if (typeof value !== "object" || value === null) return false
  if (max <= 0) return true
  for (const key in value) if (isDeeper((value as Record<string, unknown>)[key], max - 1)) return true
  return false
}

/** Why it is refused. */
export const tooDeep = (max: number): string => `JSON that is nested deeper than ${max} is not taken`

const quote = 0x22
const backslash = 0x5c
const openBracket = 0x5b
const closeBracket = 0x5d
const openBrace = 0x7b
const closeBrace = 0x7d
