/**
 * A server with sockets for one test, on a port of its own and the test's clock, and clients for it that are not ours:
 * `ws`, bare TCP, and tokens that `jose` makes.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { assert } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { type KindOptions, Session, Sessions, type SessionsConfig } from "effect-sessions"
import { Connections, CookieKeys, CrossOrigin, HttpSession } from "effect-sessions/http"
import { JwtKeys, JwtVerifier } from "effect-sessions/jwt"
import { SessionSocket } from "effect-sessions/socket"
import { TestSessions } from "effect-sessions/testing"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import * as Rpc from "effect/rpc/Rpc"
import * as Jose from "jose"
import { createServer, type IncomingMessage, type Server as NodeServer } from "node:http"
import * as Net from "node:net"
import { type ClientOptions, WebSocket } from "ws"

// ---------------------------------------------------------------------------------------------------------
// sessions
// ---------------------------------------------------------------------------------------------------------

export class UnknownUser extends Schema.TaggedError<UnknownUser>()("UnknownUser", { message: Schema.String }) {}

export class Member extends Session.Service<Member>()("Member", {
  state: Schema.Struct({ count: Schema.Int, text: Schema.String }),
  protocol: [Rpc.make("Add"), Rpc.make("Say", { payload: Schema.String }), Rpc.make("Die")],
  error: UnknownUser
}) {}

export const fresh: Session.State<typeof Member> = { count: 0, text: "" }

/** What a cookie is for. */
class Visit extends Session.Service<Visit>()("Visit", { state: Schema.Int, protocol: [] }) {}

class Visitor extends HttpSession.Service<Visitor>()("test/Visitor", { kind: Visit, cookie: "visitor" }) {}

export interface Setup {
  readonly sessions?: SessionsConfig.Options
  readonly kind?: KindOptions.KindOptions<"Add" | "Say" | "Die">
  readonly init?: () => Effect.Effect<Session.State<typeof Member>, UnknownUser>
  readonly afterStart?: (id: string) => Effect.Effect<void, UnknownUser>
  readonly socket?: Partial<SessionSocket.Options<typeof Member>>
  readonly keys?: Layer.Layer<JwtKeys, any>
  readonly perOwner?: number
  readonly allow?: ReadonlyArray<string>
}

const members = ({ afterStart, init, kind }: Setup) =>
  Member.toLayer(
    Member.behavior({
      init: () => init === undefined ? Effect.succeed(fresh) : init(),
      ...(afterStart === undefined ? {} : {
        afterStart: ({ self, state }) => Effect.as(afterStart(self.id), state)
      }),
      handlers: {
        Add: ({ state }) => [{ ...state, count: state.count + 1 }],
        Say: ({ payload, state }) => [{ ...state, text: payload }],
        Die: () => Effect.die(new Error("on demand"))
      }
    }),
    kind
  )

const visits = Visit.toLayer(Visit.behavior({ init: () => 0, handlers: {} }))

// ---------------------------------------------------------------------------------------------------------
// tokens
// ---------------------------------------------------------------------------------------------------------

export const secret = "0123456789abcdef0123456789abcdef"
export const issuer = "https://id.example"
export const audience = "sockets"

export const bytes = (text: string) => new TextEncoder().encode(text)

/** A test begins in 1970. */
const tomorrow = 24 * 60 * 60

/** A token as an issuer makes it. */
export const token = (
  claims: Jose.JWTPayload = {},
  key: Jose.KeyInput = bytes(secret),
  header: Jose.JWTHeaderParameters = { alg: "HS256" }
): Promise<string> =>
  new Jose.SignJWT({ sub: "ada", iss: issuer, aud: audience, exp: tomorrow, ...claims })
    .setProtectedHeader(header).sign(key)

// ---------------------------------------------------------------------------------------------------------
// the server
// ---------------------------------------------------------------------------------------------------------

/** Lets sockets do what they can do now. */
export const turn = Effect.promise(() => new Promise<void>((resume) => setImmediate(resume)))

/** Waits, whatever the test's clock says, until something that is on its way has come. */
export const until = <E, R>(holds: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    while (!(yield* holds)) yield* turn
  })

