/**
 * The messages of Effect RPC as JSON, as far as a client needs them.
 */
import type * as Exit from "effect/Exit"
import * as Rpc from "effect/rpc/Rpc"
import { fromJson } from "../../internal/jsonCodec.ts"

export type FromServer =
  | { readonly _tag: "Chunk"; readonly requestId: string | number; readonly values: ReadonlyArray<unknown> }
  | { readonly _tag: "Exit"; readonly requestId: string | number; readonly exit: unknown }
  | { readonly _tag: "Defect"; readonly defect: unknown }
  | { readonly _tag: "Pong" }

/** A request with a payload that is JSON already. */
export const request = (
  id: string,
  tag: string,
  payload: string,
  headers: ReadonlyArray<readonly [string, string]>
): string =>
  `{"_tag":"Request","id":"${id}","tag":${JSON.stringify(tag)},"payload":${payload},"headers":${
    JSON.stringify(headers)
  }}`

/** How many bytes it is on the wire, which is UTF-8. */
export const bytesOf = (text: string): number => {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    // Each half of a pair is two of its four bytes.
    if (code > 0x7f) bytes += code > 0x7ff && (code < 0xd800 || code > 0xdfff) ? 2 : 1
  }
  return bytes
}

/** Messages in few frames, none of which is longer than `most` bytes unless one message is. */
export const pack = (messages: ReadonlyArray<string>, most: number): ReadonlyArray<string> => {
  const frames: Array<string> = []
  let size = Infinity
  for (const text of messages) {
    const bytes = bytesOf(text)
    if (size + 1 + bytes <= most) {
      frames[frames.length - 1] += `\n${text}`
      size += 1 + bytes
    } else {
      frames.push(text)
      size = bytes
    }
  }
  return frames
}

/** The messages of a frame. Throws when it is no JSON. */
export const parse = (frame: string): ReadonlyArray<FromServer> =>
  frame.split("\n").flatMap((line) => line.trim() === "" ? [] : JSON.parse(line))

/** Decodes the replies of an RPC. Throws when one does not fit. */
export const exitDecoder = (rpc: Rpc.Any): (json: unknown) => Exit.Exit<unknown, unknown> =>
  fromJson(Rpc.exitSchema(rpc))
