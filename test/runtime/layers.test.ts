import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Session, SessionEvents, Sessions, SessionsConfig } from "effect-sessions"

class Left extends Session.Service<Left>()("Left", { state: Schema.Int, protocol: [] }) {}
class Right extends Session.Service<Right>()("Right", { state: Schema.Int, protocol: [] }) {}

const leftLayer = () => Left.toLayer(Left.behavior({ init: () => 0, handlers: {} }))
const rightLayer = () => Right.toLayer(Right.behavior({ init: () => 0, handlers: {} }))

/** How many sessions can be started. */
const room = (sessions: Session.SessionKind<number, never, void, never>) =>
  Effect.gen(function*() {
    for (let i = 0;; i++) {
      const exit = yield* Effect.exit(sessions.start(`${i}`))
      if (exit._tag === "Failure") return i
    }
  })

const both = Effect.gen(function*() {
  return [yield* room(yield* Left), yield* room(yield* Right)]
})

describe("Sessions.layer", () => {
  it.effect("makes a host of its own at each call, with its own settings and services, in one program", () =>
    Effect.gen(function*() {
      const program = Layer.mergeAll(
        Layer.provideMerge(leftLayer(), Sessions.layer({ maxSessions: 1, sweepInterval: "1 second" })),
        Layer.provide(rightLayer(), Sessions.layer({ maxSessions: 3, sweepInterval: "3 seconds" }))
      )
      assert.deepStrictEqual(yield* Effect.provide(both, program), [1, 3])
      const limits = [1, 3].map((limit) =>
        Effect.provide(
          Effect.all({ config: SessionsConfig.SessionsConfig, events: SessionEvents, sessions: Sessions }),
          Sessions.layer({ maxSessions: limit })
        )
      )
      const [one, other] = yield* Effect.all(limits)
      assert.notStrictEqual(one!.events, other!.events)
      assert.notStrictEqual(one!.sessions, other!.sessions)
      assert.deepStrictEqual([one!.config.maxSessions, other!.config.maxSessions], [1, 3])
    }))

  it.effect("is one host for all kinds that it is given to", () =>
    Effect.gen(function*() {
      const host = Sessions.layer({ maxSessions: 3 })
      const program = Layer.mergeAll(Layer.provide(leftLayer(), host), Layer.provide(rightLayer(), host))
      assert.deepStrictEqual(yield* Effect.provide(both, program), [3, 0])
    }))
})