const routes = (setup: Setup) =>
  Layer.mergeAll(
    SessionSocket.layer({ path: "/socket", kind: Member, boundTo: Visit, heartbeat: "10 hours", ...setup.socket }),
    Layer.mergeAll(
      HttpRouter.add(
        "POST",
        "/visit",
        Effect.gen(function*() {
          const visitor = yield* Visitor
          yield* visitor.start()
          return HttpServerResponse.text(yield* visitor.binding)
        }).pipe(Effect.orDie)
      ),
      HttpRouter.add(
        "POST",
        "/rotate",
        Effect.gen(function*() {
          const visitor = yield* Visitor
          yield* visitor.rotate()
          return HttpServerResponse.text(yield* visitor.binding)
        }).pipe(Effect.orDie)
      ),
      HttpRouter.add(
        "POST",
        "/end",
        Effect.as(Effect.flatMap(Visitor, (visitor) => visitor.end), HttpServerResponse.empty())
      )
    ).pipe(Layer.provide(HttpSession.middleware(Visitor).layer))
  )

export class Nodes {
  readonly server: NodeServer = createServer()
  readonly sockets = new Set<Net.Socket>()

  constructor() {
    this.server.on("connection", (socket) => {
      this.sockets.add(socket)
      socket.on("close", () => this.sockets.delete(socket))
    })
  }
}

/** All of it, for a server of Node's that is not listening yet. */
export const layer = (setup: Setup = {}, { server } = new Nodes()) =>
  HttpRouter.serve(routes(setup), { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(() => server, {
      port: 0,
      host: "127.0.0.1",
      backlog: 2_048,
      // It would wait 20 seconds for open sockets before they can be closed.
      disablePreemptiveShutdown: true
    })),
    Layer.provide(JwtVerifier.layer({ issuer, audience, clockTolerance: 0 })),
    Layer.provide(setup.keys ?? JwtKeys.layerSecret(Redacted.make(secret))),
    Layer.provide([CrossOrigin.layer({ allow: setup.allow }), CookieKeys.layerRandom]),
    Layer.provideMerge(Connections.layer({ perOwner: setup.perOwner })),
    Layer.provideMerge(TestSessions.layer(Layer.merge(members(setup), visits), setup.sessions))
  )

export class Room {
  readonly url: string
  readonly port: number
  /** The server's ends of all TCP connections. */
  readonly sockets: ReadonlySet<Net.Socket>
  readonly clients: Array<Client> = []
  readonly bare: Array<Bare> = []

  constructor(port: number, sockets: ReadonlySet<Net.Socket>) {
    this.port = port
    this.url = `http://127.0.0.1:${port}`
    this.sockets = sockets
  }

  /** Begins to connect. */
  dial(how: Dial = {}): Client {
    const client = new Client(`ws://127.0.0.1:${this.port}/socket`, how)
    this.clients.push(client)
    return client
  }

  /** Connects, as a user. */
  connect(claims: Jose.JWTPayload = {}, how: Dial = {}): Effect.Effect<Client> {
    return Effect.promise(async () => {
      const client = this.dial({ headers: { authorization: `Bearer ${await token(claims)}` }, ...how })
      await client.opened
      return client
    })
  }

  /** Connects, and gives the refusal. */
  refused(how: Dial = {}): Effect.Effect<Refusal> {
    return Effect.promise(() => this.dial(how).refused)
  }

  /** A TCP connection. */
  tcp(text: string): Effect.Effect<Bare> {
    return Effect.promise(() => {
      const bare = new Bare(this.port, text)
      this.bare.push(bare)
      return bare.opened
    })
  }

  post(path: string, headers: Record<string, string> = {}): Effect.Effect<{ text: string; cookie: string }> {
    return Effect.promise(async () => {
      const answer = await fetch(this.url + path, { method: "POST", headers: { connection: "close", ...headers } })
      const cookie = answer.headers.getSetCookie()[0]?.split(";")[0] ?? ""
      return { text: await answer.text(), cookie }
    })
  }

  /** All go, and the server has noticed. */
  readonly leave = Effect.suspend(() => {
    for (const client of this.clients) client.socket.terminate()
    for (const bare of this.bare) bare.socket.destroy()
    return until(Effect.sync(() => this.sockets.size === 0))
  })
}

/** A server for as long as the Effect runs. */
export const room = <A, E, R>(setup: Setup, use: (room: Room) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const nodes = new Nodes()
    return Effect.gen(function*() {
      const { address } = yield* HttpServer.HttpServer
      const room = new Room("port" in address ? address.port : 0, nodes.sockets)
      return yield* Effect.ensuring(use(room), Effect.andThen(room.leave, TestSessions.settle))
    }).pipe(Effect.provide(layer(setup, nodes)))
  })

