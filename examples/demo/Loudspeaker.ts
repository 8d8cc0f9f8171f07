/**
 * The loudspeaker: reaches all visits that can hear, and what they make of it.
 */
import { Groups } from "effect-sessions"
import { Hearing } from "./Hearing.ts"

/** How many announcements are kept that nobody has dismissed. */
const most = 3

export const HearingLayer = Hearing.toLayer(
  Hearing.behavior({
    init: () => ({ you: null, announcements: [] }),
    handlers: {
      Recognise: ({ payload: you, state }) => [{ ...state, you }],
      Announce: ({ payload, state }) => [{ ...state, announcements: [...state.announcements, payload].slice(-most) }],
      Dismiss: ({ payload: { id }, state }) => [
        { ...state, announcements: state.announcements.filter((announcement) => announcement.id !== id) }
      ]
    }
  }),
  {
    idleTimeout: "Infinity",
    reconnectWindow: "1 minute",
    limitStarts: false,
    // Whoever is busy hears the newest.
    overflow: { Announce: "dropOldest" },
    // An operator who cannot stop is not heard any more.
    messageRate: { limit: 50, window: "10 seconds" }
  }
)

/** Reaches all who can hear. */
export class Loudspeaker extends Groups.Service<Loudspeaker>()("Loudspeaker", { members: Hearing }) {}

export const LoudspeakerLayer = Groups.layer(Loudspeaker)
