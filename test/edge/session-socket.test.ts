import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Scope } from "effect"
import { EndReason, Sessions } from "effect-sessions"
import { Connections } from "effect-sessions/http"
import { JwtKeys } from "effect-sessions/jwt"
import { CloseCode } from "effect-sessions/socket"
import { TestSessions } from "effect-sessions/testing"
import { HttpServer } from "effect/http"
import { TestClock } from "effect/testing"
import * as Jose from "jose"
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import {
  audience,
  bytes,
  Client,
  counts,
  fresh,
  handshake,
  info,
  issuer,
  layer,
  Member,
  type Refusal,
  room,
  secret,
  token,
  turn,
  UnknownUser,
  until
} from "./socketServer.ts"

const state = (changed: Partial<typeof fresh> = {}) => ({ type: "state", state: { ...fresh, ...changed } })

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

const member = (id = "ada") => Effect.map(Member, (members) => members.ref(id))

const add = (id?: string) => Effect.flatMap(member(id), (ref) => ref.call("Add"))

/** No client is connected any more, and each session has noticed it. */
const allGone = until(
  Effect.gen(function*() {
    const { connections } = yield* counts
    const sessions = yield* Sessions
    let left = connections
    for (const ref of yield* sessions.list(Member.kind)) {
      left += (yield* Effect.orElseSucceed(ref.info, () => ({ connections: 0 }))).connections
    }
    return left === 0
  })
)

const nothing = { sessions: 0, connections: 0 }

/** Tokens of another process, which has nothing of ours. */
const issuedElsewhere = async (claims: ReadonlyArray<Jose.JWTPayload>): Promise<Array<string>> => {
  const program = `
    const { SignJWT } = await import("jose")
    const key = new TextEncoder().encode(${JSON.stringify(secret)})
    for (const claims of ${JSON.stringify(claims)}) {
      console.log(await new SignJWT(claims).setProtectedHeader({ alg: "HS256", typ: "JWT" }).sign(key))
    }`
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program])
  return stdout.trim().split("\n")
}

describe("a client that is let in", () => {
  it.effect("brings its token in the query, in a header or as subprotocol, which is not echoed", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const [good = ""] = yield* Effect.promise(() =>
          issuedElsewhere([{ sub: "ada", iss: issuer, aud: audience, exp: 60 }])
        )
        const ways = [{ query: `?token=${good}` }, bearer(good), { protocols: ["bearer", good] }]
        for (const [i, way] of ways.entries()) {
          const client = room.dial(way)
          assert.deepStrictEqual(yield* client.next, state())
          assert.strictEqual(client.headers["sec-websocket-protocol"], i < 2 ? undefined : "bearer")
          assert.notInclude(JSON.stringify(client.headers), good)
        }
        assert.deepStrictEqual(yield* counts, { sessions: 1, connections: 3 })
        assert.strictEqual((yield* info()).connections, 3)
        assert.strictEqual((yield* info()).user, "ada")
      })))

  it.effect("gets the state at once and after each change, as its view encodes it", () =>
    room({ socket: { view: ({ count }) => ({ twice: count * 2 }) } }, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        assert.deepStrictEqual(yield* client.next, { type: "state", state: { twice: 0 } })
        for (const twice of [2, 4, 6]) {
          yield* add()
          assert.deepStrictEqual(yield* client.next, { type: "state", state: { twice } })
        }
      })))

  it.effect("finds the session that there is, as it is", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        yield* (yield* Member).start("ada")
        yield* add()
        const client = yield* room.connect()
        assert.deepStrictEqual(yield* client.next, state({ count: 1 }))
      })))

  it.effect("a ping is answered, and counts as activity", () =>
    room({ kind: { idleTimeout: "30 minutes" } }, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        for (let i = 0; i < 3; i++) {
          yield* TestClock.adjust("29 minutes")
          yield* client.sync
          // The answer is sent before the session records the activity.
          yield* until(Effect.map(info(), ({ lastActiveAt }) => lastActiveAt === (i + 1) * 29 * 60_000))
        }
      })))

  it.effect("what is no message is answered with an error, and nothing else happens", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        for (const bad of ["", " \n ", "{", "[1]", "null", "1", `"ping"`, "{}", `{"type":"ping"`, "[".repeat(60_000)]) {
          yield* client.send(bad)
          if (bad.trim() === "") continue
          const { error, type } = yield* client.next
          assert.deepStrictEqual([type, error._tag], ["error", "InvalidMessage"], bad.slice(0, 80))
        }
        yield* client.send({ type: "dance" })
        assert.strictEqual((yield* client.next).error._tag, "UnknownMessage")
        yield* client.sync
      })))

  it.effect("a type that is not a string does no harm", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        for (const type of [{ toString: null }, { toString: 1, valueOf: 1 }, [{ toString: {} }], null, 7, [[]]]) {
          yield* client.send({ type })
          assert.strictEqual((yield* client.next).error._tag, "UnknownMessage")
        }
        yield* client.send({ type: "x".repeat(60_000) })
        assert.isBelow(JSON.stringify(yield* client.next).length, 1_000)
        yield* client.sync
      })))

  it.effect("a binary frame ends it with 1003, text that is not UTF-8 with 1007", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const binary = yield* room.connect()
        binary.socket.send(Buffer.from(`{"type":"ping"}`), { binary: true })
        assert.strictEqual((yield* binary.end).code, 1003)
        const broken = yield* room.connect()
        broken.socket.send(Buffer.from([0xc3, 0x28]), { binary: false })
        assert.strictEqual((yield* broken.end).code, 1007)
        yield* allGone
      })))

  it.effect("a frame may have several messages, a line each", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        yield* client.send(`{"type":"ping"}\r\n\n{\n{"type":"ping"}\n`)
        assert.deepStrictEqual(
          [yield* client.next, (yield* client.next).error._tag, yield* client.next],
          [{ type: "pong" }, "InvalidMessage", { type: "pong" }]
        )
      })))
})

