/**
 * The characters that PostgreSQL or UTF-8 cannot represent, or that decoders drop: the character 0, lone surrogates, and the
 * byte order mark. They are rare: JSON escapes the first two.
 */
// oxlint-disable-next-line no-control-regex
const unsafe = new RegExp("[\\u0000\\u0001\\uFEFF\\p{Surrogate}]", "u")
const allUnsafe = new RegExp(unsafe, "gu")
// oxlint-disable-next-line no-control-regex
const escaped = new RegExp("\\u0001([0-9a-f]{4})", "g")

const escapeOne = (character: string): string => "\u0001" + character.charCodeAt(0).toString(16).padStart(4, "0")

/** Turns any text into one that every store can hold. */
export const escape = (text: string): string => unsafe.test(text) ? text.replace(allUnsafe, escapeOne) : text

/** The text before `escape`. */
export const unescape = (text: string): string =>
  text.includes("\u0001")
    ? text.replace(escaped, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    : text
