/**
 * The server of the live suite, in its own process: carts with a view that clients watch over WebSockets, or the baseline,
 * Socket.IO, which has no state and pushes the same patches.
 *
 * It is forked, reports where it listens, serves requests, and ends with its parent process.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer, References, Schema } from "effect"
import { Live, Session, Sessions } from "effect-sessions"
import { Admission } from "effect-sessions/auth"
import { Connections, CrossOrigin } from "effect-sessions/http"
import { JwtKeys, JwtVerifier } from "effect-sessions/jwt"
import { LiveSocket, LiveViews } from "effect-sessions/live"
import * as HttpRouter from "effect/http/HttpRouter"
import { Rpc } from "effect/rpc"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { Server as SocketIoServer } from "socket.io"
import { secret } from "./edge-clients.ts"
import { nanos } from "./measure.ts"
import type { Listening } from "./servers.ts"

/** The requests to a server. */
export type Asked =
  /** Changes of random carts: how many at once, and the interval in milliseconds. */
  | {
    readonly type: "push"
    readonly carts: ReadonlyArray<string>
    readonly edit: "quantity" | "any"
    readonly changes: number
    readonly atOnce: number
    readonly every: number
  }
  | { readonly type: "cpu" }
  /** The cost of watching for a session; for sessions only. */
  | { readonly type: "cost"; readonly bare: string; readonly watched: string; readonly batches: number }

/** The results of a server. */
export type Said =
  /** The number of the first change, and for each change the index of its cart and its time (see `nanos`). */
  | {
    readonly type: "pushed"
    readonly first: number
    readonly carts: ReadonlyArray<number>
    readonly times: ReadonlyArray<number>
  }
  /** The processor time of the process, in microseconds. */
  | { readonly type: "cpu"; readonly micros: number }
  /** Nanoseconds per message, for each batch. */
  | {
    readonly type: "cost"
    readonly bare: ReadonlyArray<number>
    readonly viewed: ReadonlyArray<number>
    readonly watched: ReadonlyArray<number>
  }

const say = (said: Said | Listening) => process.send!(said)

const later = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** Makes the changes, each by `change`. */
const push = async (
  { atOnce, carts: names, changes, edit, every }: Extract<Asked, { readonly type: "push" }>,
  change: (cart: string, edit: "quantity" | "any", number: number) => void
): Promise<void> => {
  const first = changed + 1
  const carts: Array<number> = []
  const times: Array<number> = []
  while (times.length < changes) {
    for (let i = 0; i < atOnce && times.length < changes; i++) {
      const at = Math.floor(Math.random() * names.length)
      carts.push(at)
      times.push(nanos())
      change(names[at]!, edit, ++changed)
    }
    await later(every)
  }
  say({ type: "pushed", first, carts, times })
}

let changed = 0

// ---------------------------------------------------------------------------------------------------------
// carts
// ---------------------------------------------------------------------------------------------------------

const Item = Schema.Struct({ sku: Schema.String, name: Schema.String, price: Schema.Int, quantity: Schema.Int })

const State = Schema.Struct({ items: Schema.Array(Item), changes: Schema.Int })

const size = 20

const item = (number: number) => ({ sku: `sku-${number}`, name: `article ${number}`, price: 1_995, quantity: 1 })

const items = Array.from({ length: size }, (_, i) => item(i))

class Cart extends Session.Service<Cart>()("Cart", {
  state: State,
  protocol: [
    Rpc.make("quantity", { payload: Schema.Int }),
    Rpc.make("any", { payload: Schema.Int }),
    Rpc.make("changes", { success: Schema.Int })
  ]
}) {}

type Items = ReadonlyArray<typeof Item.Type>

const setQuantity = (items: Items, number: number, at = number % items.length): Items =>
  items.with(at, { ...items[at]!, quantity: number % 100 })

/** Of ten edits of a cart, six are of a quantity; items are added, removed, and moved to the front. */
const edit = (items: Items, number: number): Items => {
  const what = Math.random() * 10
  const at = Math.floor(Math.random() * items.length)
  if (what < 6) return setQuantity(items, number, at)
  if (what < 7) return [items[at]!, ...items.toSpliced(at, 1)]
  const grows = items.length === size ? what < 8.5 : items.length < size
  return grows ? [...items, item(number)] : items.toSpliced(at, 1)
}

class CartLive extends Live.Service<CartLive>()("CartLive", { kind: Cart, views: { cart: State } }) {}

const Carts = Cart.toLayer(Cart.behavior({
  init: () => ({ items, changes: 0 }),
  handlers: {
    quantity: ({ payload, state }) => [{ items: setQuantity(state.items, payload), changes: payload }],
    any: ({ payload, state }) => [{ items: edit(state.items, payload), changes: payload }],
    changes: ({ state }) => [state, state.changes]
  }
}))

/** The messages of a batch: fewer than may be in flight to a client. */
const batchSize = 16

