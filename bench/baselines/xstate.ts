/**
 * How does XState compare? One actor for each session, in a Map. Its actors handle an event on the stack of the sender and
 * have no replies, so a request carries a callback for the answer.
 */
import { Effect } from "effect"
import { type Actor, createActor, fromTransition } from "xstate"
import type { Subject } from "../Subject.ts"

interface State {
  readonly user_id: number
  readonly count: number
  readonly theme: string
}

type Message =
  | { readonly type: "put"; readonly value: number }
  | { readonly type: "get"; readonly reply: (state: State) => void }

// A stopped actor gets an internal event, which is neither of the two.
const logic = fromTransition((state: State, message: Message) => {
  if (message.type === "put") return { ...state, count: message.value }
  if (message.type === "get") message.reply(state)
  return state
}, { user_id: 42, count: 0, theme: "dark" })

const subject: Subject = {
  name: "XState",
  effort: 0.5,
  open: Effect.sync(() => {
    const actors = new Map<string, Actor<typeof logic>>()
    const call = (id: string) =>
      new Promise<State>((reply, reject) => {
        const actor = actors.get(id)
        if (actor === undefined) reject(new Error(`no actor ${id}`))
        else actor.send({ type: "get", reply })
      })
    return {
      create: {
        type: "function",
        run: (id) => {
          const actor = createActor(logic, { id })
          actor.start()
          actors.set(id, actor)
        }
      },
      call: { type: "promise", run: call, accept: (state: State) => state.user_id === 42 },
      cast: { type: "function", run: (id) => actors.get(id)!.send({ type: "put", value: 1 }) },
      lookup: { type: "function", run: (id) => actors.get(id), accept: (actor) => actor !== undefined },
      end: {
        type: "function",
        run: (id) => {
          actors.get(id)!.stop()
          actors.delete(id)
        }
      },
      broadcast: Effect.sync(() => {
        for (const actor of actors.values()) actor.send({ type: "put", value: 1 })
      }),
      callMissing: { type: "promise", run: (id) => call(id).catch((error) => error) },
      count: Effect.sync(() => actors.size)
    }
  })
}

export default subject