describe("receive", () => {
  it.effect("gets one message at a time, in order", () => {
    const log: Array<string> = []
    const gates = new Map<string, Deferred.Deferred<void>>()
    const gate = (type: string) => {
      const found = gates.get(type) ?? Deferred.makeUnsafe<void>()
      gates.set(type, found)
      return found
    }
    return room({
      socket: {
        receive: ({ type }, { claims, send, session }) =>
          Effect.gen(function*() {
            log.push(`+${String(type)}`)
            yield* Deferred.await(gate(String(type)))
            log.push(`-${String(type)}`)
            yield* send({ type: "done", it: type, sub: claims.sub, id: session.id })
          })
      }
    }, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        yield* client.send(`{"type":"a"}\n{"type":"b"}`)
        yield* client.send({ type: "c" })
        yield* until(Effect.sync(() => log.length === 1))
        // The messages are handled in order, whichever is admitted first.
        for (const type of ["c", "b", "a"]) {
          Deferred.doneUnsafe(gate(type), Exit.void)
          yield* turn
        }
        for (const it of ["a", "b", "c"]) {
          assert.deepStrictEqual(yield* client.next, { type: "done", it, sub: "ada", id: "ada" })
        }
        assert.deepStrictEqual(log, ["+a", "-a", "+b", "-b", "+c", "-c"])
      }))
  })

  it.effect("a receive that dies is reported, without its defect, and the next message is handled", () =>
    room({
      socket: {
        receive: ({ type }, { close }) =>
          type === "bye" ? close(4000, "as you like") : Effect.die(new Error("the password is swordfish"))
      }
    }, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        for (const type of ["x", { toString: null }]) {
          yield* client.send({ type })
          const answer = yield* client.next
          assert.strictEqual(answer.error._tag, "InternalError")
          assert.notInclude(JSON.stringify(answer), "swordfish")
        }
        yield* client.sync
        yield* client.send({ type: "bye" })
        assert.deepStrictEqual(yield* client.end, { code: 4000, reason: "as you like" })
        yield* allGone
      })))

  it.effect("a receive that throws, or takes long, does not disconnect a good client", () => {
    const gate = Deferred.makeUnsafe<void>()
    return room({
      socket: {
        heartbeat: "30 seconds",
        receive: ({ type }) => {
          if (type === "throw") throw new Error("thrown")
          return Deferred.await(gate)
        }
      }
    }, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        yield* client.send({ type: "throw" })
        assert.strictEqual((yield* client.next).error._tag, "InternalError")
        yield* client.send({ type: "wait" })
        yield* client.send({ type: "ping" })
        for (let i = 0; i < 4; i++) {
          yield* turn
          yield* TestClock.adjust("30 seconds")
        }
        Deferred.doneUnsafe(gate, Exit.void)
        assert.deepStrictEqual(yield* client.next, { type: "pong" })
      }))
  })
})

const isRefused = (refusal: Refusal, status: number, tag: string) => {
  assert.deepStrictEqual([refusal.status, refusal.json._tag], [status, tag], JSON.stringify(refusal.json))
  assert.include(refusal.headers["content-type"], "application/json")
  assert.isString(refusal.json.message)
  if (status === 401) assert.match(refusal.headers["www-authenticate"] ?? "", /^Bearer/)
  if (status === 429 || status === 503) assert.isAtLeast(Number(refusal.headers["retry-after"]), 1)
}

