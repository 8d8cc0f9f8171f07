/**
 * A server with live views for one test, on a port of its own and the test's clock: over sockets and over plain HTTP, for
 * clients with a token and clients with a cookie.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { assert } from "@effect/vitest"
import { type Deferred, Deferred as D, Effect, Layer, Redacted, Schema } from "effect"
import { type KindOptions, Live, Reducer, Session, Store } from "effect-sessions"
import { Admission } from "effect-sessions/auth"
import { Connections, CookieKeys, CrossOrigin, HttpSession } from "effect-sessions/http"
import { JwtKeys, JwtVerifier } from "effect-sessions/jwt"
import { LiveHttp, LiveSocket, LiveViews } from "effect-sessions/live"
import { TestSessions } from "effect-sessions/testing"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import * as Rpc from "effect/rpc/Rpc"
import type { JWTPayload } from "jose"
import { audience, Client, type Dial, issuer, Nodes, secret, token, until } from "./socketServer.ts"

// ---------------------------------------------------------------------------------------------------------
// sessions
// ---------------------------------------------------------------------------------------------------------

const Item = Schema.Struct({ id: Schema.Int, name: Schema.String })

export class Nope extends Schema.TaggedError<Nope>()("Nope", { why: Schema.String }) {}

export class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Struct({ items: Schema.Array(Item), text: Schema.String, secret: Schema.String }),
  protocol: [
    Rpc.make("Add", { payload: Item, success: Schema.Int, error: Nope }),
    Rpc.make("Say", { payload: Schema.String }),
    Rpc.make("Big", { payload: Schema.Int, success: Schema.String }),
    Rpc.make("Odd", { error: Schema.Null }),
    Rpc.make("Wait"),
    Rpc.make("Die"),
    Rpc.make("Whisper", { payload: Schema.String })
  ]
}) {}

export class CartLive extends Live.Service<CartLive>()("CartLive", {
  kind: Cart,
  views: { items: Schema.Array(Item), total: Schema.Int, text: Schema.String },
  messages: ["Add", "Say", "Big", "Odd", "Wait", "Die"]
}) {}

export const select: LiveViews.Options<typeof CartLive>["select"] = {
  items: (cart) => cart.items,
  total: (cart) => cart.items.length,
  text: (cart) => cart.text
}

const counter = Reducer.make("counter", {
  prefix: "counter",
  state: Schema.Int,
  initial: 0,
  actions: { add: Schema.Int, hide: Schema.Void },
  on: { add: (state, n) => state + n, hide: () => 0 }
})

class Shelf extends Store.Service<Shelf>()("Shelf", { reducers: [counter] }) {}

class ShelfLive extends Live.Service<ShelfLive>()("ShelfLive", {
  kind: Shelf,
  views: { counter: Schema.Int },
  actions: ["counter.add"]
}) {}

class Visitor extends HttpSession.Service<Visitor>()("test/Visitor", { kind: Cart, cookie: "visitor" }) {}

export interface Setup {
  readonly kind?: KindOptions.KindOptions
  readonly views?: Partial<LiveViews.Options<typeof CartLive>>
  readonly socket?: Partial<LiveSocket.Options<typeof CartLive, never, never>>
  readonly http?: Partial<LiveHttp.Options<typeof CartLive, never, never>>
  readonly perOwner?: number
  /** Lets `Wait` go on. */
  readonly gate?: Deferred.Deferred<void>
}

const carts = ({ gate, kind }: Setup) =>
  Cart.toLayer(
    Cart.behavior({
      init: () => ({ items: [], text: "", secret: "swordfish" }),
      handlers: {
        Add: ({ payload, state }) =>
          payload.id < 0
            ? Effect.fail(new Nope({ why: `${payload.id} is below zero` }))
            : Effect.succeed([{ ...state, items: [...state.items, payload] }, state.items.length + 1] as const),
        Say: ({ payload, state }) => [{ ...state, text: payload }],
        Big: ({ payload, state }) => [state, "x".repeat(payload)],
        Odd: () => Effect.fail(null),
        Wait: ({ state }) => Effect.as(gate === undefined ? Effect.void : D.await(gate), [state] as const),
        Die: () => Effect.die(new Error("the password is swordfish")),
        Whisper: ({ payload, state }) => [{ ...state, secret: payload }]
      }
    }),
    kind as KindOptions.KindOptions<any>
  )

