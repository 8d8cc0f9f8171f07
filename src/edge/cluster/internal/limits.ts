/**
 * Limits that hold for all nodes together. What is limited is counted by the node that owns the place of its key, so each check
 * asks at most one node. While that node cannot be asked, each node applies the limit on its own: a failure elsewhere keeps
 * nobody out.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { StartRateExceeded } from "../../../contract/SessionError.ts"
import { fromJson, toJson } from "../../../internal/jsonCodec.ts"
import { SessionsConfig } from "../../../policy/SessionsConfig.ts"
import { StartLimiter, type StartRequest, type Status } from "../../../runtime/StartLimiter.ts"
import { type Connection, type Connections, TooManyConnections } from "../../http/Connections.ts"
import type { Everywhere } from "./Everywhere.ts"
import type { Holds } from "./Holds.ts"

/** How long a connection waits until it is counted, in milliseconds. */
const patience = 1_000

const encodeRefusal = toJson(StartRateExceeded)
const decodeRefusal = fromJson(StartRateExceeded)

/** The key under which starts are counted when all together are limited. */
const allStarts = "effect-sessions/starts"

/** A limiter of the starts of all nodes. */
export const startLimiter = (everywhere: Everywhere): Layer.Layer<StartLimiter, never, SessionsConfig> =>
  Layer.effect(
    StartLimiter,
    Effect.gen(function*() {
      const { startRate, startRatePerAddress } = yield* SessionsConfig
      const local = Context.get(yield* Layer.build(Layer.fresh(StartLimiter.layer)), StartLimiter)
      everywhere.serve("start", ([kind, id, address]) =>
        Effect.match(
          local.check({ kind, id, address: address ?? undefined } as StartRequest),
          { onFailure: encodeRefusal, onSuccess: () => null }
        ))
      everywhere.serve("startStatus", () => local.status)
      everywhere.serve("startAddresses", () => local.addresses)
      /** Without a limit of all starts, addresses are counted by different nodes. */
      const keyOf = ({ address }: StartRequest) =>
        startRate !== undefined ? allStarts : startRatePerAddress === undefined ? undefined : address
      return {
        check: (request) => {
          const key = keyOf(request)
          if (key === undefined) return Effect.void
          const { address = null, id, kind } = request
          return Effect.flatMap(everywhere.askOwner(key, "start", kind, id, address), (answer) => {
            if (answer === undefined) return local.check(request)
            return answer.value === null ? Effect.void : Effect.fail(decodeRefusal(answer.value))
          })
        },
        status: startRate === undefined ? local.status : Effect.flatMap(
          everywhere.askOwner(allStarts, "startStatus"),
          (answer) => answer === undefined ? local.status : Effect.succeed(answer.value as Status)
        ),
        addresses: Effect.map(
          everywhere.gather(local.addresses, "startAddresses"),
          (counts) => counts.reduce((sum, count) => sum + count, 0)
        )
      }
    })
  )

/** The connections of this node, with a limit for those of all nodes. */
export const connections = (local: Connections["Service"], holds: Holds): Connections["Service"] => {
  const { everywhere } = holds
  const { perOwner } = local
  const refusal = TooManyConnections.of(perOwner)
  const taken = new Map<Connection, () => void>()
  everywhere.serve("connected", ([owner]) => Effect.sync(() => holds.count(owner as string)))
  everywhere.serve(
    "disconnectAll",
    ([owner, except]) =>
      Effect.as(local.disconnectAll(owner as string, except as string | undefined ?? undefined), null)
  )
  /** Counts it for an owner, instead of the owner before. */
  const take = (connection: Connection, owner: string, taking: { taken: () => void; refused: () => void }) => {
    taken.get(connection)?.()
    taken.set(connection, holds.take(owner, perOwner, taking))
  }
  const giveBack = (connection: Connection) =>
    Effect.sync(() => {
      taken.get(connection)?.()
      taken.delete(connection)
    })
  return {
    ...local,
    check: (owner) =>
      Effect.andThen(
        local.check(owner),
        Effect.flatMap(everywhere.askOwner(owner, "connected", owner), (answer) => {
          const count = answer === undefined ? holds.count(owner) : Number(answer.value)
          return count < perOwner ? Effect.void : Effect.fail(refusal)
        })
      ),
    add: (connection) =>
      Effect.gen(function*() {
        yield* local.add(connection)
        yield* Effect.addFinalizer(() => giveBack(connection))
        let isAdmitted = false
        const counted = Effect.callback<void, TooManyConnections>((resume) =>
          take(connection, connection.owner, {
            taken: () => resume(Effect.void),
            refused: () => isAdmitted ? connection.disconnect() : resume(Effect.fail(refusal))
          })
        )
        yield* Effect.timeoutOrElse(counted, { duration: patience, orElse: () => Effect.void })
        isAdmitted = true
      }),
    assign: (connection, owner) => {
      if (!local.assign(connection, owner)) return false
      take(connection, owner, { taken: () => {}, refused: () => connection.disconnect() })
      return true
    },
    disconnectAll: (owner, except) =>
      Effect.asVoid(everywhere.gather(local.disconnectAll(owner, except), "disconnectAll", owner, except ?? null))
  }
}