describe("refused before the upgrade", () => {
  const good = { sub: "ada", iss: issuer, aud: audience, exp: 60 }

  it.effect("401: no token, or an invalid token", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_000_000)
        const times = { iat: 1_000, exp: 1_060 }
        const elsewhere = yield* Effect.promise(() =>
          issuedElsewhere([
            { ...good, ...times },
            { ...good, ...times, exp: 1_000 },
            { ...good, ...times, nbf: 1_001 },
            { ...good, ...times, iat: 1_001 },
            { ...good, ...times, aud: "others" },
            { ...good, ...times, iss: "https://evil.example" },
            { iss: issuer, aud: audience, ...times },
            { ...good, ...times, sub: "" },
            { iss: issuer, aud: audience, sub: "ada" }
          ])
        )
        const [first = "", ...bad] = elsewhere
        const [header, payload, signature] = first.split(".") as [string, string, string]
        const claims = { ...good, ...times }
        const unsecured = new Jose.UnsecuredJWT(claims).encode()
        const encoded = (value: unknown) => Jose.base64url.encode(JSON.stringify(value))
        const tokens = [
          ...bad,
          yield* Effect.promise(() => token(claims, bytes("f".repeat(32)))),
          yield* Effect.promise(() => token(claims, bytes(secret + secret), { alg: "HS512" })),
          yield* Effect.promise(() => token(claims, bytes(secret), { alg: "HS512" })),
          `${header}.${payload}.`,
          `${header}.${payload}.${signature.slice(0, -1)}`,
          `${header}.${payload}`,
          `${header}.${encoded({ ...claims, sub: "eve" })}.${signature}`,
          unsecured,
          `${encoded({ alg: "none" })}.${payload}.${signature}`,
          `${encoded({ alg: "NONE" })}.${payload}.`,
          "a.b.c",
          "x".repeat(9_000)
        ]
        isRefused(yield* room.refused(), 401, "NoSession")
        isRefused(yield* room.refused({ query: "?token=" }), 401, "InvalidToken")
        isRefused(yield* room.refused({ protocols: ["bearer"] }), 401, "NoSession")
        isRefused(yield* room.refused({ headers: { authorization: "Basic YWRhOmFkYQ==" } }), 401, "NoSession")
        for (const token of tokens) {
          const refusal = yield* room.refused(bearer(token))
          isRefused(refusal, 401, "InvalidToken")
          assert.notInclude(JSON.stringify(refusal.json), token)
        }
        // A header that is no good is not made up for by a query that is.
        isRefused(yield* room.refused({ ...bearer("bad"), query: `?token=${first}` }), 401, "InvalidToken")
        assert.deepStrictEqual(yield* counts, nothing)
        assert.deepStrictEqual(yield* room.dial(bearer(first)).next, state())
      })))

  const rsa = Jose.generateKeyPair("RS256", { extractable: true })

  it.effect("401: a public key is not taken for a secret", () =>
    Effect.gen(function*() {
      const { privateKey, publicKey } = yield* Effect.promise(() => rsa)
      const pem = yield* Effect.promise(() => Jose.exportSPKI(publicKey))
      const confused = [pem, pem.trim(), `${pem.trim()}\n`]
      return yield* room({ keys: JwtKeys.layerPublicKey({ algorithm: "RS256", key: pem }) }, (room) =>
        Effect.gen(function*() {
          for (const key of confused) {
            const forged = yield* Effect.promise(() =>
              token({}, bytes(key))
            )
            isRefused(yield* room.refused(bearer(forged)), 401, "InvalidToken")
          }
          assert.deepStrictEqual(yield* counts, nothing)
          const real = yield* Effect.promise(() => token({}, privateKey, { alg: "RS256" }))
          assert.deepStrictEqual(yield* room.dial(bearer(real)).next, state())
        }))
    }))

  it.effect("401: a subject that is no id of a session", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        for (const sub of ["../ada", "a b", "a/b", "ä", "x".repeat(129), "\u0000"]) {
          const refusal = yield* room.refused(bearer(yield* Effect.promise(() => token({ sub }))))
          isRefused(refusal, 401, "InvalidToken")
        }
        assert.deepStrictEqual(yield* counts, nothing)
      })))

  it.effect("403: the page of another origin; an allowed origin passes", () =>
    room({ allow: ["https://app.example"] }, (room) =>
      Effect.gen(function*() {
        const query = `?token=${yield* Effect.promise(() => token())}`
        for (
          const origin of ["https://evil.example", "null", "https://app.example.evil.example", "http://app.example"]
        ) {
          isRefused(yield* room.refused({ query, origin }), 403, "CrossOriginRefused")
        }
        assert.deepStrictEqual(yield* counts, nothing)
        for (const origin of ["https://app.example", room.url]) {
          assert.deepStrictEqual(yield* room.dial({ query, origin }).next, state())
        }
      })))

  it.effect("426: a request that asks for no upgrade", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const answer = yield* Effect.promise(() => fetch(`${room.url}/socket`, { headers: { connection: "close" } }))
        assert.strictEqual(answer.status, 426)
        assert.strictEqual(answer.headers.get("upgrade"), "websocket")
        assert.strictEqual((yield* Effect.promise(() => answer.json() as Promise<any>))._tag, "UpgradeRequired")
        assert.deepStrictEqual(yield* counts, nothing)
      })))

  it.effect("429: as many connections of one user as are allowed, until one closes", () =>
    room({ perOwner: 2 }, (room) =>
      Effect.gen(function*() {
        const one = yield* room.connect()
        yield* room.connect()
        const refusal = yield* room.refused(bearer(yield* Effect.promise(() => token())))
        isRefused(refusal, 429, "TooManyConnections")
        assert.strictEqual(refusal.headers["retry-after"], "5")
        assert.deepStrictEqual(yield* counts, { sessions: 1, connections: 2 })
        // Others are not concerned.
        yield* room.connect({ sub: "bob" })
        yield* one.leave
        yield* until(Effect.map(counts, ({ connections }) => connections === 2))
        yield* room.connect()
        assert.strictEqual((yield* info()).connections, 2)
      })))

  it.effect("429: many at once do not get past the limit", () =>
    room({ perOwner: 3 }, (room) =>
      Effect.gen(function*() {
        const how = bearer(yield* Effect.promise(() => token()))
        const clients = Array.from({ length: 20 }, () => room.dial(how))
        const outcomes = yield* Effect.promise(() =>
          Promise.all(
            clients.map(({ opened, refused }) => opened.then(() => 101, () => refused.then(({ status }) => status)))
          )
        )
        assert.strictEqual(
          outcomes.filter((status) => status === 101).length,
          3
        )
        assert.strictEqual(outcomes.filter((status) => status === 429).length, 17)
        assert.deepStrictEqual(yield* counts, { sessions: 1, connections: 3 })
      })))

  it.effect("429: as many starts as are allowed, in all or from one address", () =>
    Effect.forEach(
      [
        { startRate: { limit: 1, window: "1 minute" } },
        { startRatePerAddress: { limit: 1, window: "1 minute" } }
      ] as const,
      (sessions) =>
        room({ sessions }, (room) =>
          Effect.gen(function*() {
            const ada = yield* room.connect()
            const how = bearer(yield* Effect.promise(() => token({ sub: "bob" })))
            const refusal = yield* room.refused(how)
            assert.strictEqual(refusal.status, 429)
            isRefused(refusal, 429, refusal.json._tag)
            assert.deepStrictEqual(yield* counts, { sessions: 1, connections: 1 })
            // Whose session is there already may come.
            yield* room.connect()
            yield* ada.leave
            yield* TestClock.adjust("1 minute")
            yield* room.connect({ sub: "bob" })
          })),
      { discard: true }
    ))

  it.effect("503: as many sessions as are allowed", () =>
    room({ sessions: { maxSessions: 1 } }, (room) =>
      Effect.gen(function*() {
        yield* room.connect()
        const refusal = yield* room.refused(bearer(yield* Effect.promise(() => token({ sub: "bob" }))))
        isRefused(refusal, 503, refusal.json._tag)
        assert.deepStrictEqual(yield* counts, { sessions: 1, connections: 1 })
      })))

  it.effect("503: a session that does not start, whose defect or error is not sent", () =>
    Effect.forEach([
      Effect.die(new Error("the password is swordfish")),
      Effect.fail(new UnknownUser({ message: "the password is swordfish" }))
    ], (broken) =>
      room({ init: () => broken }, (room) =>
        Effect.gen(function*() {
          const refusal = yield* room.refused(bearer(yield* Effect.promise(() => token())))
          isRefused(refusal, 503, "SessionUnavailable")
          assert.notInclude(JSON.stringify(refusal), "swordfish")
          yield* TestSessions.settle
          assert.deepStrictEqual(yield* counts, nothing)
        })), { discard: true }))

  it.effect("400: a bad handshake, which leaves nothing behind", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const good = yield* Effect.promise(() => token())
        for (const missing of ["Sec-WebSocket-Key", "Sec-WebSocket-Version"]) {
          const bare = yield* room.tcp(handshake(good, [missing]))
          assert.match(yield* Effect.promise(() => bare.said), /^HTTP\/1\.1 400 /)
        }
        yield* allGone
        assert.deepStrictEqual(yield* counts, nothing)
      })))

  it.effect("an upgrade without `Connection: Upgrade` is none", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const good = yield* Effect.promise(() => token())
        const bare = yield* room.tcp(
          handshake(good, ["Connection"]).replace("Host:", "Connection: close\r\nHost:")
        )
        assert.match(yield* Effect.promise(() => bare.heard), /^HTTP\/1\.1 426 /)
        assert.deepStrictEqual(yield* counts, nothing)
      })))
})

