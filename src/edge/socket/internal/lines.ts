/**
 * Calls `f` with each line of a frame, as long as `f` gives `true`. A line break at the end does not begin another line. An
 * empty frame is one blank line, so that each frame counts as a message.
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
