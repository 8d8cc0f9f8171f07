/**
 * How much does writing sessions behind their changes reduce the rate of messages? Three kinds of sessions differ only in
 * where they are stored: nowhere, in memory, in SQLite. All sessions change all the time, so each is written about once a
 * second. The kinds take turns, so that the ratios hold when the machine's speed drifts. A turn is timed while snapshots are
 * being written, and ends when all are written.
 */
import { Effect, Layer, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { MemoryStore, SnapshotStore, SqliteStore } from "effect-sessions/snapshots"
import { Rpc } from "effect/rpc"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { breathe, makeIds, median } from "../measure.ts"
import type { Driver, Figures, Plan } from "../Subject.ts"

const State = Schema.Struct({ user_id: Schema.Int, count: Schema.Int, theme: Schema.String })
const protocol = [Rpc.make("Put", { payload: Schema.Int })]

class Plain extends Session.Service<Plain>()("Plain", { state: State, protocol }) {}
class InMemory extends Session.Service<InMemory>()("InMemory", { state: State, protocol }) {}
class InSqlite extends Session.Service<InSqlite>()("InSqlite", { state: State, protocol }) {}

const behavior = {
  init: () => ({ user_id: 42, count: 0, theme: "dark" }),
  handlers: {
    Put: ({ payload, state }: { readonly payload: number; readonly state: typeof State.Type }) =>
      [{ ...state, count: payload }] as const
  }
}

const options = { snapshots: { save: { debounce: "1 second" } } } as const

/** Counts the snapshots that are written. */
const written = { count: 0, versions: new Map<string, number>() }

/** Wraps a store to count its writes. Each has a Layer of its own, because a Layer that is used twice is built once. */
const counted = <E, R>(store: Layer.Layer<SnapshotStore, E, R>): Layer.Layer<SnapshotStore, E, R> =>
  Layer.effect(
    SnapshotStore,
    Effect.map(SnapshotStore, (store) => ({
      ...store,
      save: (snapshots) =>
        Effect.tap(store.save(snapshots), () =>
          Effect.sync(() => {
            written.count += snapshots.length
            for (const { id, kind, version } of snapshots) written.versions.set(`${kind}/${id}`, version)
          }))
    }))
  ).pipe(Layer.provide(store))

const layer = (directory: string) =>
  Layer.mergeAll(
    Plain.toLayer(Plain.behavior(behavior)),
    InMemory.toLayer(InMemory.behavior(behavior), options).pipe(
      Layer.provide(counted(MemoryStore.layer))
    ),
    InSqlite.toLayer(InSqlite.behavior(behavior), options).pipe(
      Layer.provide(counted(SqliteStore.layer({ file: join(directory, "bench.sqlite") })))
    )
  ).pipe(Layer.provide(Sessions.layer({ maxSessions: 1_000_000, startRate: false })))

const sessionsCount = 10_000

/** How many messages are sent before the loop yields, as a program would, and so that the stores can work. */
const stride = 100

const rounds = 3

/** The time until snapshots are being written, in milliseconds. */
const lead = 1_200

/** How long each turn is timed, in milliseconds: several times as long as SQLite takes to write all sessions. */
const effort = { plain: 1_000, memory: 2_000, sqlite: 8_000 } as const

type Ref = Effect.Success<ReturnType<(typeof Plain)["Service"]["start"]>>

type Refs = ReadonlyArray<Ref>

/**
 * Sessions of all three kinds, started in turn. Sessions that are started in one go would lie side by side in memory, which
 * makes messages to them a fifth faster and does not happen in a real program.
 */
const startAll = Effect.gen(function*() {
  const kinds = { plain: yield* Plain, memory: yield* InMemory, sqlite: yield* InSqlite }
  const refs = { plain: [] as Array<Ref>, memory: [] as Array<Ref>, sqlite: [] as Array<Ref> }
  for (const id of makeIds(sessionsCount)) {
    refs.plain.push(yield* kinds.plain.start(id))
    refs.memory.push(yield* kinds.memory.start(id))
    refs.sqlite.push(yield* kinds.sqlite.start(id))
  }
  return refs
})

/**
 * Sends messages to all sessions in turn for a time, and gives the messages per second. Some messages are calls; also gives
 * the 99th percentile of their latency in microseconds.
 */
const drive = Effect.fnUntraced(function*(refs: Refs, millis: number) {
  const began = performance.now()
  const waits: Array<number> = []
  let count = 0
  while (performance.now() - began < millis) {
    for (const end = count + stride; count < end; count++) yield* refs[count % refs.length]!.cast("Put", count)
    const sent = performance.now()
    yield* breathe
    yield* refs[count % refs.length]!.call("Put", count)
    waits.push(performance.now() - sent)
  }
  waits.sort((one, other) => one - other)
  return { rate: count * 1_000 / (performance.now() - began), p99: 1_000 * waits[Math.floor(waits.length * 0.99)]! }
})

/** Whether the newest state of every session is written. */
const areWritten = (refs: Refs) =>
  Effect.map(
    Effect.forEach(refs, (ref) => ref.info),
    (infos) => infos.every(({ id, kind, version }) => written.versions.get(`${kind}/${id}`) === version)
  )

type Place = keyof typeof effort

interface Turn {
  readonly rate: number
  /** In microseconds, including one yield. */
  readonly p99: number
  readonly written: number
}

/** Ends when all snapshots are written. */
const takeTurn = Effect.fnUntraced(function*(place: Place, refs: Refs): Effect.fn.Return<Turn, unknown> {
  if (place !== "plain") yield* drive(refs, lead)
  const before = written.count
  const { p99, rate } = yield* drive(refs, effort[place])
  const count = written.count - before
  if (place !== "plain") {
    yield* Effect.repeat(Effect.delay(areWritten(refs), "500 millis"), { until: (all) => all })
  }
  return { rate, p99, written: count * 1_000 / effort[place] }
})

const measure = Effect.gen(function*() {
  const refs = yield* startAll
  const found: Record<Place, Array<Turn & { readonly takes: number }>> = { plain: [], memory: [], sqlite: [] }
  let plain = yield* takeTurn("plain", refs.plain)
  for (let round = 0; round < rounds; round++) {
    for (const place of ["memory", "sqlite"] as const) {
      const turn = yield* takeTurn(place, refs[place])
      const before = plain
      plain = yield* takeTurn("plain", refs.plain)
      found.plain.push({ ...plain, takes: 0 })
      found[place].push({ ...turn, takes: 1 - 2 * turn.rate / (before.rate + plain.rate) })
    }
  }
  return Object.fromEntries(
    Object.entries(found).flatMap(([place, turns]) => [
      [`behind_${place}`, median(turns.map(({ rate }) => rate))],
      [`behind_${place}_p99_us`, median(turns.map(({ p99 }) => p99))],
      [`behind_${place}_written`, median(turns.map(({ written }) => written))],
      [`behind_${place}_takes`, median(turns.map(({ takes }) => takes))]
    ])
  )
})

/** Ignores the driver: only this library has snapshots. */
export const writeBehind = (_driver: Driver, _plan: Plan): Effect.Effect<Figures, unknown> =>
  Effect.scoped(Effect.gen(function*() {
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "bench-write-behind-"))),
      (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
    )
    return yield* Effect.provide(measure, layer(directory))
  }))
