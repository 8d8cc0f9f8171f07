/**
 * What those who use the connections between nodes see of them.
 */

/** What `JSON.parse` gives. `undefined` goes as `null`. */
export type Json = unknown

/** Where a node is reached. */
export interface NodeAddress {
  readonly host: string
  readonly port: number
}

/** The text of an address: `host:port`. */
export const keyOf = ({ host, port }: NodeAddress): string => `${host}:${port}`

/** What a node says about itself. */
export interface NodeInfo {
  readonly address: NodeAddress
  /** Another one after each start of the node. */
  readonly incarnation: string
  /** What its program says about itself, for example its kinds and their formats. */
  readonly features: Json
}

/**
 * Why no answer comes:
 *
 * - `unreachable`: there is no connection to the node, or it refused the greeting
 * - `disconnected`: the connection has ended
 * - `leaving`: the node has said goodbye
 * - `refused`: the handler has not begun the request
 * - `failed`: the handler threw, or its answer cannot be sent
 * - `unsendable`: the request is not JSON, or longer than a line may be; no other node would take it
 * - `full`: too much waits to be sent to the node
 * - `closed`: this node's own connections are closed
 */
export type LostReason =
  | "unreachable"
  | "disconnected"
  | "leaving"
  | "refused"
  | "failed"
  | "unsendable"
  | "full"
  | "closed"

export interface Lost {
  /** `false`: the request was certainly not begun, so another node can be asked. */
  readonly sent: boolean
  readonly reason: LostReason
}

/** Whoever asks. `end` or `lost` is called once, unless the request is withdrawn; `lost` perhaps before `ask` returns. */
export interface Asker {
  /** Something about a followed request. */
  readonly event?: (json: Json) => void
  readonly end: (json: Json) => void
  readonly lost: (lost: Lost) => void
}

export interface Link {
  readonly address: NodeAddress
  /** The node at the other end, while there is a connection. */
  readonly peer: NodeInfo | undefined
  /** Asks the node, and connects to it if need be. Gives the function that withdraws the request. */
  ask(request: Json, on: Asker): () => void
}

/** The answer to a request. After `end`, `refuse`, a withdrawal or the loss of the connection, its methods do nothing. */
export interface Reply {
  /** Tells something about a followed request. */
  event(json: Json): void
  /** Answers. */
  end(json: Json): void
  /** Says that the request was not begun and never will be: whoever asked may ask another node. */
  refuse(): void
  /** Whether the peer reads too slowly: what follows a request then sends less. Answers are sent all the same. */
  readonly isFull: boolean
  /** Calls back once when the peer reads again, at once if it does. The latest callback of a request replaces the one before. */
  onDrain(f: () => void): void
}

/**
 * Takes a request. Gives the function that is called once if the asker withdraws the request, the connection is lost, or this
 * node says goodbye, before there is an answer. In the last case, that function can still call `end` or `refuse`; a request
 * for which it does neither counts as begun.
 */
export interface Handler {
  (request: Json, reply: Reply, peer: NodeInfo): (() => void) | undefined
}
