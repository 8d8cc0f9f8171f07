// How a room of the chat behaves: see docs/getting-started.md.
import { Effect } from "effect"
import type { KindOptions } from "effect-sessions"
import { Muted, Room } from "./Room.ts"

export const behavior = Room.behavior({
  init: () => ({ messages: [], muted: [] }),
  handlers: {
    Say: ({ payload: { from, text }, state }) => {
      if (state.muted.includes(from)) return Effect.fail(new Muted({ user: from }))
      const id = (state.messages.at(-1)?.id ?? 0) + 1
      return [{ ...state, messages: [...state.messages, { id, from, text }].slice(-100) }, id]
    },
    Mute: ({ payload: user, state }) => [{ ...state, muted: [...state.muted, user] }]
  }
})

export const options: KindOptions.KindOptions<"Say" | "Mute"> = {
  idleTimeout: "30 minutes",
  messageRate: { limit: 600, window: "1 minute" },
  overflow: { Say: "reject" }
}

export const RoomLayer = Room.toLayer(behavior, options)