/** A plain session, a session whose view is encoded as JSON for no client, and a session that a client watches. */
const tellCost = Effect.fnUntraced(function*(asked: Extract<Asked, { readonly type: "cost" }>) {
  const carts = yield* Cart
  const views = yield* CartLive
  const viewed = yield* carts.start("viewed")
  const mounted = yield* views.mount(viewed, "cart", { changed: () => mounted.nextJson(), ended() {} })
  mounted.nextJson()
  const subjects = { bare: yield* carts.start(asked.bare), viewed, watched: carts.ref(asked.watched) }
  const found = { bare: [] as Array<number>, viewed: [] as Array<number>, watched: [] as Array<number> }
  // The first half is the warm-up.
  for (let batch = -asked.batches; batch < asked.batches; batch++) {
    for (const name of ["bare", "viewed", "watched"] as const) {
      const cart = subjects[name]
      const began = nanos()
      for (let i = 1; i <= batchSize; i++) cart.castUnsafe("quantity", ++changed)
      const last = yield* cart.call("changes")
      const took = nanos() - began
      if (last !== changed) throw new Error("a cart has missed a change")
      if (batch >= 0) found[name].push(took / batchSize)
      yield* Effect.promise(() => later(1))
    }
  }
  say({ type: "cost", ...found })
}, Effect.scoped)

const Answers = Layer.effectDiscard(Effect.gen(function*() {
  const carts = yield* Cart
  const run = Effect.runForkWith(yield* Effect.context<Cart | CartLive>())
  listen((asked) => {
    if (asked.type === "cost") run(Effect.orDie(tellCost(asked)))
    else if (asked.type === "push") {
      void push(asked, (cart, edit, number) => {
        if (!carts.ref(cart).castUnsafe(edit, number)) throw new Error(`the cart ${cart} took no message`)
      })
    }
  })
}))

const runLive = (server: Server): Promise<never> =>
  Layer.mergeAll(
    HttpRouter.serve(LiveSocket.layer(CartLive, { path: "/live", session: Admission.token({ kind: Cart }) }), {
      disableLogger: true,
      disableListenLog: true
    }),
    Answers
  ).pipe(
    Layer.provide(LiveViews.layer(CartLive, { select: { cart: (state) => state }, identify: { cart: ["sku"] } })),
    Layer.provide([JwtVerifier.layer(), CrossOrigin.layer(), Connections.layer({ perOwner: Infinity })]),
    Layer.provide(JwtKeys.layerSecret(secret)),
    Layer.provide(Layer.provide(Carts, Sessions.layer({ maxSessions: 1_000_000, startRate: false }))),
    Layer.provide(NodeHttpServer.layer(() => server, { ...listenOptions, disablePreemptiveShutdown: true })),
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Warn")),
    Layer.launch,
    Effect.runPromise
  )

// ---------------------------------------------------------------------------------------------------------
// Socket.IO
// ---------------------------------------------------------------------------------------------------------

/** The query of a client names its cart, which is its room in Socket.IO. A client alone in its room is sent to as a socket. */
const runSocketIo = (server: Server): void => {
  const io = new SocketIoServer(server, { transports: ["websocket"], serveClient: false })
  const rooms = new Map<string, Array<{ readonly emit: (name: string, event: unknown) => unknown }>>()
  io.on("connection", (socket) => {
    const room = String(socket.handshake.query["cart"])
    void socket.join(room)
    rooms.set(room, [...rooms.get(room) ?? [], socket])
    socket.on("disconnect", () => rooms.set(room, rooms.get(room)!.filter((other) => other !== socket)))
  })
  const versions = new Map<string, number>()
  const epoch = Date.now()
  listen((asked) => {
    if (asked.type !== "push") return
    void push(asked, (room, _, number) => {
      const from = versions.get(room) ?? 0
      versions.set(room, from + 1)
      const event = {
        _tag: "patch",
        epoch,
        version: from + 1,
        from,
        patch: [
          { op: "replace", path: `/items/${number % size}/quantity`, value: number % 100 },
          { op: "replace", path: "/changes", value: number }
        ]
      }
      const sockets = rooms.get(room)!
      if (sockets.length === 1) sockets[0]!.emit("patch", event)
      else io.to(room).emit("patch", event)
    })
  })
  server.listen(listenOptions)
}

// ---------------------------------------------------------------------------------------------------------
// both
// ---------------------------------------------------------------------------------------------------------

/** The backlog: all clients that connect at once may wait to be accepted. */
const listenOptions = { host: "127.0.0.1", port: 0, backlog: 4_096 }

const listen = (answer: (asked: Asked) => void): void => {
  process.on("message", (asked: Asked) => {
    if (asked.type !== "cpu") return answer(asked)
    const { system, user } = process.cpuUsage()
    say({ type: "cpu", micros: system + user })
  })
}

if (process.send !== undefined) {
  const server = createServer()
  server.on("listening", () => say({ type: "listening", port: (server.address() as AddressInfo).port }))
  process.on("disconnect", () => process.exit(0))
  if (process.argv[2] === "live") await runLive(server)
  else runSocketIo(server)
}
