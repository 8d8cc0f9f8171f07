/**
 * What a session remembers of the actions that clients sent with a number, so that none is handled twice.
 */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { ActionForgotten, ActionOutOfOrder, type OnceError, SessionEnded } from "../../contract/SessionError.ts"
import type { OnceOptions } from "../../contract/SessionRef.ts"
import type { KeptClient } from "./snapshots/SnapshotCodec.ts"

/** The end of the session that left an action without its answer. */
const endedWith = (exit: Exit.Exit<any, any>): SessionEnded | undefined => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  return error instanceof SessionEnded ? error : undefined
}

/** An action that the session has accepted, and its answer once there is one. */
export class Action {
  readonly tag: string
  exit: Exit.Exit<any, any> | undefined = undefined
  /** The answer, from when it is known; it is given when what it tells of is written. */
  decided: Exit.Exit<any, any> | undefined = undefined
  private readonly waiters = new Set<(exit: Exit.Exit<any, any>) => void>()

  constructor(tag: string) {
    this.tag = tag
  }

  settle(exit: Exit.Exit<any, any>): void {
    this.exit = this.decided = exit
    const waiters = Array.from(this.waiters)
    this.waiters.clear()
    for (const waiter of waiters) waiter(exit)
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
  /** The last ones, by number. */
  readonly actions: Map<number, Action>
}

export class Answers {
  private readonly limits: { readonly answers: number; readonly clients: number }
  /** The one that sent nothing for longest comes first. */
  private readonly clients = new Map<string, ClientActions>()

  /** The epoch from which on no client was forgotten, through all incarnations since; `Infinity` once one was. */
  private complete: number

  constructor(limits: { readonly answers: number; readonly clients: number }, complete: number) {
    this.limits = limits
    this.complete = complete
  }

  get since(): number {
    return this.complete
  }

  /** The action if it was accepted before, `undefined` if it is the client's next, or why it is neither. */
  find(once: OnceOptions, epoch: number): Action | OnceError | undefined {
    const { client, sequence } = once
    const known = this.clients.get(client)
    if (known === undefined) return this.isFirst(once, epoch) ? undefined : ActionForgotten.of(sequence)
    this.clients.delete(client)
    this.clients.set(client, known)
    if (sequence === known.last + 1) return undefined
    if (sequence > known.last) return ActionOutOfOrder.of(sequence, known.last + 1)
    return known.actions.get(sequence) ?? ActionForgotten.of(sequence)
  }

  /**
   * Is this certainly the first time that the action of an unknown client comes? One that is sent again may have come
   * to an earlier incarnation whose memory this one does not have, or before the client was forgotten.
   */
  private isFirst({ again, epoch = -1, sequence }: OnceOptions, current: number): boolean {
    return sequence === 1 && (again !== true || (epoch >= this.complete && epoch <= current))
  }

  /** Notes the client's next action. Nothing is forgotten for it before it is accepted. */
  add({ client, sequence }: OnceOptions, action: Action): void {
    let known = this.clients.get(client)
    if (known === undefined) this.clients.set(client, known = { last: 0, actions: new Map() })
    known.last = sequence
    known.actions.set(sequence, action)
  }

  /** The client's last action was not accepted after all. */
  withdraw({ client, sequence }: OnceOptions): void {
    const known = this.clients.get(client)!
    known.last = sequence - 1
    known.actions.delete(sequence)
    if (sequence === 1) this.clients.delete(client)
  }

  /** Forgets what the accepted action has no room beside it. */
  forget({ client, sequence }: OnceOptions): void {
    this.clients.get(client)?.actions.delete(sequence - this.limits.answers)
    for (const client of this.clients.keys()) {
      if (this.clients.size <= this.limits.clients) return
      this.clients.delete(client)
      this.complete = Infinity
    }
  }

  /**
   * What is kept in a snapshot. What has no answer yet, or never began, is no part of the state there: it can be sent
   * again. What was begun and did not come to its end is known to have come, without an answer.
   */
  kept(encode: (tag: string, exit: Exit.Exit<any, any>) => unknown): Array<KeptClient> {
    return Array.from(this.clients, ([client, { actions, last }]) => {
      const answers: Array<KeptClient["answers"][number]> = []
      for (const [sequence, { decided, tag }] of actions) {
        const ended = decided === undefined ? undefined : endedWith(decided)
        if (decided === undefined || ended?.begun === false) return { client, last: sequence - 1, answers }
        const exit = ended === undefined ? encode(tag, decided) : undefined
        if (exit !== undefined) answers.push({ sequence, tag, exit })
      }
      return { client, last, answers }
    }).filter(({ last }) => last > 0)
  }

  /** Remembers what a snapshot has kept. */
  recall(clients: ReadonlyArray<KeptClient>): void {
    for (const { answers, client, last } of clients) {
      const actions = new Map<number, Action>()
      for (const { exit, sequence, tag } of answers) {
        // It could not be read any more: that the action came is known.
        if (exit === undefined) continue
        const action = new Action(tag)
        action.exit = action.decided = exit as Exit.Exit<any, any>
        actions.set(sequence, action)
      }
      this.clients.set(client, { last, actions })
    }
  }
}