describe("a session per user", () => {
  it.effect("its devices share it, and each gets each state", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const phone = yield* room.connect()
        const laptop = yield* room.connect()
        const bob = yield* room.connect({ sub: "bob" })
        assert.deepStrictEqual(yield* counts, { sessions: 2, connections: 3 })
        for (const client of [phone, laptop, bob]) assert.deepStrictEqual(yield* client.next, state())
        for (const count of [1, 2, 3]) {
          yield* add()
          assert.deepStrictEqual(yield* phone.next, state({ count }))
          assert.deepStrictEqual(yield* laptop.next, state({ count }))
        }
        yield* add("bob")
        assert.deepStrictEqual(yield* bob.next, state({ count: 1 }))
      })))

  it.effect("lives for the reconnect window when the last one is gone", () =>
    room({ kind: { reconnectWindow: "30 seconds", idleTimeout: "30 minutes" } }, (room) =>
      Effect.gen(function*() {
        const phone = yield* room.connect()
        const laptop = yield* room.connect()
        yield* phone.leave
        yield* until(Effect.map(counts, ({ connections }) => connections === 1))
        yield* TestClock.adjust("1 minute")
        yield* add()
        for (let i = 0; i < 3; i++) {
          yield* (i === 0 ? laptop : yield* room.connect()).leave
          yield* allGone
          yield* TestClock.adjust("29 seconds")
        }
        const back = yield* room.connect()
        assert.deepStrictEqual(yield* back.next, state({ count: 1 }))
        yield* TestClock.adjust("1 minute")
        assert.isTrue(yield* (yield* member()).isLive)
        back.socket.terminate()
        yield* allGone
        yield* TestClock.adjust("29 seconds")
        assert.isTrue(yield* (yield* member()).isLive)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* counts, nothing)
        const [stop] = yield* (yield* TestSessions.Recorder).of("Stop")
        assert.deepStrictEqual(stop?.reason, EndReason.disconnected)
      })))

  it.effect("an idle session ends, and its clients are notified", () =>
    room({ kind: { idleTimeout: "30 minutes" } }, (room) =>
      Effect.gen(function*() {
        const clients = [yield* room.connect(), yield* room.connect()]
        for (const client of clients) yield* client.next
        yield* TestSessions.elapse("30 minutes")
        for (const client of clients) {
          assert.deepStrictEqual(yield* client.next, { type: "end", reason: "Expired" })
          assert.strictEqual((yield* client.end).code, CloseCode.normal)
        }
        yield* allGone
        assert.deepStrictEqual(yield* counts, nothing)
      })))

  it.effect("each end has its code", () =>
    room(
      { kind: { supervision: { onCrash: "stop", maxCrashes: 0, within: "1 second", backoff: () => 0 } } },
      (room) =>
        Effect.gen(function*() {
          const ends = [
            [EndReason.stopped("bye"), "Stopped", 1000],
            [EndReason.evicted, "Evicted", 1013],
            [EndReason.shutdown, "Shutdown", 1001]
          ] as const
          for (const [reason, tag, code] of ends) {
            const client = yield* room.connect()
            yield* client.next
            yield* (yield* member()).end({ reason })
            assert.deepStrictEqual(yield* client.next, { type: "end", reason: tag })
            assert.strictEqual((yield* client.end).code, code)
          }
          const client = yield* room.connect()
          yield* client.next
          yield* Effect.ignore(Effect.flatMap(member(), (ref) => ref.call("Die")))
          assert.deepStrictEqual(yield* client.next, { type: "end", reason: "Crashed" })
          assert.strictEqual((yield* client.end).code, 1011)
        })
    ))

  it.effect("an unknown user gets the error", () =>
    room({
      afterStart: (id) => id === "ada" ? Effect.void : Effect.fail(new UnknownUser({ message: `who is ${id}?` }))
    }, (room) =>
      Effect.gen(function*() {
        const ada = yield* room.connect()
        assert.deepStrictEqual(yield* ada.next, state())
        const eve = yield* room.connect({ sub: "eve" })
        let last = yield* eve.next
        if (last.type === "state") last = yield* eve.next
        assert.deepStrictEqual(last, {
          type: "end",
          reason: "Stopped",
          error: { _tag: "UnknownUser", message: "who is eve?" }
        })
        assert.strictEqual((yield* eve.end).code, CloseCode.policyViolation)
        yield* until(Effect.map(counts, ({ connections }) => connections === 1))
        assert.deepStrictEqual(yield* counts, { sessions: 1, connections: 1 })
      })))

  it.effect("a view that throws leaves no client hanging: 1011, and nothing is left", () => {
    let broken = true
    return room({
      socket: {
        view: () => {
          if (broken) throw new Error("the password is swordfish")
          return 0
        }
      }
    }, (room) =>
      Effect.gen(function*() {
        const client = room.dial(bearer(yield* Effect.promise(() => token())))
        assert.strictEqual((yield* client.end).code, CloseCode.internalError)
        yield* allGone
        broken = false
        const next = yield* room.connect()
        yield* next.next
        broken = true
        yield* add()
        assert.strictEqual((yield* next.end).code, CloseCode.internalError)
        yield* allGone
      }))
  })
})

