/**
 * What a session remembers of the actions that clients sent with a number, so that none is handled twice.
 */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { ActionForgotten, ActionOutOfOrder, type OnceError, SessionEnded } from "../../../contract/SessionError.ts"
import type { OnceOptions } from "../../../contract/SessionRef.ts"

/** What a snapshot has of the actions of one client. */
export interface StoredClient {
  readonly client: string
  /** The number of its last action. */
  readonly last: number
  readonly answers: ReadonlyArray<{ readonly sequence: number; readonly tag: string; readonly exit: unknown }>
}

/** The end of the session that left an action without its answer. */
const endedWith = (exit: Exit.Exit<any, any>): SessionEnded | undefined => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  return error instanceof SessionEnded ? error : undefined
}

/** An action that the session has accepted, and its answer once there is one. */
export class Reply {
  readonly tag: string
  /** Whose it is, and its number. */
  owner: ClientActions | undefined = undefined
  sequence = 0
  exit: Exit.Exit<any, any> | undefined = undefined
  /** The answer, from when it is known; it is given when what it tells of is written. */
  decided: Exit.Exit<any, any> | undefined = undefined
  private readonly waiters = new Set<(exit: Exit.Exit<any, any>) => void>()
  /** What is kept of the answer, and of which one that was made. */
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

  /** The answer as it is kept: made once, however often the session is saved. */
  encoded(answer: Exit.Exit<any, any>, encode: (tag: string, exit: Exit.Exit<any, any>) => unknown): unknown {
    if (this.storedOf !== answer) {
      this.storedOf = answer
      this.stored = encode(this.tag, answer)
    }
    return this.stored
  }

  /** Calls back with the answer, unless that is cancelled with the function that it gives. */
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
  /** The last ones, by number. */
  readonly actions: Map<number, Reply>
}

/** How many clients' worth of answers are kept besides the last one of each client. */
const fullClients = 16

export class ReplyCache {
  private readonly limits: { readonly answers: number; readonly clients: number }
  /** The one that sent nothing for longest comes first. */
  private readonly clients = new Map<string, ClientActions>()
  /** Those that are not the last one of their clients, the oldest first. */
  private readonly older = new Set<Reply>()

  /** The epoch from which on no client was forgotten, through all incarnations since; `Infinity` once one was. */
  private complete: number
  /** The epoch in which this memory began. */
  private readonly began: number
  /** How many actions were accepted since, and how many had been when the last one of a client was that is forgotten. */
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

  /** The action if it was accepted before, `undefined` if it is the client's next, or why it is neither. */
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
   * Is this certainly the first time that the action of an unknown client comes? One that is sent again may have come
   * to an earlier incarnation whose memory this one does not have, or before the client was forgotten.
   *
   * It did not come to this memory if no client was forgotten, or none whose last action was accepted after the client knew
   * how many were: had this one been accepted, it was later than that.
   */
  private findNew({ accepted, again, epoch = -1, sequence }: OnceOptions, current: number): OnceError | undefined {
    if (sequence === 1 && again !== true) return undefined
    const isLater = accepted !== undefined && accepted >= this.forgotten && epoch >= this.began
    if (again === true && epoch <= current && (isLater || epoch >= this.complete)) {
      if (sequence === 1) return undefined
      // What came before it is forgotten, so it cannot go on from there.
      if (isLater) return ActionOutOfOrder.of(sequence, 1)
    }
    return ActionForgotten.of(sequence)
  }

  /** Notes the client's next action. Nothing is forgotten for it before it is accepted. */
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

  /** The client's last action was not accepted after all. */
  withdraw({ client, sequence }: OnceOptions): void {
    const known = this.clients.get(client)!
    known.last = sequence - 1
    known.actions.delete(sequence)
    const before = known.actions.get(known.last)
    if (before !== undefined) this.older.delete(before)
    known.acceptedAt = --this.accepted
    if (sequence === 1) this.clients.delete(client)
  }

  /** Forgets what the accepted action has no room beside it. */
  forget({ client, sequence }: OnceOptions): void {
    const { answers, clients } = this.limits
    const oldest = this.clients.get(client)?.actions.get(sequence - answers)
    if (oldest !== undefined) this.drop(oldest)
    for (const action of this.older) {
      // What is under way is not forgotten; nor is what came after it, which is under way, too.
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
   * What is kept in a snapshot. What has no answer yet, or never began, is no part of the state there: it can be sent
   * again. What was begun and did not come to its end is known to have come, without an answer.
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

  /** Remembers what a snapshot has kept. */
  restore(clients: ReadonlyArray<StoredClient>): void {
    for (const { answers, client, last } of clients) {
      const known: ClientActions = { last: 0, acceptedAt: 0, actions: new Map() }
      for (const { exit, sequence, tag } of answers) {
        // It could not be read any more: that the action came is known.
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
