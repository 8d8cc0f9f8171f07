/**
 * What a ref asks of its session, as data: so that the process that owns the session can do it.
 */
import type { EndReason } from "../../../contract/EndReason.ts"
import type { StartOptions } from "../../../contract/Session.ts"
import type { Identity, OnceOptions } from "../../../contract/SessionRef.ts"

export interface CallRequest {
  readonly op: "call"
  readonly tag: string
  readonly payload: unknown
  /** In milliseconds. */
  readonly timeout: number
}

export interface OnceRequest {
  readonly op: "once"
  readonly tag: string
  readonly payload: unknown
  /** In milliseconds. */
  readonly timeout: number
  readonly action: OnceOptions
}

export interface CastRequest {
  readonly op: "cast"
  readonly tag: string
  readonly payload: unknown
}

/** Reads that change nothing. */
interface ReadRequest {
  readonly op: "state" | "info" | "isLive"
}

/** Follows the state, or only the end, for as long as the request is open. */
interface WatchRequest {
  readonly op: "watch" | "awaitEnd"
}

export interface StartRequest {
  readonly op: "start"
  readonly options: (StartOptions & { readonly args?: unknown }) | undefined
}

interface EndRequest {
  readonly op: "end"
  readonly reason: EndReason | undefined
  readonly drain: boolean
}

interface TouchRequest {
  /** `reach`: touches the session, and gives what is known of it; `undefined`: there is none. */
  readonly op: "touch" | "reach"
}

interface IdleTimeoutRequest {
  readonly op: "setIdleTimeout"
  /** In milliseconds. */
  readonly timeout: number
}

interface IdentifyRequest {
  readonly op: "identify"
  readonly change: Partial<Identity>
  readonly expected: Readonly<Record<string, unknown>>
}

interface MetadataRequest {
  readonly op: "note"
  readonly metadata: Readonly<Record<string, unknown>>
}

/** A client is connected, for as long as the request is open. */
interface AttachRequest {
  readonly op: "attach"
}

/** What goes into the mailbox. */
export type Message = CallRequest | OnceRequest | CastRequest

export type Request =
  | Message
  | ReadRequest
  | WatchRequest
  | StartRequest
  | EndRequest
  | TouchRequest
  | IdleTimeoutRequest
  | IdentifyRequest
  | MetadataRequest
  | AttachRequest