const visit = (room: { post: any }) =>
  room.post("/visit") as Effect.Effect<{ readonly text: string; readonly cookie: string }>

describe("a token that is bound to a session", () => {
  it.effect("ends with it", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const { cookie, text: sid } = yield* visit(room)
        const client = yield* room.connect({ sid })
        const free = yield* room.connect()
        yield* client.next
        yield* room.post("/end", { cookie })
        assert.deepStrictEqual(yield* client.next, { type: "end", reason: "Revoked" })
        assert.strictEqual((yield* client.end).code, CloseCode.policyViolation)
        isRefused(yield* room.refused(bearer(yield* Effect.promise(() => token({ sid })))), 401, "NoSession")
        yield* free.next
        yield* free.sync
        assert.deepStrictEqual(yield* counts, { sessions: 1, connections: 1 })
      })))

  it.effect("is revoked when another client takes the cookie over", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const { cookie, text: sid } = yield* visit(room)
        const client = yield* room.connect({ sid })
        yield* client.next
        const { text: renewed } = yield* room.post("/rotate", { cookie, "user-agent": "another" })
        assert.deepStrictEqual(yield* client.next, { type: "end", reason: "Revoked" })
        assert.deepStrictEqual(yield* client.end, { code: CloseCode.unauthorized, reason: "replaced" })
        isRefused(yield* room.refused(bearer(yield* Effect.promise(() => token({ sid })))), 401, "NoSession")
        const back = yield* room.connect({ sid: renewed })
        assert.deepStrictEqual(yield* back.next, state())
      })))

  it.effect("is refused when it names no session, or not as it should", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const { text: sid } = yield* visit(room)
        const [id] = sid.split(".")
        for (const bad of [id, `${id}.`, `${id}.x`, `x.${sid}`, "", ".", 7, null, {}, [sid, sid], `${sid} `]) {
          isRefused(yield* room.refused(bearer(yield* Effect.promise(() => token({ sid: bad })))), 401, "NoSession")
        }
        assert.deepStrictEqual(yield* counts, { sessions: 1, connections: 0 })
      })))

  it.effect("is not let in when it is revoked while it is looked at", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const { cookie, text: sid } = yield* visit(room)
        const how = bearer(yield* Effect.promise(() => token({ sid })))
        const { subtle } = globalThis.crypto
        const { digest } = subtle
        // The first digest is that of the token's binding; it takes until the cookie has been taken over.
        const taken = Deferred.makeUnsafe<void>()
        const asked = Deferred.makeUnsafe<void>()
        subtle.digest = async (...args) => {
          subtle.digest = digest
          const hash = await digest.apply(subtle, args)
          Deferred.doneUnsafe(asked, Exit.void)
          await Effect.runPromise(Deferred.await(taken))
          return hash
        }
        const client = yield* Effect.ensuring(
          Effect.gen(function*() {
            const client = room.dial(how)
            yield* Deferred.await(asked)
            yield* room.post("/rotate", { cookie, "user-agent": "another" })
            Deferred.doneUnsafe(taken, Exit.void)
            return client
          }),
          Effect.sync(() => {
            subtle.digest = digest
          })
        )
        const status = yield* Effect.promise(() =>
          client.refused.then(({ status }) => status, () => client.closed.then(({ code }) => code))
        )
        assert.include([401, CloseCode.unauthorized], status)
        yield* allGone
      })))
})

