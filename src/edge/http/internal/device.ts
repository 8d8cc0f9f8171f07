/**
 * What a session notes about the device that its cookie was given to, in its metadata.
 */
import type { SessionInfo } from "../../../contract/SessionRef.ts"

export interface Device {
  /** What the cookie must say to be this session's. */
  readonly ticket: string
  /** The ticket before the last rotation, and when that was, in milliseconds since 1970. */
  readonly previous: string | undefined
  readonly rotatedAt: number
  /** Where the device was last seen, and what it said it is. */
  readonly address: string | undefined
  readonly agent: string | undefined
}

const key = "effect-sessions/device"

export const toMetadata = (device: Device): Readonly<Record<string, unknown>> => ({ [key]: device })

export const fromInfo = ({ metadata }: SessionInfo): Device | undefined => metadata[key] as Device | undefined
