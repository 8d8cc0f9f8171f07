/**
 * Encodes a session as a snapshot, and decodes it: its state by the kind's schema, and all else that outlives the process.
 * Migrations bring the states of older formats up to the present one.
 */
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import type { Migration } from "../../../contract/Migration.ts"
import type * as Session from "../../../contract/Session.ts"
import { SessionCrashed } from "../../../contract/SessionError.ts"
import type { Snapshot } from "../../../contract/SnapshotStore.ts"
import { describe } from "../../../internal/describe.ts"
import { fromJson, toJson } from "../../../internal/jsonCodec.ts"
import type { StoredClient } from "../messages/ReplyCache.ts"
import type { LiveSession } from "../session/LiveSession.ts"

/** A timer in a snapshot. */
interface StoredTimer {
  readonly key: string | null
  readonly tag: string
  readonly payload: unknown
  /** When it is due, in milliseconds since 1970. */
  readonly at: number
  /** Its interval in milliseconds; 0: it is due once. */
  readonly every: number
}

/** The content of a snapshot's body. Dates are milliseconds since 1970. */
interface Text {
  readonly state: unknown
  readonly startedAt: number
  readonly lastActiveAt: number
  readonly idleTimeout: number | null
  readonly user: string | null
  readonly metadata: Readonly<Record<string, unknown>>
  readonly timers: ReadonlyArray<StoredTimer>
  readonly clients: ReadonlyArray<StoredClient>
  /** The epoch since which no client was forgotten; `null`: one was. */
  readonly remembersSince?: number | null
  /** The arguments of its start, if a reset needs them. */
  readonly args?: unknown
  /** Timers that an earlier program could not read, unchanged. */
  readonly quarantine?: ReadonlyArray<unknown>
}

/** A decoded snapshot, with durations in milliseconds in place of dates. */
export interface StoredSession extends Omit<Text, "lastActiveAt" | "timers" | "quarantine"> {
  /** Since its start. */
  readonly age: number
  /** Since it was active. */
  readonly idle: number
  readonly timers: ReadonlyArray<Omit<StoredTimer, "at"> & { readonly delay: number }>
  /** Timers that this program cannot read, unchanged. */
  readonly quarantine: ReadonlyArray<unknown>
}

const Body = Schema.Struct({
  state: Schema.Unknown,
  startedAt: Schema.Number,
  lastActiveAt: Schema.Number,
  idleTimeout: Schema.NullOr(Schema.Number),
  user: Schema.NullOr(Schema.String),
  metadata: Schema.Record(Schema.String, Schema.Unknown),
  timers: Schema.Array(Schema.Unknown),
  quarantine: Schema.optionalKey(Schema.Array(Schema.Unknown)),
  clients: Schema.Array(Schema.Struct({
    client: Schema.String,
    last: Schema.Number,
    answers: Schema.Array(Schema.Struct({ sequence: Schema.Number, tag: Schema.String, exit: Schema.Unknown }))
  })),
  remembersSince: Schema.optionalKey(Schema.NullOr(Schema.Number)),
  args: Schema.optionalKey(Schema.Unknown)
})

const decodeTimer = Schema.decodeUnknownSync(Schema.Struct({
  key: Schema.NullOr(Schema.String),
  tag: Schema.String,
  payload: Schema.Unknown,
  at: Schema.Number,
  every: Schema.Number
}))

/** What a timer is called that cannot be read. */
const nameOf = (timer: unknown): string =>
  `a timer of ${typeof timer === "object" && timer !== null && "tag" in timer ? String(timer.tag) : "no message"}`

/** What a caller gets whose message crashed the session: no message declares it. */
const Crashed = Schema.Struct({ crashed: SessionCrashed })
const encodeCrashed = toJson(Crashed)
const decodeCrashed = fromJson(Crashed)
const isCrashed = Schema.is(SessionCrashed)

/** What stands for an idle timeout that never passes; `null`: the kind's counts. */
const never = -1

const finite = (time: number): number | null => time === Infinity ? null : time

