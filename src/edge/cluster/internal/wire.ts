/**
 * Requests and answers as they go from node to node.
 *
 *   request   [op, kind, id, …]      what follows depends on the operation
 *             ["node", op, …]        concerns all that a node has
 *             ["hold", key, limit]   counts one under a key, as long as it is open: answered with `false` when all are taken
 *   answer    [0, value]             it succeeded
 *             [1, failure]           it failed, with an error that a schema knows, or a defect
 *             [2, text]              the node does not understand it: it runs another version of the program
 *   event     ["state", epoch, version, state]       of a watch: the whole state
 *             ["patch", epoch, version, operations]  the difference to the event before
 *             ["changes", epoch, version, changes]   of a kind whose states say how they came about: since the event before
 *             ["identity", user, metadata, isFirst]  the user and the metadata: of the beginning, or of a change
 *             ["here"]               of an attachment: it is counted
 *             ["held"]               of a hold: it is counted
 */
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Tracer from "effect/Tracer"
import type { StartOptions } from "../../../contract/Session.ts"
import { NodeUnavailable } from "../../../contract/SessionError.ts"
import type { Identity, OnceOptions, SessionInfo } from "../../../contract/SessionRef.ts"
import { findUnfit } from "../../../internal/jsonValue.ts"
import type { Request } from "../../../runtime/internal/messages/Request.ts"
import { decodeReason, encodeReason, type KindCodec } from "./KindCodec.ts"
import type { Json } from "./peers/model.ts"

export const succeeded = 0
export const failed = 1
export const unknown = 2

/** The JSON of metadata. What is not JSON would not arrive. */
const metadataJson = (metadata: Readonly<Record<string, unknown>> | undefined): Json => {
  const unfit = metadata === undefined ? undefined : findUnfit(metadata, "metadata")
  if (unfit !== undefined) throw new TypeError(`${unfit.path} is ${unfit.what}: on a cluster, metadata must be JSON`)
  return metadata ?? null
}

/** Infinity is no JSON. */
const timeJson = (millis: number): Json => millis === Infinity ? null : millis
const timeOf = (json: Json): number => json === null ? Infinity : json as number

const startJson = ({ address, idleTimeout, metadata, user }: StartOptions): Json => ({
  ...address !== undefined && { address },
  ...user !== undefined && { user },
  ...idleTimeout !== undefined && { idleTimeout: timeJson(Duration.toMillis(idleTimeout)) },
  ...metadata !== undefined && { metadata: metadataJson(metadata) }
})

/** The span of the caller, of which the span of the handler is a child. */
const spanJson = (span: Tracer.AnySpan | undefined): ReadonlyArray<Json> =>
  span === undefined ? [] : [[span.traceId, span.spanId, span.sampled]]

/** The span of the caller on another node, if it has one. */
export const spanOf = (op: Request["op"], rest: ReadonlyArray<Json>): Tracer.ExternalSpan | undefined => {
  const json = op === "call" ? rest[3] : op === "once" ? rest[4] : op === "cast" ? rest[2] : undefined
  if (json === undefined) return undefined
  const [traceId, spanId, sampled] = json as [string, string, boolean]
  return Tracer.externalSpan({ traceId, spanId, sampled })
}

/** Throws when a payload does not fit its schema. */
export const encodeRequest = (
  codec: KindCodec,
  { id, kind }: { readonly kind: string; readonly id: string },
  request: Request,
  span: Tracer.AnySpan | undefined
): Json => {
  const { op } = request
  switch (op) {
    case "call":
    case "once":
    case "cast": {
      const payload = codec.message(request.tag)!.encodePayload(request.payload)
      if (op === "cast") return [op, kind, id, request.tag, payload, ...spanJson(span)]
      const timeout = timeJson(request.timeout)
      if (op === "call") return [op, kind, id, request.tag, payload, timeout, ...spanJson(span)]
      const { accepted, again, client, epoch, sequence } = request.action
      const action = { client, sequence, again, epoch, accepted }
      return [op, kind, id, request.tag, payload, timeout, action, ...spanJson(span)]
    }
    case "start":
      return [op, kind, id, startJson(request.options ?? {}), codec.encodeArgs(request.options?.args)]
    case "end":
      return [op, kind, id, request.reason === undefined ? null : encodeReason(request.reason), request.drain]
    case "setIdleTimeout":
      return [op, kind, id, timeJson(request.timeout)]
    case "identify": {
      const { change: { metadata, user }, change, expected } = request
      return [op, kind, id, "user" in change, user ?? null, metadataJson(metadata), metadataJson(expected)]
    }
    case "note":
      return [op, kind, id, metadataJson(request.metadata)]
    default:
      return [op, kind, id]
  }
}

