/**
 * Cuts the bytes of a connection into lines. Only whole lines are decoded, so a character whose bytes come in two chunks is
 * intact.
 */
const newline = 0x0a
const nothing = Buffer.alloc(0)

/** The smallest buffer for the beginning of a line, in bytes. */
const smallest = 1_024

export class LineReader {
  /** The most bytes that a line may have. */
  limit: number
  /** The beginning of a line whose end has not come yet. */
  private held: Buffer = nothing
  private length = 0

  constructor(limit: number) {
    this.limit = limit
  }

  /** Hands out the lines that end in this chunk, until `line` gives `false`. Gives `false` when a line is too long. */
  add(chunk: Buffer, line: (text: string) => boolean): boolean {
    let from = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      if (this.length + end - from > this.limit) return false
      const text = this.length === 0 ? chunk.toString("utf8", from, end) : this.complete(chunk, from, end)
      from = end + 1
      if (!line(text)) return true
    }
    if (this.length + chunk.length - from > this.limit) return false
    this.hold(chunk, from, chunk.length)
    return true
  }

  private complete(chunk: Buffer, from: number, end: number): string {
    this.hold(chunk, from, end)
    const text = this.held.toString("utf8", 0, this.length)
    this.held = nothing
    this.length = 0
    return text
  }

  /** The buffer doubles when it is full, so each byte is copied a few times at most, however small the chunks are. */
  private hold(chunk: Buffer, from: number, end: number): void {
    const length = this.length + end - from
    if (length > this.held.length) {
      const larger = Buffer.allocUnsafe(Math.max(smallest, 2 * this.held.length, length))
      this.held.copy(larger, 0, 0, this.length)
      this.held = larger
    }
    chunk.copy(this.held, this.length, from, end)
    this.length = length
  }
}
