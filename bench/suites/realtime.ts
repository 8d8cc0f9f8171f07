/**
 * What do the ready-made kinds cost? A topic of 10,000 present keys: joins and leaves, the memory of a key, and the cost of a
 * change for each follower of the topic, also in a small topic. A broadcast to 10,000 sessions. A push into full inboxes,
 * beside a plain cast of the same payload that the session stores, in turn.
 */
import { Effect, Exit, Fiber, Layer, Schema, Scope, Stream } from "effect"
import { Groups, Inbox, Presence, Session, Sessions } from "effect-sessions"
import { Rpc } from "effect/rpc"
import { breathe, makeIds, median, memory, quantile, rate } from "../measure.ts"
import type { Driver, Figures, Plan } from "../Subject.ts"

class Present extends Presence.Service<Present>()("Present", { meta: Schema.Struct({ name: Schema.String }) }) {}

const Text = Schema.Struct({ from: Schema.String, text: Schema.String })

const text = (n: number): typeof Text.Type => ({ from: "bob", text: `${n}` })

class Inboxes extends Inbox.Service<Inboxes>()("Inboxes", { kinds: { text: Text } }) {}

class Member extends Session.Service<Member>()("Member", {
  state: Schema.Struct({ last: Text }),
  protocol: [Rpc.make("Set", { payload: Text })]
}) {}

class Rooms extends Groups.Service<Rooms>()("Rooms", { members: Member }) {}

const layer = Layer.mergeAll(
  Presence.layer(Present, { grace: 0 }),
  Inbox.layer(Inboxes),
  Layer.provideMerge(
    Groups.layer(Rooms),
    Member.toLayer(
      Member.behavior({ init: () => ({ last: text(0) }), handlers: { Set: ({ payload }) => [{ last: payload }] } })
    )
  )
).pipe(Layer.provideMerge(Sessions.layer({ maxSessions: 1_000_000, startRate: false })))

const size = 10_000

// ---------------------------------------------------------------------------------------------------------
// presence
// ---------------------------------------------------------------------------------------------------------

/** Microseconds of each. */
const each = <A, E, R>(all: ReadonlyArray<A>, run: (one: A) => Effect.Effect<unknown, E, R>) =>
  Effect.gen(function*() {
    const found: Array<number> = []
    for (const one of all) {
      const began = performance.now()
      yield* run(one)
      found.push((performance.now() - began) * 1_000)
      if (found.length % 100 === 0) yield* breathe
    }
    return found
  })

const device = { device: "phone" }

/** Keys, metadata and Scopes of visitors, made before the measurement. */
const makeVisitors = (count: number) =>
  Effect.forEach(
    makeIds(count, "key_"),
    (key) => Effect.map(Scope.make(), (scope) => ({ key, meta: { name: key }, scope }))
  )

/** A topic with a number of keys, each tracked by its own Scope. */
const fill = Effect.fnUntraced(function*(topic: string, visitors: Effect.Success<ReturnType<typeof makeVisitors>>) {
  const present = yield* Present
  return yield* Effect.forEach(
    visitors,
    ({ key, meta, scope }) => Scope.provide(present.track(topic, key, meta, device), scope)
  )
})

/** Nanoseconds that each follower of a topic adds to a change, by the number of keys. */
const followed = Effect.fnUntraced(function*(keys: number, rounds: number) {
  const present = yield* Present
  const topic = `followed_by_${keys}`
  const all = yield* fill(topic, yield* makeVisitors(keys))
  let count = 0
  const changes = rate(
    rounds,
    Effect.gen(function*() {
      for (const end = count + rounds; count < end; count++) {
        yield* all[count % all.length]!.update({ name: `${count}` })
        if (count % 100 === 0) yield* breathe
      }
      yield* breathe
    })
  )
  let told = 0
  const follow = Effect.forEach(
    Array.from({ length: followers }),
    () =>
      Effect.forkChild(Stream.runForEach(present.changes(topic), () =>
        Effect.sync(() => {
          told++
        })))
  )
  const added: Array<number> = []
  for (let turn = 0; turn < 7; turn++) {
    const alone = yield* changes
    const following = yield* follow
    yield* breathe
    const before = told
    const followed = yield* changes
    yield* breathe
    if (told - before !== followers * rounds) throw new Error(`${told - before} changes were told`)
    yield* Fiber.interruptAll(following)
    // The first turns are the warm-up.
    if (turn > 1) added.push((1e9 / followed - 1e9 / alone) / followers)
  }
  return median(added)
})

const followers = 100