/** The last date that `Date` can represent, in milliseconds since 1970. */
const lastDate = 8.64e15

/** A date for the store: a whole number, rounded up. `null`: never. */
const toDate = (time: number): number | null => time > lastDate ? null : Math.ceil(time)

/** Called for each part of a snapshot that could not be encoded or decoded, and was left out. */
export type LeftOut = (part: string, defect: unknown, text: unknown) => void

/** The error that reports such a part. */
export const leftOutOf = (kind: string, id: string, part: string, defect: unknown): Error =>
  new Error(`${part} was left out of the snapshot of ${kind}/${id}: ${describe(defect)}`, { cause: defect })

/** How a message's payload and reply are stored. */
interface MessageCodec {
  readonly encodePayload: (payload: unknown) => unknown
  readonly decodePayload: (json: unknown) => unknown
  readonly encodeExit: (exit: Exit.Exit<unknown, unknown>) => unknown
  readonly decodeExit: (json: unknown) => Exit.Exit<unknown, unknown>
}

/** Converts all parts; those that cannot be converted are left out. */
const parts = <A, B>(
  all: Iterable<A>,
  leftOut: LeftOut,
  name: (part: A) => string,
  convert: (part: A) => B
): Array<B> => {
  const converted: Array<B> = []
  for (const part of all) {
    try {
      converted.push(convert(part))
    } catch (defect) {
      leftOut(name(part), defect, part)
    }
  }
  return converted
}

export class SnapshotCodec {
  /** The present format of the state. */
  readonly format: number
  private readonly migrations: ReadonlyArray<Migration>
  private readonly encodeState: (state: unknown) => unknown
  private readonly decodeState: (json: unknown) => unknown
  private readonly isState: (state: unknown) => boolean
  private readonly encodeArgs: (args: unknown) => unknown
  private readonly decodeArgs: (json: unknown) => unknown
  private readonly messages: ReadonlyMap<string, MessageCodec>
  private readonly decodeBody = Schema.decodeUnknownSync(Body)

  constructor(definition: Session.Any, migrations: ReadonlyArray<Migration>) {
    this.migrations = migrations
    this.format = migrations.length + 1
    this.encodeState = toJson(definition.state)
    this.decodeState = fromJson(definition.state)
    this.isState = Schema.is(definition.state)
    this.encodeArgs = toJson(definition.args)
    this.decodeArgs = fromJson(definition.args)
    this.messages = new Map(
      Array.from(definition.protocol, ([tag, message]) => {
        const { payloadSchema } = message as Rpc.AnyWithProps
        const exitSchema = Rpc.exitSchema(message as Rpc.Any)
        return [tag, {
          encodePayload: toJson(payloadSchema),
          decodePayload: fromJson(payloadSchema),
          encodeExit: toJson(exitSchema),
          decodeExit: fromJson(exitSchema)
        }] as const
      })
    )
  }

  /** The session as it is now. Throws when its state does not fit its schema; any other part that does not fit is left out. */
  encode(session: LiveSession, leftOut: LeftOut): Snapshot {
    // All dates are derived from the monotonic clock, by the machine's clock as it is now.
    const savedAt = session.host.dateOf(session.host.now())
    const { claimed: epoch, extras, host, id, kind: { name: kind }, version, versionsBefore } = session
    const timers = parts(
      extras?.timers ?? [],
      leftOut,
      ({ route: { tag } }) => `a timer of ${tag}`,
      (timer): StoredTimer => ({
        key: typeof timer.key === "string" ? timer.key : null,
        tag: timer.route.tag,
        payload: this.messages.get(timer.route.tag)!.encodePayload(timer.payload),
        at: host.dateOf(timer.next),
        every: timer.every
      })
    )
    const args = parts(
      extras?.args === undefined ? [] : [extras.args],
      leftOut,
      () => "the arguments of its start",
      this.encodeArgs
    )
    const body: Text = {
      state: this.encodeState(session.state),
      startedAt: session.startedAt,
      lastActiveAt: host.dateOf(session.lastActiveAt),
      idleTimeout: extras?.idleTimeout === undefined ? null : finite(extras.idleTimeout) ?? never,
      user: session.user ?? null,
      metadata: session.metadata,
      timers,
      clients: extras?.replies?.encode((tag, exit) => this.encodeExit(tag, exit)) ?? [],
      remembersSince: finite(session.remembersSince),
      ...args.length === 0 ? undefined : { args: args[0] },
      ...extras?.quarantine === undefined ? undefined : { quarantine: extras.quarantine }
    }
    return {
      kind,
      id,
      epoch,
      version: versionsBefore + Math.max(0, version),
      format: this.format,
      body: JSON.stringify(body),
      savedAt: Math.floor(savedAt),
      expiresAt: toDate(host.dateOf(host.expiry.expiresAt(session))),
      user: session.user ?? null,
      alarmAt: toDate(host.dateOf(extras?.timers?.next ?? Infinity))
    }
  }