/** How many sessions and connections there are. */
export const counts = Effect.gen(function*() {
  const { count } = yield* (yield* Sessions).count
  return { sessions: count, connections: yield* (yield* Connections).count }
})

export const info = (id = "ada") => Effect.flatMap(Sessions, (sessions) => sessions.inspect({ kind: Member.kind, id }))

// ---------------------------------------------------------------------------------------------------------
// clients
// ---------------------------------------------------------------------------------------------------------

export interface Dial extends ClientOptions {
  readonly query?: string
  readonly protocols?: ReadonlyArray<string>
}

export interface Refusal {
  readonly status: number
  readonly headers: IncomingMessage["headers"]
  readonly json: any
}

export class Client {
  readonly socket: WebSocket
  readonly opened: Promise<void>
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>
  readonly refused: Promise<Refusal>
  /** What the server answered the handshake with. */
  headers: IncomingMessage["headers"] = {}
  pings = 0
  /** What came, frame by frame. */
  readonly frames: Array<string> = []
  private readonly queue: Array<any> = []
  private waiter: (() => void) | undefined

  constructor(url: string, { protocols = [], query = "", ...options }: Dial) {
    const socket = this.socket = new WebSocket(url + query, [...protocols], { perMessageDeflate: false, ...options })
    socket.on("error", () => {})
    socket.on("ping", () => this.pings++)
    socket.on("upgrade", ({ headers }) => {
      this.headers = headers
    })
    socket.on("message", (data) => {
      const frame = String(data)
      this.frames.push(frame)
      for (const line of frame.trimEnd().split("\n")) this.queue.push(JSON.parse(line))
      this.waiter?.()
    })
    this.closed = new Promise((resume) =>
      socket.on("close", (code, reason) => {
        resume({ code, reason: String(reason) })
        this.queue.push({ closed: code })
        this.waiter?.()
      })
    )
    this.opened = new Promise((resume, reject) => {
      socket.on("open", () => resume())
      socket.on("unexpected-response", (_, { statusCode }) => reject(new Error(`refused with ${statusCode}`)))
      socket.on("close", () => reject(new Error("closed")))
    })
    this.opened.catch(() => {})
    this.refused = new Promise((resume, reject) => {
      socket.on("open", () => reject(new Error("it was let in")))
      socket.on("unexpected-response", (request, answer) => {
        let text = ""
        answer.on("data", (data) => text += String(data))
        answer.on("end", () => {
          request.destroy()
          resume({ status: answer.statusCode!, headers: answer.headers, json: JSON.parse(text) })
        })
      })
    })
    this.refused.catch(() => {})
  }

  /** The next message; after the last one comes `{ closed: code }`. */
  get next(): Effect.Effect<any> {
    return Effect.promise(async () => {
      while (this.queue.length === 0) {
        await new Promise<void>((resume) => {
          this.waiter = resume
        })
      }
      return this.queue.shift()
    })
  }

  get end() {
    return Effect.promise(() => this.closed)
  }

  send(message: unknown): Effect.Effect<void> {
    return Effect.sync(() => this.socket.send(typeof message === "string" ? message : JSON.stringify(message)))
  }

  /** Goes, and knows that it has. */
  get leave() {
    this.socket.close()
    return this.end
  }

  /** All that was sent before this has been handled: an answer has come. */
  get sync(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      yield* this.send({ type: "ping" })
      assert.deepStrictEqual(yield* this.next, { type: "pong" })
    })
  }
}

/** A client that speaks TCP only. */
export class Bare {
  readonly socket: Net.Socket
  readonly opened: Promise<this>
  /** All that the server said, once it has hung up. */
  readonly said: Promise<string>
  /** The first of it. */
  readonly heard: Promise<string>
  private text = ""

  constructor(port: number, text: string) {
    this.socket = Net.connect(port, "127.0.0.1")
    this.socket.on("error", () => {})
    this.opened = new Promise((resume) => this.socket.on("connect", () => this.socket.write(text, () => resume(this))))
    this.said = new Promise((resume) => this.socket.on("close", () => resume(this.text)))
    this.heard = new Promise((resume) => this.socket.once("data", (data) => resume(String(data))))
    this.socket.on("data", (data) => this.text += String(data))
  }
}

/** The head of a handshake, as text. */
export const handshake = (token: string, without: ReadonlyArray<string> = []) =>
  [
    `GET /socket?token=${token} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
  ].filter((line) => !without.some((name) => line.startsWith(name))).concat("", "").join("\r\n")
