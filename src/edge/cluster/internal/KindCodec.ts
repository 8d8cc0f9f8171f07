/**
 * How the messages, states and errors of a kind go from node to node: as JSON, by the schemas of the kind.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as EndReason from "../../../contract/EndReason.ts"
import type * as Session from "../../../contract/Session.ts"
import * as SessionErrors from "../../../contract/SessionError.ts"
import { describe } from "../../../internal/describe.ts"
import { fromJson, toJson } from "../../../internal/jsonCodec.ts"
import { type Increments, incrementsOf } from "../../../runtime/internal/messages/increments.ts"

type Encode = (value: any) => unknown
type Decode = (json: unknown) => any

/** The errors of this library. */
const sessionErrors = Object.values(SessionErrors).filter((value): value is any =>
  typeof value === "function" && "ast" in value
)

interface OutcomeCodec {
  readonly encode: (exit: Exit.Exit<unknown, unknown>) => unknown
  readonly decode: (json: unknown) => Exit.Exit<unknown, unknown>
}

/** How a failure is sent: an error that its schema knows, or the text of a defect. */
const failureCodec = (declared: Schema.Top): OutcomeCodec => {
  const errors = Schema.Union([...sessionErrors, declared]) as unknown as Schema.Schema<unknown>
  const encode = toJson(errors)
  const decode = fromJson(errors)
  return {
    encode: (exit) => {
      if (Exit.isSuccess(exit)) return null
      const error = Cause.findErrorOption(exit.cause)
      return error._tag === "Some" ? { error: encode(error.value) } : { defect: describe(Cause.squash(exit.cause)) }
    },
    decode: (json) => {
      const failure = json as { readonly error?: unknown; readonly defect?: string }
      return failure.defect === undefined ? Exit.fail(decode(failure.error)) : Exit.die(new Error(failure.defect))
    }
  }
}

/** How one message is sent. */
export interface MessageCodec {
  readonly encodePayload: Encode
  readonly decodePayload: Decode
  readonly encodeSuccess: Encode
  readonly decodeSuccess: Decode
  readonly failure: OutcomeCodec
}

const messageCodec = ({ errorSchema, payloadSchema, successSchema }: Rpc.AnyWithProps): MessageCodec => ({
  encodePayload: toJson(payloadSchema),
  decodePayload: fromJson(payloadSchema),
  encodeSuccess: toJson(successSchema),
  decodeSuccess: fromJson(successSchema),
  failure: failureCodec(errorSchema)
})

/** How the changes of states are sent. */
interface ChangesCodec extends Pick<Increments, "of"> {
  readonly encode: Encode
  /** The state after the changes that the JSON tells. */
  readonly apply: (before: unknown, json: unknown) => unknown
}

const changesCodec = ({ apply, change, of }: Increments): ChangesCodec => {
  const changes = Schema.Array(change as Schema.Top)
  const decode = fromJson(changes) as Decode
  return { of, encode: toJson(changes), apply: (before, json) => apply(before, decode(json)) }
}

export class KindCodec {
  private readonly messages = new Map<string, MessageCodec>()
  private readonly definition: Session.Any
  readonly encodeState: Encode
  readonly decodeState: Decode
  /** How changes are sent, if the states of the kind say them. */
  readonly changes: ChangesCodec | undefined
  readonly encodeArgs: Encode
  readonly decodeArgs: Decode
  /** Of requests that are no messages. */
  readonly failure: OutcomeCodec

  constructor(definition: Session.Any) {
    this.definition = definition
    this.encodeState = toJson(definition.state)
    this.decodeState = fromJson(definition.state)
    const increments = incrementsOf(definition)
    this.changes = increments && changesCodec(increments)
    this.encodeArgs = toJson(definition.args)
    this.decodeArgs = fromJson(definition.args)
    this.failure = failureCodec(definition.error)
  }

  /** The codec of a message; `undefined` when the kind has none of this tag. */
  message(tag: string): MessageCodec | undefined {
    let codec = this.messages.get(tag)
    if (codec === undefined) {
      const message = this.definition.protocol.get(tag)
      if (message === undefined) return undefined
      this.messages.set(tag, codec = messageCodec(message as Rpc.AnyWithProps))
    }
    return codec
  }
}

export const encodeReason = toJson(EndReason.EndReason) as (reason: EndReason.EndReason) => unknown
export const decodeReason = fromJson(EndReason.EndReason)
