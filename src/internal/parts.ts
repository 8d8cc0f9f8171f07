/**
 * Long messages of the server, in parts. A page is notified of a frame only when all of it has arrived, so a message
 * that takes minutes over a slow link looks like a dead server. Parts are frames of their own, and each is a sign of
 * life. Clients ask for them in their `hello` (see `Live.partsHeader`). A part begins with a character with which no
 * JSON begins.
 */

/** How long a part is, in UTF-16 units: also the longest message that goes as one. */
export const partLength = 16_384

/** With what a part begins: there is more of its message, or this was the last. */
export const more = "+"
export const last = "="

/** Where the part that begins at `at` ends: not within a character. */
export const endOfPart = (text: string, at: number): number => {
  const end = at + partLength
  if (end >= text.length) return text.length
  const unit = text.charCodeAt(end - 1)
  return unit >= 0xd800 && unit < 0xdc00 ? end - 1 : end
}

/** Puts messages together again. */
export class Parts {
  private parts: Array<string> = []

  /** Takes a frame. Gives the message that is complete with it, if one is. */
  add(frame: string): string | undefined {
    const sign = frame.charAt(0)
    if (sign !== more && sign !== last) return frame
    this.parts.push(frame.slice(1))
    if (sign === more) return undefined
    const message = this.parts.join("")
    this.parts = []
    return message
  }
}