  /**
   * Decodes a snapshot at this date. Throws when its state cannot be read; any other part that cannot be read is left out.
   * Timers that are left out stay in the snapshots' own quarantine until a program can read them.
   */
  decode({ body, format, savedAt }: Snapshot, date: number, leftOut: LeftOut): StoredSession {
    const { args, lastActiveAt, quarantine: unread = [], timers, ...stored } = this.decodeBody(JSON.parse(body))
    const quarantine: Array<unknown> = []
    const quarantined: LeftOut = (part, defect, text) => {
      quarantine.push(text)
      leftOut(part, defect, text)
    }
    // If it seems to be written in the future, the machine's clock was set back.
    const now = Math.max(date, savedAt)
    return {
      ...stored,
      idleTimeout: stored.idleTimeout === never ? Infinity : stored.idleTimeout,
      quarantine,
      age: Math.max(0, now - stored.startedAt),
      idle: Math.max(0, now - lastActiveAt),
      state: this.migrate(stored.state, format),
      timers: parts([...timers, ...unread], quarantined, nameOf, (text) => {
        const { at, every, key, payload, tag } = decodeTimer(text)
        return { key, tag, payload: this.message(tag).decodePayload(payload), every, delay: at - now }
      }),
      clients: stored.clients.map((client) => ({
        ...client,
        answers: client.answers.map((answer) => ({ ...answer, exit: this.decodeExit(answer.tag, answer.exit) }))
      })),
      args: parts(args === undefined ? [] : [args], leftOut, () => "the arguments of its start", this.decodeArgs)[0]
    }
  }

  /** A reply as JSON; `undefined` when it does not fit its schema: the session is stored without it. */
  private encodeExit(tag: string, exit: Exit.Exit<unknown, unknown>): unknown {
    const error = Option.getOrUndefined(Exit.findErrorOption(exit))
    try {
      return isCrashed(error) ? encodeCrashed({ crashed: error }) : this.messages.get(tag)!.encodeExit(exit)
    } catch {
      return undefined
    }
  }

  /** A reply; `undefined` when this program cannot read it. */
  private decodeExit(tag: string, json: unknown): Exit.Exit<unknown, unknown> | undefined {
    try {
      return typeof json === "object" && json !== null && "crashed" in json
        ? Exit.fail(decodeCrashed(json).crashed)
        : this.message(tag).decodeExit(json)
    } catch {
      return undefined
    }
  }

  private message(tag: string): MessageCodec {
    const message = this.messages.get(tag)
    if (message === undefined) throw new Error(`there is no message ${tag} any more`)
    return message
  }

  private migrate(state: unknown, format: number): unknown {
    if (format === this.format) return this.decodeState(state)
    const first = this.migrations[format - 1]
    if (first === undefined) throw new Error(`its format ${format} is not known: the present one is ${this.format}`)
    let migrated: unknown = fromJson(first.from)(state)
    for (const migration of this.migrations.slice(format - 1)) migrated = migration.up(migrated)
    if (!this.isState(migrated)) throw new Error("the migrations did not give a state that fits")
    return migrated
  }
}
