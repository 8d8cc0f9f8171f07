/**
 * How does nact compare? One actor for each session under one system, in a Map. Its actors handle a message in the next
 * turn of the event loop, and `query` waits for an answer.
 */
import { Effect } from "effect"
import { dispatch, query, type Ref, spawn, start, stop } from "nact"
import type { Subject } from "../Subject.ts"

interface State {
  readonly user_id: number
  readonly count: number
  readonly theme: string
}

type Message = { readonly put: number } | { readonly replyTo: Ref<State> }

const initialState: State = { user_id: 42, count: 0, theme: "dark" }

const subject: Subject = {
  name: "nact",
  effort: 0.3,
  open: Effect.sync(() => {
    const system = start()
    const actors = new Map<string, Ref<Message>>()
    const call = (id: string): Promise<State> => {
      const actor = actors.get(id)
      return actor === undefined
        ? Promise.reject(new Error(`no actor ${id}`))
        : query(actor, (replyTo: Ref<State>) => ({ replyTo }), 30_000)
    }
    return {
      create: {
        type: "function",
        run: (id) => {
          const actor = spawn(
            system,
            (state: State = initialState, message: Message) => {
              if ("put" in message) return { ...state, count: message.put }
              dispatch(message.replyTo, state)
              return state
            },
            id
          )
          actors.set(id, actor)
        }
      },
      call: { type: "promise", run: call, accept: (state: State) => state.user_id === 42 },
      cast: { type: "function", run: (id) => dispatch(actors.get(id)!, { put: 1 }) },
      lookup: { type: "function", run: (id) => actors.get(id), accept: (actor) => actor !== undefined },
      end: {
        type: "function",
        run: (id) => {
          stop(actors.get(id)!)
          actors.delete(id)
        }
      },
      broadcast: Effect.sync(() => {
        for (const actor of actors.values()) dispatch(actor, { put: 1 })
      }),
      callMissing: { type: "promise", run: (id) => call(id).catch((error) => error) },
      count: Effect.sync(() => actors.size)
    }
  })
}

export default subject
