/**
 * The lines of a frame, one after the other, for as long as `f` gives `true`. A line break that nothing follows ends the
 * last line and begins none; a frame without anything is one blank line, so that there is nothing that counts for nothing.
 */
export const eachLine = (frame: string, f: (line: string) => boolean): void => {
  let from = 0
  do {
    const end = frame.indexOf("\n", from)
    const to = end < 0 ? frame.length : end
    if (!f(frame.slice(from, to))) return
    from = to + 1
  } while (from < frame.length)
}

export const isBlank = (line: string): boolean => line.trim() === ""