// ---------------------------------------------------------------------------------------------------------
// the server
// ---------------------------------------------------------------------------------------------------------

/** Routes that start a visitor's session, and give it another cookie. */
export const visitRoutes = <Self, Id extends string, K extends HttpSession.AnyKind>(
  visitor: HttpSession.ServiceClass<Self, Id, K>
) =>
  Layer.mergeAll(
    HttpRouter.add(
      "POST",
      "/start",
      Effect.gen(function*() {
        return HttpServerResponse.text(
          (yield* (yield* visitor).start(...([] as unknown as Session.StartArg<K["args"]["Type"]>))).id
        )
      }).pipe(Effect.orDie)
    ),
    HttpRouter.add(
      "POST",
      "/rotate",
      Effect.gen(function*() {
        return HttpServerResponse.text((yield* (yield* visitor).rotate()).id)
      }).pipe(Effect.orDie)
    )
  ).pipe(Layer.provide(HttpSession.middleware(visitor).layer))

const routes = ({ http, socket, views }: Setup) => {
  const byToken = Admission.token({ kind: Cart })
  const byCookie = Admission.cookie(Visitor)
  const quiet = { heartbeat: "10 hours" } as const
  return Layer.mergeAll(
    LiveSocket.layer(CartLive, { ...quiet, path: "/live", session: byToken, ...socket }),
    LiveSocket.layer(CartLive, { ...quiet, path: "/page", session: byCookie, ...socket }),
    LiveHttp.layer(CartLive, { ...quiet, path: "/sse", session: byToken, ...http }),
    LiveHttp.layer(CartLive, { ...quiet, path: "/events", session: byCookie, ...http }),
    LiveSocket.layer(ShelfLive, { ...quiet, path: "/shelf", session: Admission.token({ kind: Shelf }) }),
    LiveHttp.layer(ShelfLive, { ...quiet, path: "/shelf-sse", session: Admission.token({ kind: Shelf }) }),
    visitRoutes(Visitor)
  ).pipe(
    Layer.provide([
      LiveViews.layer(CartLive, { select, ...views }),
      LiveViews.layer(ShelfLive, { select: { counter: ({ counter }) => counter } })
    ])
  )
}

/** All of it, for a server of Node's that is not listening yet. */
export const layer = (setup: Setup = {}, { server } = new Nodes()) =>
  HttpRouter.serve(routes(setup), { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(() => server, {
      port: 0,
      host: "127.0.0.1",
      backlog: 2_048,
      disablePreemptiveShutdown: true
    })),
    Layer.provide(JwtVerifier.layer({ issuer, audience, clockTolerance: 0 })),
    Layer.provide(JwtKeys.layerSecret(Redacted.make(secret))),
    Layer.provide([CrossOrigin.layer(), CookieKeys.layerRandom]),
    Layer.provideMerge(Connections.layer({ perOwner: setup.perOwner })),
    Layer.provideMerge(TestSessions.layer(Layer.merge(carts(setup), Shelf.toLayer(Store.behavior(Shelf)))))
  )

export class Room {
  readonly port: number
  readonly url: string
  /** The server's ends of all TCP connections. */
  readonly nodes: Nodes
  private readonly peers: Array<Peer> = []
  private readonly close = new AbortController()
  /** Aborts requests when all go. */
  readonly closing: AbortSignal = this.close.signal

  constructor(port: number, nodes: Nodes) {
    this.port = port
    this.url = `http://127.0.0.1:${port}`
    this.nodes = nodes
  }

  /** Begins to connect. */
  dial(path: string, how: Dial = {}): Peer {
    const peer = new Peer(`ws://127.0.0.1:${this.port}${path}`, how)
    this.peers.push(peer)
    return peer
  }

  /** Connects, as a user. */
  connect(claims: JWTPayload = {}, path = "/live"): Effect.Effect<Peer> {
    return Effect.promise(async () => {
      const peer = this.dial(path, await bearer(claims))
      await peer.opened
      return peer
    })
  }

  fetch(path: string, init: RequestInit = {}): Effect.Effect<Response> {
    return Effect.promise(() =>
      fetch(this.url + path, {
        signal: this.closing,
        ...init,
        headers: { connection: "close", ...init.headers as Record<string, string> }
      })
    )
  }

