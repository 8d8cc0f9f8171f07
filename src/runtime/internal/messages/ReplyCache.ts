/**
 * The replies to the numbered actions of clients, so that no action is handled twice: see `SessionRef.callOnce`.
 */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { ActionForgotten, ActionOutOfOrder, type OnceError, SessionEnded } from "../../../contract/SessionError.ts"
import type { OnceOptions } from "../../../contract/SessionRef.ts"

/** The actions of one client, in a snapshot. */
export interface StoredClient {
  readonly client: string
  /** The number of its last action. */
  readonly last: number
  readonly answers: ReadonlyArray<{ readonly sequence: number; readonly tag: string; readonly exit: unknown }>
}

/** The error, if the end of the session left the action without a reply. */
const endedWith = (exit: Exit.Exit<any, any>): SessionEnded | undefined => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  return error instanceof SessionEnded ? error : undefined
}

/** An accepted action, and its reply once there is one. */
export class Reply {
  readonly tag: string
  /** The client of the action, and its number. */
  owner: ClientActions | undefined = undefined
  sequence = 0
  exit: Exit.Exit<any, any> | undefined = undefined
  /** The reply once it is known. It is sent when the changes behind it are written. */
  decided: Exit.Exit<any, any> | undefined = undefined
  private readonly waiters = new Set<(exit: Exit.Exit<any, any>) => void>()
  /** The encoded reply, and the reply from which it was encoded. */
  private stored: unknown = undefined
  private storedOf: Exit.Exit<any, any> | undefined = undefined

  constructor(tag: string) {
    this.tag = tag
  }

  settle(exit: Exit.Exit<any, any>): void {
    this.exit = this.decided = exit
    const waiters = Array.from(this.waiters)
    this.waiters.clear()
    for (const waiter of waiters) waiter(exit)
  }

  /** The encoded reply: encoded once, however often the session is saved. */
  encoded(answer: Exit.Exit<any, any>, encode: (tag: string, exit: Exit.Exit<any, any>) => unknown): unknown {
    if (this.storedOf !== answer) {
      this.storedOf = answer
      this.stored = encode(this.tag, answer)
    }
    return this.stored
  }

  /** Calls back with the reply. Returns the function that cancels that. */
  await(waiter: (exit: Exit.Exit<any, any>) => void): () => void {
    this.waiters.add(waiter)
    return () => {
      this.waiters.delete(waiter)
    }
  }
}

interface ClientActions {
  /** The number of the last accepted action. */
  last: number
  /** How many actions the session had accepted by then. */
  acceptedAt: number
  /** The last actions, by number. */
  readonly actions: Map<number, Reply>
}

/** The cache holds the last reply of each client, and this many times `remember.answers` older replies in all. */
const fullClients = 16

export class ReplyCache {
  private readonly limits: { readonly answers: number; readonly clients: number }
  /** The client that sent nothing for longest comes first. */
  private readonly clients = new Map<string, ClientActions>()
  /** The replies that are not the last of their client, the oldest first. */
  private readonly older = new Set<Reply>()

  /** The epoch since which no client was forgotten, across incarnations; `Infinity` once one was. */
  private complete: number
  /** The epoch in which this cache began. */
  private readonly began: number
  /** How many actions were accepted since it began; and, of these, up to the last action of a forgotten client. */
  accepted = 0
  private forgotten = 0

  constructor(limits: { readonly answers: number; readonly clients: number }, complete: number, began: number) {
    this.limits = limits
    this.complete = complete
    this.began = began
  }

  get since(): number {
    return this.complete
  }

  /** The reply, if the action was accepted before; `undefined` if it is the client's next action; an error otherwise. */
  find(once: OnceOptions, epoch: number): Reply | OnceError | undefined {
    const { client, sequence } = once
    const known = this.clients.get(client)
    if (known === undefined) return this.findNew(once, epoch)
    this.clients.delete(client)
    this.clients.set(client, known)
    if (sequence === known.last + 1) return undefined
    if (sequence > known.last) return ActionOutOfOrder.of(sequence, known.last + 1)
    return known.actions.get(sequence) ?? ActionForgotten.of(sequence)
  }