/** The request of a peer. Throws when it does not fit the schemas of the kind. */
export const decodeRequest = (codec: KindCodec, op: Request["op"], rest: ReadonlyArray<Json>): Request => {
  switch (op) {
    case "call":
    case "once":
    case "cast": {
      const tag = rest[0] as string
      const payload = codec.message(tag)!.decodePayload(rest[1])
      if (op === "cast") return { op, tag, payload }
      const timeout = timeOf(rest[2])
      return op === "call"
        ? { op, tag, payload, timeout }
        : { op, tag, payload, timeout, action: rest[3] as OnceOptions }
    }
    case "start": {
      const { idleTimeout, ...options } = rest[0] as StartOptions
      const args = codec.decodeArgs(rest[1])
      return { op, options: { ...options, ...idleTimeout !== undefined && { idleTimeout: timeOf(idleTimeout) }, args } }
    }
    case "end":
      return { op, reason: rest[0] === null ? undefined : decodeReason(rest[0]), drain: rest[1] === true }
    case "setIdleTimeout":
      return { op, timeout: timeOf(rest[0]) }
    case "identify": {
      const [hasUser, user, metadata, expected] = rest as [boolean, string | null, Identity["metadata"] | null, any]
      const change = { ...hasUser && { user: user ?? undefined }, ...metadata !== null && { metadata } }
      return { op, change, expected }
    }
    case "note":
      return { op, metadata: rest[0] as Identity["metadata"] }
    default:
      return { op } as Request
  }
}

/** JSON leaves out what is not there. */
const infoOf = (json: Json): SessionInfo => {
  const { endsAt, expiresAt, user, ...info } = json as SessionInfo
  return { ...info, endsAt, expiresAt, user }
}

/** The value of an answer. */
const encodeValue = (codec: KindCodec, request: Request, value: unknown): Json => {
  switch (request.op) {
    case "call":
    case "once":
      return codec.message(request.tag)!.encodeSuccess(value)
    case "state":
      return codec.encodeState(value)
    case "info":
      return { ...value as SessionInfo, state: codec.encodeState((value as SessionInfo).state) }
    case "reach":
      return value === undefined ? null : { ...value as SessionInfo, state: undefined }
    case "attach":
    case "awaitEnd":
    case "watch":
      return encodeReason(value as never)
    default:
      return typeof value === "boolean" ? value : null
  }
}

const decodeValue = (codec: KindCodec, request: Request, json: Json): unknown => {
  switch (request.op) {
    case "call":
    case "once":
      return codec.message(request.tag)!.decodeSuccess(json)
    case "state":
      return codec.decodeState(json)
    case "info": {
      const info = infoOf(json)
      return { ...info, state: codec.decodeState(info.state) }
    }
    case "reach":
      return json === null ? undefined : infoOf(json)
    case "attach":
    case "awaitEnd":
    case "watch":
      return decodeReason(json)
    default:
      return json ?? undefined
  }
}

const failureOf = (codec: KindCodec, request: Request) =>
  request.op === "call" || request.op === "once" ? codec.message(request.tag)!.failure : codec.failure

/** The answer to a request. Throws when a value does not fit its schema. */
export const encodeAnswer = (codec: KindCodec, request: Request, exit: Exit.Exit<unknown, unknown>): Json =>
  Exit.isSuccess(exit)
    ? [succeeded, encodeValue(codec, request, exit.value)]
    : [failed, failureOf(codec, request).encode(exit)]

/** The outcome that an answer tells. Throws when it does not fit. */
export const decodeAnswer = (
  codec: KindCodec,
  { id, kind }: { readonly kind: string; readonly id: string },
  request: Request,
  json: Json
): Exit.Exit<any, any> => {
  const [status, value] = json as [number, Json]
  switch (status) {
    case succeeded:
      return Exit.succeed(decodeValue(codec, request, value))
    case failed:
      return failureOf(codec, request).decode(value)
    default:
      return Exit.fail(NodeUnavailable.of(kind, id, String(value)))
  }
}