  /** A browser's cookie; the one before is replaced if there is one. */
  cookie(path: "/start" | "/rotate", cookie?: string): Effect.Effect<{ readonly id: string; readonly cookie: string }> {
    return Effect.flatMap(
      this.fetch(path, { method: "POST", headers: cookie === undefined ? {} : { cookie } }),
      (answer) =>
        Effect.promise(async () => ({
          id: await answer.text(),
          cookie: answer.headers.getSetCookie()[0]!.split(";")[0]!
        }))
    )
  }

  /** All go, and the server has noticed. */
  readonly leave = Effect.suspend(() => {
    this.close.abort()
    for (const peer of this.peers) peer.socket.terminate()
    return until(Effect.sync(() => {
      // Node's `fetch` opens one more than it needs at times, and keeps it.
      for (const socket of this.nodes.sockets) if (socket.bytesRead === 0) socket.destroy()
      return this.nodes.sockets.size === 0
    }))
  })
}

/** A server for as long as the Effect runs. */
export const room = <A, E, R>(setup: Setup, use: (room: Room) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const nodes = new Nodes()
    return Effect.gen(function*() {
      const { address } = yield* HttpServer.HttpServer
      const room = new Room("port" in address ? address.port : 0, nodes)
      return yield* Effect.ensuring(use(room), Effect.andThen(room.leave, TestSessions.settle))
    }).pipe(Effect.provide(layer(setup, nodes)))
  })

/** The session of a user, on the server. */
export const cart = (id = "ada") => Effect.map(Cart, (carts) => carts.ref(id))

export const say = (text: string, id?: string) => Effect.flatMap(cart(id), (ref) => ref.call("Say", text))

export const info = (id?: string) => Effect.flatMap(cart(id), (ref) => ref.info)

/** No client is connected any more, and the session has noticed it. */
export const allGone = (id?: string) =>
  until(Effect.gen(function*() {
    return (yield* (yield* Connections).count) === 0 && (yield* info(id)).connections === 0
  }))

// ---------------------------------------------------------------------------------------------------------
// clients
// ---------------------------------------------------------------------------------------------------------

export const bearer = async (claims?: JWTPayload) => ({ headers: { authorization: `Bearer ${await token(claims)}` } })

/** A client that speaks the messages of Effect RPC by hand. */
export class Peer extends Client {
  private ids = 0

  /** Sends a request and gives its id. Without a payload it is `null`, as Effect's client has it. */
  ask(tag: string, payload: unknown = null, headers: Record<string, string> = {}): Effect.Effect<string> {
    const id = String(++this.ids)
    return Effect.as(this.send({ _tag: "Request", id, tag, payload, headers: Object.entries(headers) }), id)
  }

  view(view: string, after?: Live.Position): Effect.Effect<string> {
    return this.ask(Live.view._tag, after === undefined ? { view } : { view, after })
  }

  ack(requestId: string): Effect.Effect<void> {
    return this.send({ _tag: "Ack", requestId })
  }

  /** The next message, which is to be of a view. */
  get event(): Effect.Effect<any> {
    return Effect.map(this.next, (message) => {
      assert.strictEqual(message._tag, "Chunk", JSON.stringify(message))
      assert.strictEqual(message.values.length, 1)
      return message.values[0]
    })
  }

  /** The next message, which is to be an answer: a success, or an error. */
  get answer(): Effect.Effect<any> {
    return Effect.map(this.next, (message) => {
      assert.strictEqual(message._tag, "Exit", JSON.stringify(message))
      const { exit } = message
      if (exit._tag === "Success") return { success: exit.value }
      assert.strictEqual(exit.cause.length, 1)
      const [{ _tag, defect, error }] = exit.cause
      return _tag === "Fail" ? error : { _tag, defect }
    })
  }

  /** Sends an action and gives its answer, if nothing else comes before it. */
  act(tag: string, payload?: unknown, headers?: Record<string, string>): Effect.Effect<any> {
    return Effect.andThen(this.ask(tag, payload, headers), this.answer)
  }

  override get sync(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      yield* this.send({ _tag: "Ping" })
      assert.deepStrictEqual(yield* this.next, { _tag: "Pong" })
    })
  }
}
