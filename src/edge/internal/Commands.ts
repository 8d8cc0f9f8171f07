/**
 * The actions of clients: checks an action that comes as JSON, hands it to the session, and encodes the answer as JSON.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as Live from "../../contract/Live.ts"
import { ActionError, InvalidPayload, Unknown } from "../../contract/LiveError.ts"
import type { OnceOptions, SessionRef } from "../../contract/SessionRef.ts"
import { jsonCodec, toJson } from "../../internal/jsonCodec.ts"
import * as Action from "../../store/Action.ts"
import { ofCall } from "./clientErrors.ts"

/** An action as a client sends it. */
export interface Asked {
  readonly name: string
  /** JSON. */
  readonly payload: unknown
  readonly header: (name: string) => string | undefined
}

export interface Command {
  readonly decode: (payload: unknown) => Effect.Effect<unknown, Schema.SchemaError>
  /** The message of the session, and its payload. */
  readonly message: (payload: unknown) => readonly [tag: string, payload: unknown]
  readonly encodeExit: (exit: Exit.Exit<unknown, unknown>) => unknown
  readonly encodeSuccess: (value: unknown) => unknown
  readonly encodeError: (error: unknown) => unknown
}

export class Commands {
  private readonly commands: ReadonlyMap<string, Command>

  constructor(definition: Live.Any) {
    const { kind } = definition
    this.commands = new Map(
      Array.from(definition.commands, ([name, command]) => {
        const rpc = Live.commandRpc(command)
        const isMessage = kind.protocol.has(name)
        return [
          name,
          {
            decode: Schema.decodeUnknownEffect(jsonCodec(rpc.payloadSchema)),
            message: isMessage ? (payload) => [name, payload] : (payload) => ["Dispatch", Action.make(name, payload)],
            encodeExit: toJson(Rpc.exitSchema(rpc as Rpc.Any)),
            encodeSuccess: toJson(rpc.successSchema),
            encodeError: toJson(rpc.errorSchema)
          } satisfies Command
        ] as const
      })
    )
  }

  get(name: string): Command | undefined {
    return this.commands.get(name)
  }

  /** Checks an action and does it; once, if its headers identify it. */
  run(session: SessionRef<any, any>, { header, name, payload }: Asked): Effect.Effect<unknown, unknown> {
    const command = this.commands.get(name)
    if (command === undefined) return Effect.fail(Unknown.of("action", name))
    const once = readOnce(header)
    if (once === malformed) {
      return Effect.fail(
        new InvalidPayload({ name, message: "the headers do not identify the action" })
      )
    }
    return command.decode(payload ?? null).pipe(
      Effect.mapError((error) =>
        new InvalidPayload({ name, message: `${name} does not fit: ${error.message.replace(/\s+/g, " ")}` })
      ),
      Effect.flatMap((payload) => {
        const [tag, content] = command.message(payload)
        return Effect.mapError(
          once === undefined ? session.call(tag, content) : session.callOnce(tag, content, once),
          ofCall
        )
      })
    )
  }

  /** The exit of an action, as the client's RPC decodes it. Defects are not shown to clients. */
  encodeExit(name: string, exit: Exit.Exit<unknown, unknown>): unknown {
    const command = this.commands.get(name)
    const told = Exit.isFailure(exit) && isDefect(exit.cause) ? Exit.die("the action could not be handled") : exit
    return command === undefined
      ? encodeUnknown(told)
      : command.encodeExit(told)
  }
}

const isDefect = (cause: Cause.Cause<unknown>): boolean => cause.reasons.some((reason) => reason._tag === "Die")

/** For an action that does not exist: clients can decode the errors that any action can have. */
const encodeUnknown = toJson(Schema.Exit(Schema.Void, ActionError, Schema.Defect()))

const malformed = Symbol()

const readOnce = (header: Asked["header"]): OnceOptions | undefined | typeof malformed => {
  const client = header(Live.headers.client)
  const sequence = header(Live.headers.sequence)
  if (client === undefined && sequence === undefined) return undefined
  const epoch = header(Live.headers.epoch)
  const accepted = header(Live.headers.accepted)
  const isWellFormed = client !== undefined && client !== "" && client.length <= 64 &&
    /^[1-9]\d{0,14}$/.test(sequence ?? "") && /^\d{1,15}$/.test(epoch ?? "0") && /^\d{1,15}$/.test(accepted ?? "0")
  if (!isWellFormed) return malformed
  return {
    client,
    sequence: Number(sequence),
    again: header(Live.headers.again) === "true",
    ...(epoch !== undefined && { epoch: Number(epoch) }),
    ...(accepted !== undefined && { accepted: Number(accepted) })
  }
}