const presence = Effect.fnUntraced(function*(rounds: number) {
  const present = yield* Present
  const visitors = yield* makeVisitors(size)
  const before = yield* memory
  yield* fill("shop", visitors)
  const bytes = ((yield* memory) - before) / size
  if ((yield* present.count("shop")) !== size) throw new Error("not all are present")
  const leaves: Array<number> = []
  const joins: Array<number> = []
  // The first turn is the warm-up.
  for (let turn = 0; turn < 4; turn++) {
    const some = visitors.slice(turn * rounds, (turn + 1) * rounds)
    const left = yield* each(some, ({ scope }) => Scope.close(scope, Exit.void))
    const joined = yield* each(some, ({ key, meta }) => present.track("shop", key, meta, device))
    if (turn === 0) continue
    leaves.push(...left)
    joins.push(...joined)
  }
  return {
    present_bytes: bytes,
    present_join_p50_us: median(joins),
    present_join_p99_us: quantile(joins, 0.99),
    present_leave_p50_us: median(leaves),
    present_leave_p99_us: quantile(leaves, 0.99),
    present_small_ns: yield* followed(100, rounds),
    present_large_ns: yield* followed(size, rounds)
  }
})

// ---------------------------------------------------------------------------------------------------------
// groups
// ---------------------------------------------------------------------------------------------------------

const groups = Effect.fnUntraced(function*(turns: number) {
  const members = yield* Member
  const rooms = yield* Rooms
  const ids = makeIds(size, "member_")
  yield* members.startAll(ids)
  for (const id of ids) yield* rooms.join("lobby", id)
  const broadcasts = {
    group: (n: number) => rooms.broadcast("lobby", "Set", text(n)),
    all: (n: number) => rooms.broadcastToAll("Set", text(n))
  }
  const found = { group: [] as Array<number>, all: [] as Array<number> }
  for (let turn = 1; turn <= 2 * turns; turn++) {
    for (const to of ["group", "all"] as const) {
      const n = to === "group" ? turn : -turn
      const reached = yield* rate(
        size,
        Effect.flatMap(
          broadcasts[to](n),
          ({ delivered }) => delivered === size ? Effect.void : Effect.die(new Error(`${delivered} were reached`))
        )
      )
      const { last } = yield* members.ref(ids[size - 1]!).state
      if (last.text !== `${n}`) throw new Error(`the last one has ${last.text}`)
      // The first turns are the warm-up.
      if (turn > turns) found[to].push(reached)
    }
  }
  return { groups_group: median(found.group), groups_all: median(found.all) }
})

// ---------------------------------------------------------------------------------------------------------
// inboxes
// ---------------------------------------------------------------------------------------------------------

const capacity = 100
const inboxesCount = 1_000

const inbox = Effect.fnUntraced(function*(rounds: number) {
  const inboxes = yield* Inboxes
  const members = yield* Member
  const users = makeIds(inboxesCount, "user_")
  yield* members.startAll(users)
  for (let i = 0; i < capacity; i++) {
    for (const user of users) yield* inboxes.push(user, "text", text(i))
  }
  /** Operations per second. The loop yields now and then. */
  const timed = (operation: (i: number) => unknown) =>
    rate(
      rounds,
      Effect.gen(function*() {
        for (let i = 0; i < rounds;) {
          for (const end = Math.min(i + 10_000, rounds); i < end; i++) operation(i)
          yield* breathe
        }
      })
    )
  const casts = timed((i) => members.findUnsafe(users[i % inboxesCount]!)!.castUnsafe("Set", text(i)))
  const pushes = timed((i) => inboxes.pushUnsafe(users[i % inboxesCount]!, "text", text(i)))
  const found = { casts: [] as Array<number>, pushes: [] as Array<number>, ratios: [] as Array<number> }
  for (let turn = 0; turn < 8; turn++) {
    const cast = yield* casts
    const push = yield* pushes
    // The first turns are the warm-up.
    if (turn < 3) continue
    found.casts.push(cast)
    found.pushes.push(push)
    found.ratios.push(push / cast)
  }
  const newest = yield* inboxes.list(users[(rounds - 1) % inboxesCount]!, { limit: 1 })
  if (newest[0]?.payload.text !== `${rounds - 1}`) throw new Error("the last push is not there")
  return {
    inbox_cast: median(found.casts),
    inbox_push: median(found.pushes),
    inbox_ratio: median(found.ratios)
  }
})

const measure = (plan: Plan) =>
  Effect.gen(function*() {
    const rounds = Math.max(Math.round(10_000 * plan.effort), 1_000)
    return {
      ...yield* presence(rounds),
      ...yield* groups(Math.max(Math.round(50 * plan.effort), 3)),
      ...yield* inbox(200 * rounds)
    }
  })

/** Ignores the driver: only this library has these kinds. */
export const realtime = (_driver: Driver, plan: Plan): Effect.Effect<Figures, unknown> =>
  Effect.scoped(Effect.provide(measure(plan), layer))
