import { createHash } from "node:crypto"

const plain = /^[A-Za-z0-9._~:@-]+$/
const needsEscape = /[^a-z0-9-]/g
/** As many characters as a name may have; file systems take 255 bytes, with what comes before and after. */
const maxLength = 200

const escapes: Record<string, string> = { _: "__", ".": "_0", ":": "_1", "~": "_2", "@": "_3" }

const hash = (text: string): string => createHash("sha256").update(text).digest("hex")

/**
 * A kind or an id as a part of a file name: distinct also where capitals do not count, and never one of the names that a
 * system keeps for itself. What gets too long is hashed; the file says what it is of.
 */
export const encode = (text: string): string => {
  if (plain.test(text)) {
    const name = text.replace(needsEscape, (character) => escapes[character] ?? `_${character.toLowerCase()}`)
    if (name.length <= maxLength) return `k-${name}`
  }
  return `h-${hash(text)}`
}

/** The directory of an id among the 256 of its kind. */
export const shardOf = (id: string): string => hash(id).slice(0, 2)

/** A name for what was set aside. */
export const asideOf = (identity: string): string => hash(identity).slice(0, 40)
