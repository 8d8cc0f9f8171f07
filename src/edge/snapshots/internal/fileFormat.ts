import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { crc32 } from "node:zlib"
import type { Snapshot } from "../../../contract/SnapshotStore.ts"
import { escape, unescape } from "./text.ts"

/*
 * A file has a line with the checksum and length of what follows, a line of JSON with all of the snapshot but its body,
 * and the body.
 */
const mark = "effect-sessions-1"
const newLine = 10

const Header = Schema.fromJsonString(Schema.Struct({
  kind: Schema.String,
  id: Schema.String,
  epoch: Schema.Number,
  version: Schema.Number,
  format: Schema.Number,
  savedAt: Schema.Number,
  expiresAt: Schema.NullOr(Schema.Number),
  alarmAt: Schema.NullOr(Schema.Number),
  user: Schema.optionalKey(Schema.NullOr(Schema.String))
}))
const decodeHeader = Schema.decodeUnknownResult(Header)

const checksum = (bytes: Uint8Array): string => crc32(bytes).toString(16).padStart(8, "0")

/** The bytes of a file. */
export const encode = ({ body, ...header }: Snapshot): Uint8Array => {
  const rest = Buffer.from(`${JSON.stringify(header)}\n${escape(body)}`)
  return Buffer.concat([Buffer.from(`${mark} ${checksum(rest)} ${rest.length}\n`), rest])
}

/** The snapshot in a file, or what is wrong with it. */
export const decode = (file: Uint8Array): Result.Result<Snapshot, string> => {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength)
  const first = bytes.indexOf(newLine)
  const [found, sum, length] = bytes.subarray(0, Math.max(first, 0)).toString("latin1").split(" ")
  if (found !== mark) return Result.fail(bytes.length === 0 ? "it is empty" : "it does not begin as a snapshot does")
  const rest = bytes.subarray(first + 1)
  if (String(rest.length) !== length) {
    return Result.fail(`it has ${rest.length} bytes after the first line, not ${length}`)
  }
  if (checksum(rest) !== sum) return Result.fail("its checksum is wrong")
  const second = rest.indexOf(newLine)
  const header = decodeHeader(rest.subarray(0, Math.max(second, 0)).toString())
  return Result.isFailure(header)
    ? Result.fail("its header does not fit")
    : Result.succeed({
      ...header.success,
      user: header.success.user ?? null,
      body: unescape(rest.subarray(second + 1).toString())
    })
}
