/**
 * How values of a schema are written as JSON and read back: for the store, the wire and the reply cache alike.
 */
import * as Schema from "effect/Schema"

/** The codec between a schema's values and JSON. */
export const jsonCodec = <A>(schema: Schema.Schema<A>): Schema.Codec<A, unknown> =>
  Schema.toCodecJson(schema as Schema.Top) as unknown as Schema.Codec<A, unknown>

/** Throws when a value does not fit. */
export const toJson = (schema: Schema.Schema<unknown>): (value: unknown) => unknown =>
  Schema.encodeUnknownSync(jsonCodec(schema))

/** Throws when the JSON does not fit. */
export const fromJson = <A>(schema: Schema.Schema<A>): (json: unknown) => A =>
  Schema.decodeUnknownSync(jsonCodec(schema))