describe("the time of a token", () => {
  const tokenTo = (exp: number, claims: Jose.JWTPayload = {}) => Effect.promise(() => token({ ...claims, exp }))

  it.effect("over, ends its connections, with 3000", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect({ exp: 60 })
        const longer = yield* room.connect({ exp: 120 })
        yield* client.next
        yield* longer.next
        yield* TestSessions.elapse("59 seconds")
        yield* client.sync
        yield* TestSessions.elapse("1 second")
        assert.deepStrictEqual(yield* client.next, { type: "end", reason: "TokenExpired" })
        assert.deepStrictEqual(yield* client.end, { code: CloseCode.unauthorized, reason: "expired" })
        yield* longer.sync
        // The session is the user's, and does not end with a token.
        assert.deepStrictEqual(yield* counts, { sessions: 1, connections: 1 })
      })))

  it.effect("is that of the latest token of an open connection", () =>
    room(
      { socket: { receive: (_, { claims, send }) => send({ type: "claims", note: claims["note"] }) } },
      (room) =>
        Effect.gen(function*() {
          const client = yield* room.connect({ exp: 60 })
          yield* client.next
          yield* TestSessions.elapse("30 seconds")
          const next = yield* tokenTo(120, { note: "second" })
          yield* client.send(JSON.stringify({ type: "token", token: next }))
          assert.deepStrictEqual(yield* client.next, { type: "token", expiresIn: 90_000 })
          yield* client.send(JSON.stringify({ type: "who" }))
          assert.deepStrictEqual(yield* client.next, { type: "claims", note: "second" })
          yield* TestSessions.elapse("89 seconds")
          yield* client.sync
          yield* TestSessions.elapse("1 second")
          assert.deepStrictEqual(yield* client.next, { type: "end", reason: "TokenExpired" })
          assert.strictEqual((yield* client.end).code, CloseCode.unauthorized)
          yield* allGone
        })
    ))

  it.effect("is not extended by a token that has expired, that belongs to another user, or that is none", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const { text: sid } = yield* visit(room)
        const { text: other } = yield* visit(room)
        yield* TestClock.adjust("10 seconds")
        const client = yield* room.connect({ sid, exp: 60 })
        yield* client.next
        const bad = [
          yield* tokenTo(9, { sid }),
          yield* tokenTo(120, { sid, sub: "eve" }),
          yield* tokenTo(120),
          yield* tokenTo(120, { sid: other }),
          `${yield* tokenTo(120, { sid })}x`,
          "",
          undefined,
          7,
          ["x"]
        ]
        for (const token of bad) {
          yield* client.send(JSON.stringify({ type: "token", token }))
          const { error, type } = yield* client.next
          assert.strictEqual(type, "error")
          assert.include(["InvalidToken", "NoSession"], error._tag)
        }
        yield* TestSessions.elapse("50 seconds")
        assert.deepStrictEqual(yield* client.next, { type: "end", reason: "TokenExpired" })
      })))
})

