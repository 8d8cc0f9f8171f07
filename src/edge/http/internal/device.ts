/**
 * What a session notes, in its metadata, about the cookie it gave and the device it gave it to. The two are apart, so
 * that a request that is seen cannot undo the rotation of another.
 */
import type { SessionInfo } from "../../../contract/SessionRef.ts"

export interface Ticket {
  /** What the cookie must say to be this session's. */
  readonly ticket: string
  /** When the ticket was last replaced, in milliseconds since 1970; `-Infinity`: never. */
  readonly rotatedAt: number
}

/** Where the device was last seen, and what it said it is. */
export interface Device {
  readonly address: string | undefined
  readonly agent: string | undefined
}

const ticketKey = "effect-sessions/ticket"
const deviceKey = "effect-sessions/device"

export const noteTicket = ({ rotatedAt, ticket }: Ticket): Readonly<Record<string, unknown>> => ({
  [ticketKey]: { ticket, rotatedAt: rotatedAt === -Infinity ? null : rotatedAt }
})

export const noteDevice = (device: Device): Readonly<Record<string, unknown>> => ({ [deviceKey]: device })

export const ticketOf = ({ metadata }: SessionInfo): Ticket | undefined => {
  const noted = metadata[ticketKey] as { readonly ticket: string; readonly rotatedAt: number | null } | undefined
  return noted === undefined ? undefined : { ticket: noted.ticket, rotatedAt: noted.rotatedAt ?? -Infinity }
}

export const deviceOf = ({ metadata }: SessionInfo): Device | undefined => metadata[deviceKey] as Device | undefined
