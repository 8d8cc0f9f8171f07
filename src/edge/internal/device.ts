/**
 * What a session stores in its metadata about its cookie and the device that has it. These are separate entries, so that
 * writing one of them cannot undo a concurrent rotation.
 */
import type * as Clock from "effect/Clock"
import { randomUUID } from "node:crypto"
import type { SessionInfo } from "../../contract/SessionRef.ts"

/**
 * A point in time that other processes can read. Within one process, two moments are compared by its monotonic clock; between
 * processes there is only the date, so that their clocks should agree to within the grace of a rotation.
 */
export interface Moment {
  /** Milliseconds since 1970. */
  readonly date: number
  /** Milliseconds of the monotonic clock of the process that noted it. */
  readonly time: number
  readonly process: string
}

/** The address and the `User-Agent` of the latest request. */
export interface Device {
  readonly address: string | undefined
  readonly agent: string | undefined
}

/** The latest replacement of a ticket. */
export interface Rotation extends Moment {
  /** The ticket that was replaced. */
  readonly from: string
  /** The client whose connections stay; `undefined`: none. */
  readonly keeps: Device | undefined
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

/** The milliseconds between two moments. */
const between = (earlier: Moment, later: Moment): number =>
  earlier.process === later.process ? later.time - earlier.time : later.date - earlier.date

/** The ticket that the cookie of this session must have. */
export const noteTicket = (ticket: string): Readonly<Record<string, unknown>> => ({ [ticketKey]: ticket })

/** When and how the ticket was last replaced. */
export const noteRotation = (rotation: Rotation): Readonly<Record<string, unknown>> => ({ [rotationKey]: rotation })

export const noteDevice = (device: Device): Readonly<Record<string, unknown>> => ({ [deviceKey]: device })

export type Noting = Pick<SessionInfo, "metadata">

export const ticketOf = ({ metadata }: Noting): string | undefined => metadata[ticketKey] as string | undefined

export const deviceOf = ({ metadata }: Noting): Device | undefined => metadata[deviceKey] as Device | undefined

export const rotationOf = ({ metadata }: Noting): Rotation | undefined => metadata[rotationKey] as Rotation | undefined

export const isSameDevice = (one: Device | undefined, other: Device): boolean =>
  one?.address === other.address && one?.agent === other.agent

/** Whether the ticket was replaced after this moment, or at most `grace` milliseconds before. */
export const isRotatedSince = (noting: Noting, since: Moment, grace: number): boolean => {
  const rotated = rotationOf(noting)
  return rotated !== undefined && between(rotated, since) < grace
}
