/**
 * What does a hibernating session cost, and how fast does a session hibernate and wake? Time is virtual, so that all sessions
 * hibernate at a chosen moment.
 */
import { Effect, Layer, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { Rpc } from "effect/rpc"
import { TestClock } from "effect/testing"
import { makeIds, median, memory, rate } from "../measure.ts"
import type { Driver, Figures, Plan } from "../Subject.ts"

class Sleeper extends Session.Service<Sleeper>()("Sleeper", {
  state: Schema.Int,
  protocol: [Rpc.make("Add", { success: Schema.Int })]
}) {}

const Sleepers = Sleeper.toLayer(
  Sleeper.behavior({ init: () => 0, handlers: { Add: ({ state }) => [state + 1, state + 1] } }),
  { hibernateAfter: "1 minute", idleTimeout: "1 day" }
)

const asleep = (id: string) =>
  Effect.flatMap(Sleeper, (sleepers) => Effect.flatMap(sleepers.get(id), (ref) => ref.info)).pipe(
    Effect.flatMap(({ status }) =>
      status === "hibernating" ? Effect.void : Effect.die(new Error(`the session ${id} is ${status}`))
    )
  )

const measure = Effect.fnUntraced(function*(plan: Plan) {
  const sleepers = yield* Sleeper
  const n = 20 * plan.batch
  const ids = makeIds(n, "sleeper_")
  const before = yield* memory
  yield* sleepers.startAll(ids)
  const found = { hibernate: [] as Array<number>, wake: [] as Array<number> }
  let bytes = 0
  // The first turn is the warm-up.
  for (let turn = 0; turn <= 5; turn++) {
    const slept = yield* rate(n, TestClock.adjust("61 seconds"))
    yield* asleep(ids[0]!)
    yield* asleep(ids[n - 1]!)
    if (turn === 0) bytes = ((yield* memory) - before) / n
    const woke = yield* rate(n, Effect.forEach(ids, (id) => sleepers.ref(id).call("Add"), { discard: true }))
    if (turn === 0) continue
    found.hibernate.push(slept)
    found.wake.push(woke)
  }
  return {
    sleep_bytes: bytes,
    sleep_hibernate: median(found.hibernate),
    sleep_wake: median(found.wake)
  }
})

/** Ignores the driver: only this library has hibernation. */
export const sleep = (_driver: Driver, plan: Plan): Effect.Effect<Figures, unknown> =>
  Effect.provide(
    measure(plan),
    Layer.provide(Sleepers, Sessions.layer({ maxSessions: 1_000_000, startRate: false })).pipe(
      Layer.provideMerge(TestClock.layer())
    )
  )
