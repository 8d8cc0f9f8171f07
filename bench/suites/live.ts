/**
 * How fast do clients see a change? Measures the time from just before the message that changes a cart until a client has the
 * patch of its view over a WebSocket, and compares it with Socket.IO, which pushes the same patches without any state. With
 * one client, with a thousand that watch the same cart, and with a thousand that watch one cart each.
 *
 * The servers take turns, so that the ratios hold when the machine's speed drifts. Each server has its own process. All
 * clients are in this process and share its time.
 */
import { Effect } from "effect"
import { JsonPatch } from "effect-sessions"
import {
  type LiveServer,
  type Open,
  openLive,
  openSocketIo,
  openSocketIoWire,
  startLive,
  type Watcher
} from "../live-clients.ts"
import type { Asked, Said } from "../live-server.ts"
import { makeIds, median, quantile } from "../measure.ts"
import type { Driver, Figures, Plan } from "../Subject.ts"

/** A server and how its clients are opened. */
interface Contestant {
  readonly name: "live" | "io" | "wire"
  readonly server: LiveServer
  readonly open: Open
}

type Push = Extract<Asked, { readonly type: "push" }>

/** The results of a turn. */
interface Turn {
  /** Microseconds from each change until the last client that watches the cart has it. */
  readonly micros: ReadonlyArray<number>
  /** What the clients received. */
  readonly delivered: number
  /** From the first change to the last delivery. */
  readonly seconds: number
  /** The processor time of the server, in microseconds. */
  readonly cpu: number
}

/** How many clients connect at the same time. */
const politeness = 100

/** The time after which a delivery counts as lost. */
const patience = 20_000

const later = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

const isUpToDate = (
  { carts, first }: Extract<Said, { readonly type: "pushed" }>,
  push: Push,
  watchers: ReadonlyArray<Watcher>
) => {
  const last = new Map(carts.map((cart, i) => [push.carts[cart]!, first + i]))
  return watchers.every(({ cart, numbers }) => !last.has(cart) || numbers[numbers.length - 1] === last.get(cart))
}

/** Makes the server change carts, and waits until all clients have seen the changes. */
const turn = async (
  server: LiveServer,
  watchers: ReadonlyArray<Watcher>,
  what: Pick<Push, "atOnce" | "changes" | "every">
): Promise<Turn> => {
  const push: Push = {
    type: "push",
    carts: [...new Set(watchers.map(({ cart }) => cart))],
    edit: "quantity",
    ...what
  }
  for (const { numbers, times } of watchers) numbers.length = times.length = 0
  const before = await server.ask({ type: "cpu" }, "cpu")
  const pushed = await server.ask(push, "pushed")
  const deadline = performance.now() + patience
  while (!isUpToDate(pushed, push, watchers)) {
    if (performance.now() > deadline) throw new Error("changes were not seen by all who watch")
    await later(5)
  }
  const after = await server.ask({ type: "cpu" }, "cpu")

  const byCart = new Map(push.carts.map((cart) => [cart, [] as Array<Watcher>]))
  for (const watcher of watchers) byCart.get(watcher.cart)!.push(watcher)
  // For each client, where to look for the next change. A change that was skipped is part of the next one that came.
  const places = new Map(watchers.map((watcher) => [watcher, 0]))
  let end = 0
  const micros = pushed.times.map((time, i) => {
    let seen = 0
    for (const watcher of byCart.get(push.carts[pushed.carts[i]!]!)!) {
      let place = places.get(watcher)!
      while (watcher.numbers[place]! < pushed.first + i) place++
      places.set(watcher, place)
      seen = Math.max(seen, watcher.times[place]!)
    }
    end = Math.max(end, seen)
    return (seen - time) / 1_000
  })
  return {
    micros,
    delivered: watchers.reduce((sum, { times }) => sum + times.length, 0),
    seconds: (end - pushed.times[0]!) / 1e9,
    cpu: after.micros - before.micros
  }
}

