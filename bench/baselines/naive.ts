/**
 * What does a session cost that is built from Effect's own parts, without this library? Each session has a fiber, a `Queue`,
 * a `SubscriptionRef` for its state, and a `Deferred` for each answer. There are no expiry timers, limits, supervision, or
 * telemetry; the sweep checks the last activity of every session.
 */
import { Data, Deferred, Effect, Fiber, Option, Queue, SubscriptionRef } from "effect"
import type { Driver, Subject } from "../Subject.ts"

interface State {
  readonly user_id: number
  readonly count: number
  readonly theme: string
}

type Message =
  | { readonly _tag: "Get"; readonly reply: Deferred.Deferred<State> }
  | { readonly _tag: "Put"; readonly key: string; readonly value: unknown }

interface Live {
  readonly id: string
  readonly queue: Queue.Queue<Message>
  readonly fiber: Fiber.Fiber<never>
  lastActiveAt: number
}

class NotFound extends Data.TaggedError("NotFound")<{ readonly id: string }> {}

class InvalidId extends Data.TaggedError("InvalidId")<{ readonly id: string }> {}

const idleTimeout = 3_600_000

const make: Effect.Effect<Driver> = Effect.sync(() => {
  const sessions = new Map<string, Live>()

  const start = (id: string) =>
    Effect.gen(function*() {
      if (!/^[\w.-]{1,128}$/.test(id)) return yield* new InvalidId({ id })
      const queue = yield* Queue.unbounded<Message>()
      const state = yield* SubscriptionRef.make<State>({ user_id: 42, count: 0, theme: "dark" })
      const run: Effect.Effect<never> = Effect.gen(function*() {
        while (true) {
          const message = yield* Queue.take(queue)
          if (message._tag === "Get") yield* Deferred.succeed(message.reply, yield* SubscriptionRef.get(state))
          else yield* SubscriptionRef.update(state, (state) => ({ ...state, [message.key]: message.value }))
        }
      })
      const fiber = yield* Effect.forkDetach(run)
      const live: Live = { id, queue, fiber, lastActiveAt: Date.now() }
      sessions.set(id, live)
      return live
    })

  const get = (id: string) =>
    Effect.suspend(() => {
      const live = sessions.get(id)
      return live === undefined ? Effect.fail(new NotFound({ id })) : Effect.succeed(live)
    })

  const call = (id: string) =>
    Effect.gen(function*() {
      const live = yield* get(id)
      live.lastActiveAt = Date.now()
      const reply = yield* Deferred.make<State>()
      yield* Queue.offer(live.queue, { _tag: "Get", reply })
      return yield* Deferred.await(reply)
    })

  const put = (live: Live) => Queue.offer(live.queue, { _tag: "Put", key: "count", value: 1 })

  const cast = (id: string) =>
    Effect.gen(function*() {
      const live = yield* get(id)
      live.lastActiveAt = Date.now()
      yield* put(live)
    })

  const end = (id: string) =>
    Effect.gen(function*() {
      const live = yield* get(id)
      sessions.delete(id)
      yield* Fiber.interrupt(live.fiber)
    })

  const startAll = (ids: ReadonlyArray<string>) => Effect.forEach(ids, start, { concurrency: 64 })

  return {
    create: { type: "effect", run: start },
    call: { type: "effect", run: call, accept: (state: State) => state.user_id === 42 },
    cast: { type: "effect", run: cast },
    castEffect: { type: "effect", run: cast },
    // Its handlers are Effects anyway.
    effectful: { call: { type: "effect", run: call }, cast: { type: "effect", run: cast } },
    lookup: { type: "function", run: (id) => sessions.get(id), accept: (live) => live !== undefined },
    lookupEffect: {
      type: "effect",
      run: (id) => Effect.sync(() => Option.fromUndefinedOr(sessions.get(id))),
      accept: Option.isSome
    },
    end: { type: "effect", run: end },
    startAll,
    endAll: (ids) => Effect.forEach(ids, end, { concurrency: 64, discard: true }),
    broadcast: Effect.suspend(() => Effect.forEach(sessions.values(), put, { discard: true })),
    callMissing: { type: "effect", run: (id) => Effect.flip(call(id)) },
    startRefused: { type: "effect", run: (id) => Effect.flip(start(id)) },
    startExpired: (ids) =>
      Effect.map(startAll(ids), (all) => {
        for (const live of all) live.lastActiveAt = 0
      }),
    sweep: Effect.suspend(() => {
      const cutoff = Date.now() - idleTimeout
      const expired = Array.from(sessions.values()).filter((live) => live.lastActiveAt < cutoff)
      return Effect.as(Effect.forEach(expired, (live) => end(live.id), { discard: true }), expired.length)
    }),
    count: Effect.sync(() => sessions.size)
  }
})

const subject: Subject = { name: "naive Effect", effort: 0.1, open: make }

export default subject
