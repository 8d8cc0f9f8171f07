/**
 * What a session notes, in its metadata, about the cookie it gave and the device it gave it to. The two are apart, so
 * that a request that is seen cannot undo the rotation of another.
 */
import type * as Clock from "effect/Clock"
import { randomUUID } from "node:crypto"
import type { SessionInfo } from "../../../contract/SessionRef.ts"

/** A time as others can read it, who may be in another process: by the date, if they have to. */
export interface Moment {
  /** Milliseconds since 1970. */
  readonly date: number
  /** Milliseconds of the monotonic clock of the process that noted it. */
  readonly time: number
  readonly process: string
}

/** Where the device was last seen, and what it said it is. */
export interface Device {
  readonly address: string | undefined
  readonly agent: string | undefined
}

const ticketKey = "effect-sessions/ticket"
const rotationKey = "effect-sessions/rotation"
const deviceKey = "effect-sessions/device"

const thisProcess = randomUUID()

export const moment = (clock: Clock.Clock): Moment => ({
  date: clock.currentTimeMillisUnsafe(),
  time: Number(clock.monotonicTimeNanosUnsafe()) / 1e6,
  process: thisProcess
})

/** How many milliseconds lie between two moments. */
const between = (earlier: Moment, later: Moment): number =>
  earlier.process === later.process ? later.time - earlier.time : later.date - earlier.date

/** The ticket is what the cookie must say to be this session's. */
export const noteTicket = (ticket: string): Readonly<Record<string, unknown>> => ({ [ticketKey]: ticket })

/** When it was last replaced. */
export const noteRotation = (moment: Moment): Readonly<Record<string, unknown>> => ({ [rotationKey]: moment })

export const noteDevice = (device: Device): Readonly<Record<string, unknown>> => ({ [deviceKey]: device })

type Noting = Pick<SessionInfo, "metadata">

export const ticketOf = ({ metadata }: Noting): string | undefined => metadata[ticketKey] as string | undefined

export const deviceOf = ({ metadata }: Noting): Device | undefined => metadata[deviceKey] as Device | undefined

/** Was the ticket replaced after this moment, or not longer before it than this many milliseconds? */
export const isRotatedSince = ({ metadata }: Noting, since: Moment, grace: number): boolean => {
  const rotated = metadata[rotationKey] as Moment | undefined
  return rotated !== undefined && between(rotated, since) < grace
}