  /**
   * Decides whether the action of an unknown client certainly comes for the first time. An action that is sent again may have
   * been accepted before its client was forgotten, or by an earlier incarnation whose cache this one does not have.
   *
   * This cache has not accepted it if no client was forgotten. Nor has it if the client knew the count of accepted actions
   * (`accepted`) when it first sent this one, and the last action of every forgotten client comes before that count.
   */
  private findNew({ accepted, again, epoch = -1, sequence }: OnceOptions, current: number): OnceError | undefined {
    if (sequence === 1 && again !== true) return undefined
    const isLater = accepted !== undefined && accepted >= this.forgotten && epoch >= this.began
    if (again === true && epoch <= current && (isLater || epoch >= this.complete)) {
      if (sequence === 1) return undefined
      // The actions before it are forgotten, so the client must begin with 1.
      if (isLater) return ActionOutOfOrder.of(sequence, 1)
    }
    return ActionForgotten.of(sequence)
  }

  /** Adds the client's next action. Others are forgotten for it only once it is accepted: see `forget`. */
  add({ client, sequence }: OnceOptions, action: Reply): void {
    let known = this.clients.get(client)
    if (known === undefined) this.clients.set(client, known = { last: 0, acceptedAt: 0, actions: new Map() })
    this.put(known, sequence, action)
    known.acceptedAt = ++this.accepted
  }

  private put(known: ClientActions, sequence: number, action: Reply): void {
    const before = known.actions.get(known.last)
    if (before !== undefined) this.older.add(before)
    known.last = sequence
    known.actions.set(sequence, action)
    action.owner = known
    action.sequence = sequence
  }

  /** Removes the client's last action, which was refused. */
  withdraw({ client, sequence }: OnceOptions): void {
    const known = this.clients.get(client)!
    known.last = sequence - 1
    known.actions.delete(sequence)
    const before = known.actions.get(known.last)
    if (before !== undefined) this.older.delete(before)
    known.acceptedAt = --this.accepted
    if (sequence === 1) this.clients.delete(client)
  }

  /** Makes room for the accepted action: forgets the oldest replies and clients beyond the limits. */
  forget({ client, sequence }: OnceOptions): void {
    const { answers, clients } = this.limits
    const oldest = this.clients.get(client)?.actions.get(sequence - answers)
    if (oldest !== undefined) this.drop(oldest)
    for (const action of this.older) {
      // An action under way is not forgotten, nor are later ones, which are under way as well.
      if (this.older.size <= fullClients * answers || action.decided === undefined) break
      this.drop(action)
    }
    for (const [name, known] of this.clients) {
      if (this.clients.size <= clients) return
      this.clients.delete(name)
      for (const action of known.actions.values()) this.older.delete(action)
      this.complete = Infinity
      this.forgotten = Math.max(this.forgotten, known.acceptedAt)
    }
  }

  private drop(action: Reply): void {
    this.older.delete(action)
    action.owner!.actions.delete(action.sequence)
  }

  /**
   * Encodes the cache for a snapshot. An action without a reply, or one that never began, has not changed the stored state: its
   * client can send it again. An action that began and did not finish is stored without a reply.
   */
  encode(encode: (tag: string, exit: Exit.Exit<any, any>) => unknown): Array<StoredClient> {
    return Array.from(this.clients, ([client, { actions, last }]) => {
      const answers: Array<StoredClient["answers"][number]> = []
      for (const [sequence, action] of actions) {
        const { decided, tag } = action
        const ended = decided === undefined ? undefined : endedWith(decided)
        if (decided === undefined || ended?.begun === false) return { client, last: sequence - 1, answers }
        const exit = ended === undefined ? action.encoded(decided, encode) : undefined
        if (exit !== undefined) answers.push({ sequence, tag, exit })
      }
      return { client, last, answers }
    }).filter(({ last }) => last > 0)
  }

  /** Restores the actions of a snapshot. */
  restore(clients: ReadonlyArray<StoredClient>): void {
    for (const { answers, client, last } of clients) {
      const known: ClientActions = { last: 0, acceptedAt: 0, actions: new Map() }
      for (const { exit, sequence, tag } of answers) {
        // The reply cannot be decoded any more. That the action was accepted is still known.
        if (exit === undefined) continue
        const action = new Reply(tag)
        action.exit = action.decided = exit as Exit.Exit<any, any>
        this.put(known, sequence, action)
      }
      known.last = last
      this.clients.set(client, known)
    }
  }
}