/** The turns of all servers, one after the other. The first is the warm-up. */
const contest = async (
  prefix: string,
  contestants: ReadonlyArray<Contestant>,
  carts: ReadonlyArray<string>,
  turns: number,
  what: Pick<Push, "atOnce" | "changes" | "every">
): Promise<Figures> => {
  const figures: Record<string, number> = {}
  const parties = await Promise.all(contestants.map(async ({ name, open, server }) => {
    const watchers: Array<Watcher> = []
    for (let at = 0; at < carts.length; at += politeness) {
      watchers.push(
        ...await Promise.all(
          carts.slice(at, at + politeness).map((cart) => open(server.port, `${name}_${cart}`))
        )
      )
    }
    return { name, server, watchers, found: [] as Array<Turn> }
  }))
  for (let i = 0; i <= turns; i++) {
    for (const { found, server, watchers } of parties) {
      const one = await turn(server, watchers, what)
      if (i > 0) found.push(one)
    }
  }
  for (const { found, name, watchers } of parties) {
    for (const watcher of watchers) watcher.close()
    const micros = found.flatMap((turn) => turn.micros)
    const changes = turns * what.changes
    const sum = (of: (turn: Turn) => number) => found.reduce((sum, turn) => sum + of(turn), 0)
    figures[`${prefix}_${name}_p50_us`] = quantile(micros, 0.5)
    figures[`${prefix}_${name}_p99_us`] = quantile(micros, 0.99)
    figures[`${prefix}_${name}_delivered_per_s`] = sum(({ delivered }) => delivered) / sum(({ seconds }) => seconds)
    figures[`${prefix}_${name}_cpu_us`] = sum(({ cpu }) => cpu) / changes
  }
  return figures
}

/** The bytes of a WebSocket message of the server, including its header. */
const onTheWire = (bytes: number) => bytes + (bytes < 126 ? 2 : bytes < 65_536 ? 4 : 10)

/** The bytes of the edits of a cart, and of the whole cart each time. */
const weigh = async (server: LiveServer, changes: number): Promise<Figures> => {
  let cart: any
  let patched = 0
  let whole = 0
  let count = 0
  let head = 0
  const watcher = await openLive(server.port, "weighed", {
    look: (event, bytes) => {
      if (event._tag === "snapshot") {
        cart = event.state
        head = bytes - Buffer.byteLength(JSON.stringify(event))
        return
      }
      const { epoch, patch, version } = event
      cart = JsonPatch.apply(patch, cart)
      patched += onTheWire(bytes)
      whole += onTheWire(head + Buffer.byteLength(JSON.stringify({ _tag: "snapshot", epoch, version, state: cart })))
      count++
    }
  })
  const { carts, first } = await server.ask(
    { type: "push", carts: ["weighed"], edit: "any", changes, atOnce: 1, every: 1 },
    "pushed"
  )
  while (cart.changes < first + carts.length - 1) await later(5)
  watcher.close()
  return { live_patch_bytes: patched / count, live_whole_bytes: whole / count }
}

/** Nanoseconds added to a message by encoding the changed view as JSON, and by a client that watches. */
const cost = async (server: LiveServer, batches: number): Promise<Figures> => {
  const watcher = await openLive(server.port, "watched")
  const { bare, viewed, watched } = await server.ask(
    { type: "cost", bare: "bare", watched: "watched", batches },
    "cost"
  )
  watcher.close()
  const added = (times: ReadonlyArray<number>) => median(times.map((time, i) => time - bare[i]!))
  return { live_bare_ns: median(bare), live_viewed_ns: added(viewed), live_watched_ns: added(watched) }
}

/** Clients that watch the same cart, and carts with one client each. */
const crowd = 1_000

const measure = async (): Promise<Figures> => {
  const [live, socketIo] = await Promise.all([startLive("live"), startLive("socket.io")])
  const wire: Contestant = { name: "wire", server: socketIo, open: openSocketIoWire }
  const thin: ReadonlyArray<Contestant> = [
    { name: "live", server: live, open: (port, cart) => openLive(port, cart) },
    wire
  ]
  const one: ReadonlyArray<Contestant> = [
    ...thin,
    { name: "io", server: socketIo, open: openSocketIo }
  ]
  try {
    return {
      ...await contest("live_one", one, ["one"], 10, { changes: 500, atOnce: 1, every: 1 }),
      ...await weigh(live, 1_000),
      ...await contest("live_crowd", thin, Array.from({ length: crowd }, () => "crowd"), 5, {
        changes: 20,
        atOnce: 1,
        every: 100
      }),
      ...await contest("live_carts", thin, makeIds(crowd, "cart_"), 5, {
        changes: 4_000,
        atOnce: 4,
        every: 1
      }),
      ...await cost(live, 300)
    }
  } finally {
    live.stop()
    socketIo.stop()
  }
}

/** Ignores the driver: only this library has views. */
export const live = (_driver: Driver, _plan: Plan): Effect.Effect<Figures, unknown> => Effect.tryPromise(measure)
