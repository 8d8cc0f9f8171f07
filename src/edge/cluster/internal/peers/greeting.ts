/**
 * The greeting: what two nodes say to each other before anything else, one JSON array a line.
 *
 *   asker   ["hello", { … nonce }]
 *   server  ["hello", { … nonce }]
 *   asker   ["proof", features, mac]
 *   server  ["proof", features, mac]          or, from either and at any time:  ["refused", text]
 *
 * A `mac` is the HMAC-SHA256, under the secret of the cluster, of the role, both hellos (with both nonces, addresses and
 * incarnations) and the features. The asker proves first, so that nobody gets a proof by connecting. What follows the greeting is
 * neither encrypted nor authenticated: the secret keeps strangers out, not an attacker within the network path.
 */
import { createHmac, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto"
import { describe } from "../../../../internal/describe.ts"
import { isDeeper } from "../../../../internal/jsonDepth.ts"
import { type Json, keyOf, type NodeAddress, type NodeInfo } from "./model.ts"

/** Greetings of other programs do not begin like this. */
const name = "effect-sessions/peers"

/** The most bytes of a line of the greeting. */
export const greetingLimit = 256 * 1_024

/** The least `silence`, in milliseconds, and the least `lineLimit`, in bytes. */
export const leastSilence = 10
export const leastLine = 1_024

/** What a node says about itself. */
export interface Identity {
  readonly protocol: number
  readonly cluster: string
  readonly address: NodeAddress
  readonly incarnation: string
  readonly features: Json
  /** After how many milliseconds without a sign of life it gives a connection up. */
  readonly silence: number
  /** The most bytes of a line that it takes. */
  readonly lineLimit: number
  readonly secret: KeyObject | undefined
}

interface Hello {
  readonly name: typeof name
  readonly protocol: number
  readonly cluster: string
  readonly from: NodeAddress
  /** The address that is meant, or answers. */
  readonly to: string
  readonly incarnation: string
  readonly nonce: string
  readonly isSecured: boolean
  readonly silence: number
  readonly lineLimit: number
}

/** What came of a line. */
export type Step =
  | { readonly _tag: "Send"; readonly line: string }
  | {
    readonly _tag: "Greeted"
    /** The last line of the greeting, if it is this side's. */
    readonly line: string | undefined
    readonly peer: NodeInfo
    readonly silence: number
    readonly lineLimit: number
  }
  | { readonly _tag: "Refused"; readonly reason: string; readonly line: string | undefined }

export class Greeting {
  private readonly self: Identity
  /** Whom the asker wants to reach; `undefined` at the server. */
  readonly to: NodeAddress | undefined
  private mine = ""
  private theirs = ""
  private hello: Hello | undefined = undefined

  constructor(self: Identity, to: NodeAddress | undefined) {
    this.self = self
    this.to = to
  }

  /** The first line, which is the asker's. */
  begin(): string {
    return this.mine = this.helloTo(keyOf(this.to!))
  }

  take(line: string): Step {
    const parsed = parse(line)
    if (parsed?.[0] === "refused") {
      return { _tag: "Refused", reason: `it refused this node: ${describe(parsed[1])}`, line: undefined }
    }
    if (parsed?.[0] === "hello" && this.hello === undefined && isHello(parsed[1])) {
      return this.takeHello(parsed[1], line)
    }
    if (parsed?.[0] === "proof" && this.hello !== undefined) return this.takeProof(this.hello, parsed[1], parsed[2])
    return refuse("it does not speak the protocol of sessions between nodes")
  }

  private helloTo(to: string): string {
    const { address, cluster, incarnation, lineLimit, protocol, secret, silence } = this.self
    const hello: Hello = {
      name,
      protocol,
      cluster,
      from: address,
      to,
      incarnation,
      nonce: randomBytes(16).toString("base64url"),
      isSecured: secret !== undefined,
      silence,
      lineLimit
    }
    return JSON.stringify(["hello", hello])
  }

  private takeHello(hello: Hello, line: string): Step {
    const reason = this.reasonAgainst(hello)
    if (reason !== undefined) return refuse(reason)
    this.hello = hello
    this.theirs = line
    if (this.to !== undefined) return { _tag: "Send", line: this.proof() }
    return { _tag: "Send", line: this.mine = this.helloTo(keyOf(hello.from)) }
  }

  private reasonAgainst(hello: Hello): string | undefined {
    const { self, to } = this
    const own = keyOf(self.address)
    const from = keyOf(hello.from)
    if (hello.protocol !== self.protocol) {
      return `its protocol has the number ${hello.protocol}, the protocol of ${own} the number ${self.protocol}`
    }
    if (hello.cluster !== self.cluster) {
      return `it belongs to the cluster ${describe(hello.cluster)}, ${own} to the cluster ${describe(self.cluster)}`
    }
    if (hello.incarnation === self.incarnation || from === own) return `${own} does not connect to itself`
    if (hello.to !== own) return `it wanted to reach ${describe(hello.to)}, this is ${own}`
    if (to !== undefined && from !== keyOf(to)) return `${keyOf(to)} was to be reached, ${describe(from)} has answered`
    if (hello.isSecured !== (self.secret !== undefined)) {
      return hello.isSecured ? `it has a secret, ${own} has none` : `it has no secret, ${own} has one`
    }
    return undefined
  }

  private takeProof(hello: Hello, features: Json, mac: unknown): Step {
    if (!isSame(mac, this.macOf(this.to === undefined, features))) return refuse("its secret is another one")
    return {
      _tag: "Greeted",
      line: this.to === undefined ? this.proof() : undefined,
      peer: { address: hello.from, incarnation: hello.incarnation, features },
      silence: Math.min(hello.silence, this.self.silence),
      lineLimit: Math.min(hello.lineLimit, this.self.lineLimit)
    }
  }

  private proof(): string {
    const { features } = this.self
    return JSON.stringify(["proof", features, this.macOf(this.to !== undefined, features)])
  }

  /** The proof of the asker, or of the server; an empty one without a secret. */
  private macOf(ofAsker: boolean, features: Json): string {
    const { self: { secret }, theirs, mine, to } = this
    if (secret === undefined) return ""
    const hellos = to === undefined ? [theirs, mine] : [mine, theirs]
    const text = JSON.stringify([ofAsker ? "asker" : "server", ...hellos, features])
    return createHmac("sha256", secret).update(text).digest("base64url")
  }
}

/** The features as a peer reads them; `undefined` when they are not JSON, or too long. */
export const readableFeatures = (features: Json): { readonly value: Json } | undefined => {
  try {
    const text = JSON.stringify(features)
    if (Buffer.byteLength(text) > greetingLimit / 2) return undefined
    const value: Json = JSON.parse(text)
    return isDeeper(value, deepest - 1) ? undefined : { value }
  } catch {
    return undefined
  }
}

/** How deep a line of the greeting may be nested. */
const deepest = 32

const parse = (line: string): ReadonlyArray<unknown> | undefined => {
  try {
    const value: unknown = JSON.parse(line)
    return Array.isArray(value) && !isDeeper(value, deepest) ? value : undefined
  } catch {
    return undefined
  }
}

const refuse = (reason: string): Step => ({ _tag: "Refused", reason, line: JSON.stringify(["refused", reason]) })

const isHello = (value: unknown): value is Hello => {
  if (typeof value !== "object" || value === null) return false
  const hello = value as Record<keyof Hello, unknown>
  return hello.name === name
    && typeof hello.protocol === "number"
    && typeof hello.cluster === "string"
    && isAddress(hello.from)
    && typeof hello.to === "string"
    && typeof hello.incarnation === "string"
    && typeof hello.nonce === "string"
    && typeof hello.isSecured === "boolean"
    && isAmount(hello.silence, leastSilence)
    && isAmount(hello.lineLimit, leastLine)
}

const isAddress = (value: unknown): value is NodeAddress =>
  typeof value === "object" && value !== null
  && "host" in value && typeof value.host === "string"
  && "port" in value && typeof value.port === "number"

const isAmount = (value: unknown, least: number): value is number =>
  typeof value === "number" && value >= least && Number.isFinite(value)

const isSame = (given: unknown, expected: string): boolean => {
  if (typeof given !== "string") return false
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
