/**
 * The loudspeaker: a group of all hearings, and how a hearing handles announcements.
 */
import { Groups } from "effect-sessions"
import { Hearing } from "./Hearing.ts"

/** How many announcements that were not dismissed a hearing holds. */
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
    // A busy hearing gets the newest announcements.
    overflow: { Announce: "dropOldest" },
    // An operator that announces too much is ignored.
    messageRate: { limit: 50, window: "10 seconds" }
  }
)

/** Sends an announcement to all hearings. */
export class Loudspeaker extends Groups.Service<Loudspeaker>()("Loudspeaker", { members: Hearing }) {}

export const LoudspeakerLayer = Groups.layer(Loudspeaker)
