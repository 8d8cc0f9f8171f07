/**
 * The messages of Effect RPC as JSON, as far as a client needs them.
 */
import type * as Exit from "effect/Exit"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"

export type FromServer =
  | { readonly _tag: "Chunk"; readonly requestId: string | number; readonly values: ReadonlyArray<unknown> }
  | { readonly _tag: "Exit"; readonly requestId: string | number; readonly exit: unknown }
  | { readonly _tag: "Defect"; readonly defect: unknown }
  | { readonly _tag: "Pong" }

export type FromClient =
  | {
    readonly _tag: "Request"
    readonly id: string
    readonly tag: string
    readonly payload: unknown
    readonly headers: ReadonlyArray<readonly [string, string]>
  }
  | { readonly _tag: "Ack" | "Interrupt"; readonly requestId: string }
  | { readonly _tag: "Ping" }

/** The messages of a frame. Throws when it is no JSON. */
export const parse = (frame: string): ReadonlyArray<FromServer> =>
  frame.split("\n").flatMap((line) => line.trim() === "" ? [] : JSON.parse(line))

const codec = (schema: Schema.Top) => Schema.toCodecJson(schema) as unknown as Schema.Codec<unknown, unknown>

/** How values of a schema come as JSON. Throws what does not fit. */
export const decoder = (schema: Schema.Top): (json: unknown) => unknown => Schema.decodeUnknownSync(codec(schema))

/** How values of a schema go as JSON. Throws what does not fit. */
export const encoder = (schema: Schema.Top): (value: unknown) => unknown => Schema.encodeUnknownSync(codec(schema))

/** How answers of an RPC come. Throws what does not fit. */
export const exitDecoder = (rpc: Rpc.Any): (json: unknown) => Exit.Exit<unknown, unknown> =>
  decoder(Rpc.exitSchema(rpc) as never) as never