describe("a client that does too much", () => {
  it.effect("1009: a frame that is too large", () =>
    room({ socket: { maxFrameSize: 1_000 } }, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        yield* client.send(JSON.stringify({ type: "ping", filler: "x".repeat(900) }))
        assert.deepStrictEqual(yield* client.next, { type: "pong" })
        yield* client.send(JSON.stringify({ type: "ping", filler: "x".repeat(1_000) }))
        assert.strictEqual((yield* client.end).code, CloseCode.tooBig)
        yield* allGone
      })))

  it.effect("1008: too many messages, whether in many frames or in one, good or bad", () =>
    room({ socket: { messageRate: { limit: 5, window: "10 seconds" } } }, (room) =>
      Effect.gen(function*() {
        for (const [frames, lines] of [[6, 1], [1, 6]] as const) {
          for (const message of [`{"type":"ping"}`, "{"]) {
            const client = yield* room.connect()
            for (let i = 0; i < frames; i++) yield* client.send(`${message}\n`.repeat(lines))
            assert.strictEqual((yield* client.end).code, CloseCode.policyViolation)
          }
        }
        const patient = yield* room.connect()
        yield* patient.next
        for (let i = 0; i < 12; i++) {
          yield* patient.sync
          yield* TestClock.adjust("2100 millis")
        }
        yield* patient.leave
        yield* allGone
      })))

  it.effect("1008: too many pings of the protocol", () =>
    room({ socket: { messageRate: { limit: 5, window: "10 seconds" } } }, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        for (let i = 0; i < 6; i++) client.socket.ping()
        assert.strictEqual((yield* client.end).code, CloseCode.policyViolation)
        yield* allGone
      })))

  /** Far more than what the kernel takes. */
  const large = "x".repeat(1024 * 1024)

  it.effect("a client that does not read gets the newest state only, and costs no more than that", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        const [end] = room.sockets
        client.socket.pause()
        let most = 0
        const changes = 60
        for (let i = 0; i < changes; i++) {
          yield* Effect.flatMap(member(), (ref) => ref.call("Say", `${i} ${large}`))
          yield* turn
          most = Math.max(most, end!.writableLength)
        }
        assert.isBelow(most, 2 * large.length)
        client.socket.resume()
        let told = 0
        let last = ""
        while (!last.startsWith(`${changes - 1} `)) {
          last = (yield* client.next).state.text
          told++
        }
        assert.isBelow(told, changes)
        yield* client.sync
      })))

  it.effect("1013: a client that does not read its answers", () =>
    room({
      socket: { messageRate: false, receive: (_, { send }) => send({ type: "answer", large }) }
    }, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        const [end] = room.sockets
        client.socket.pause()
        let most = 0
        for (let i = 0; i < 60; i++) {
          yield* client.send({ type: "more" })
          yield* turn
          most = Math.max(most, end!.writableLength)
        }
        assert.isBelow(most, 3 * large.length)
        client.socket.resume()
        let answers = 0
        while ((yield* client.next).type === "answer") answers++
        assert.isBelow(answers, 60)
        assert.strictEqual((yield* client.end).code, CloseCode.tryAgainLater)
        yield* allGone
      })))
})

describe("heartbeat", () => {
  it.effect("lets go of who gives no sign of life, on the second beat", () =>
    room({ socket: { heartbeat: "30 seconds" } }, (room) =>
      Effect.gen(function*() {
        const good = yield* room.connect()
        const dead = yield* room.connect({}, { autoPong: false })
        const talks = yield* room.connect({}, { autoPong: false })
        for (const client of [good, dead, talks]) yield* client.next
        const [end] = room.sockets
        for (let i = 0; i < 3; i++) {
          const read = end!.bytesRead
          yield* TestClock.adjust("30 seconds")
          yield* until(Effect.sync(() => end!.bytesRead > read))
          assert.strictEqual(good.pings, i + 1)
          yield* talks.sync
          if (i > 0) assert.strictEqual((yield* dead.end).code, 1006)
          yield* until(Effect.map(counts, ({ connections }) => connections === (i === 0 ? 3 : 2)))
        }
        assert.strictEqual((yield* info()).connections, 2)
      })))

  it.effect("a client that does not answer the close is let go as well", () =>
    room({ socket: { heartbeat: "30 seconds" } }, (room) =>
      Effect.gen(function*() {
        const bare = yield* room.tcp(handshake(yield* Effect.promise(() => token())))
        yield* until(Effect.map(counts, ({ connections }) => connections === 1))
        yield* until(Effect.map(Effect.orElseSucceed(info(), () => ({ connections: 0 })), (it) => it.connections === 1))
        yield* TestSessions.settle
        yield* (yield* member()).end()
        yield* TestClock.adjust("30 seconds")
        yield* Effect.promise(() => bare.said)
        yield* allGone
      })))
})

describe("the server", () => {
  it.live("closes: 1001 for each, without waiting for any", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const services = yield* Scope.provide(Layer.build(layer()), scope)
      const { address } = Context.get(services, HttpServer.HttpServer)
      const url = `ws://127.0.0.1:${"port" in address ? address.port : 0}/socket`
      const clients: Array<Client> = []
      for (let i = 0; i < 50; i++) {
        const client = new Client(url, bearer(yield* Effect.promise(() => token({ sub: `u${i}`, exp: 9e9 }))))
        clients.push(client)
        yield* client.next
      }
      // This one never answers.
      clients[0]!.socket.pause()
      yield* Scope.close(scope, Exit.void)
      for (const client of clients.slice(1)) assert.strictEqual((yield* client.end).code, CloseCode.goingAway)
      clients[0]!.socket.resume()
      yield* clients[0]!.end
      assert.strictEqual(yield* Context.get(services, Connections).count, 0)
    }))

  it.effect("1,000 sockets at once, of which nothing is left", () =>
    room({ perOwner: 20 }, (room) =>
      Effect.gen(function*() {
        const tokens = yield* Effect.promise(() =>
          Promise.all(Array.from({ length: 50 }, (_, i) => token({ sub: `user${i}` })))
        )
        const clients = Array.from({ length: 1_000 }, (_, i) => room.dial(bearer(tokens[i % 50]!)))
        for (const client of clients) assert.deepStrictEqual(yield* client.next, state())
        assert.deepStrictEqual(yield* counts, { sessions: 50, connections: 1_000 })
        assert.strictEqual((yield* info("user7")).connections, 20)
        for (const [i, { socket }] of clients.entries()) {
          if (i % 2 === 0) socket.close()
          else socket.terminate()
        }
        yield* allGone
        assert.strictEqual((yield* info("user7")).watchers, 0)
        assert.deepStrictEqual(yield* counts, { sessions: 50, connections: 0 })
      })))

  it.effect("half-open handshakes do not shut out a good client", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const head = handshake(yield* Effect.promise(() => token()))
        for (let i = 0; i < 200; i++) yield* room.tcp(head.slice(0, i % head.length))
        const client = yield* room.connect()
        assert.deepStrictEqual(yield* client.next, state())
        yield* client.sync
        assert.deepStrictEqual(yield* counts, { sessions: 1, connections: 1 })
      })))

  it.effect("a client that goes before it is let in leaves no connection", () => {
    const gate = Deferred.makeUnsafe<void>()
    const starting = Deferred.makeUnsafe<void>()
    return room({
      kind: { reconnectWindow: "30 seconds" },
      init: () =>
        Effect.suspend(() => {
          Deferred.doneUnsafe(starting, Exit.void)
          return Effect.as(Deferred.await(gate), fresh)
        })
    }, (room) =>
      Effect.gen(function*() {
        const bare = yield* room.tcp(handshake(yield* Effect.promise(() => token())))
        yield* Deferred.await(starting)
        assert.strictEqual((yield* counts).connections, 1)
        bare.socket.destroy()
        // Node does not read from a connection that asks for an upgrade, so this is noticed only then.
        Deferred.doneUnsafe(gate, Exit.void)
        yield* until(Effect.sync(() => room.sockets.size === 0))
        yield* allGone
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* counts, nothing)
      }))
  })

  it.effect("a client that goes at any moment leaves no connection", () =>
    room({ perOwner: 1_000 }, (room) =>
      Effect.gen(function*() {
        const how = { query: `?token=${yield* Effect.promise(() => token())}` }
        for (let i = 0; i < 100; i++) {
          const bare = yield* room.tcp(handshake(how.query.slice("?token=".length)))
          for (let j = 0; j < i % 10; j++) yield* turn
          if (i % 3 === 0) bare.socket.resetAndDestroy()
          else bare.socket.destroy()
        }
        yield* until(Effect.sync(() => room.sockets.size === 0))
        yield* TestSessions.settle
        yield* allGone
        const client = yield* room.connect()
        assert.deepStrictEqual(yield* client.next, state())
        assert.strictEqual((yield* info()).connections, 1)
      })))
})
