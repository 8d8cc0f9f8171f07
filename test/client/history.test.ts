/**
 * Random histories: a server with a model of a session's memory, a network that loses what is under way, and a client
 * that does whatever it likes. At the end the network is good again, and everything must have come out right.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Random, Schema, SubscriptionRef } from "effect"
import { Session } from "effect-sessions"
import { Live, LiveClient } from "effect-sessions/client"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"
import { chunk, errors, fail, FakeServer, type FakeSocket, header, settle, succeed } from "./fakes.ts"

class Log extends Session.Service<Log>()("Log", {
  state: Schema.Array(Schema.Int),
  protocol: [Rpc.make("Append", { payload: Schema.Int, success: Schema.Int })]
}) {}
class LogLive extends Live.Service<LogLive>()("LogLive", {
  kind: Log,
  views: { all: Schema.Array(Schema.Int) },
  messages: ["Append"]
}) {}

const makeRandom = (seed: number) => {
  let state = seed * 2_654_435_761 >>> 0
  return (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * below)
  }
}

interface Line {
  readonly socket: FakeSocket
  readonly up: Array<any>
  readonly down: Array<any>
  mounted: { request: any; version: number; epoch: number } | undefined
}

/** As `Answers` of the runtime: what the session knows of each client. */
type Memory = Map<string, { last: number; readonly answers: Map<number, number> }>

class Model {
  readonly server = new FakeServer()
  readonly random: (below: number) => number
  readonly handled: Array<number> = []
  state: Array<number> = []
  history: Array<ReadonlyArray<number>> = [[]]
  epoch = 1
  memory: Memory = new Map()
  hasForgotten = false
  line: Line | undefined = undefined
  calm = false
  readonly window = 4

  constructor(seed: number) {
    this.random = makeRandom(seed)
    this.server.onSocket = (socket) => {
      const line: Line = { socket, up: [], down: [], mounted: undefined }
      socket.onMessage = (message) => line.up.push(message)
      this.line = line
    }
  }

  private may(one: number): boolean {
    return !this.calm && this.random(one) === 0
  }

  commit(value: number): void {
    this.state = [...this.state, value]
    this.history.push(this.state)
  }

  /** What brings the viewer up to date. */
  private tell(line: Line): void {
    const { mounted } = line
    const version = this.history.length - 1
    if (mounted === undefined || mounted.version === version) return
    const from = mounted.version
    mounted.version = version
    const before = this.history[from]!
    if (this.may(20)) return // lost: what comes next has a gap
    const patch = this.state.slice(before.length).map((value) => ({ op: "add", path: "/-", value }))
    line.down.push(chunk(mounted.request, { _tag: "patch", epoch: this.epoch, from, version, patch }))
  }

  private append(request: any): any {
    const client = header(request, "live-client")!
    const sequence = Number(header(request, "live-sequence"))
    const again = header(request, "live-again") === "true"
    const epoch = Number(header(request, "live-epoch"))
    const known = this.memory.get(client)
    if (known === undefined) {
      const isFirst = sequence === 1 && (!again || (epoch === this.epoch && !this.hasForgotten))
      if (!isFirst) return fail(request, errors.forgotten(sequence))
    } else if (sequence > known.last + 1) return fail(request, errors.outOfOrder(sequence, known.last + 1))
    else if (sequence <= known.last) {
      const before = known.answers.get(sequence)
      return before === undefined ? fail(request, errors.forgotten(sequence)) : succeed(request, before)
    }
    if (this.may(10)) return fail(request, errors.busy(this.random(50)))
    if (this.may(15)) return fail(request, errors.invalid)
    this.handled.push(request.payload)
    this.commit(request.payload)
    const of = known ?? { last: 0, answers: new Map<number, number>() }
    this.memory.set(client, of)
    of.last = sequence
    of.answers.set(sequence, request.payload)
    of.answers.delete(sequence - this.window)
    if (this.may(15)) return fail(request, errors.unanswered)
    return succeed(request, request.payload)
  }

  private handle(line: Line, message: any): void {
    const version = this.history.length - 1
    if (message._tag === "Request" && message.tag === "live.hello") {
      line.down.push(succeed(message, { epoch: this.epoch, window: this.window, expiresIn: null }))
    } else if (message._tag === "Request" && message.tag === "live.view") {
      const { after } = message.payload
      line.mounted = { request: message, version, epoch: this.epoch }
      if (after?.epoch === this.epoch && after.version <= version) {
        line.mounted.version = after.version
        this.tell(line)
      } else line.down.push(chunk(message, { _tag: "snapshot", epoch: this.epoch, version, state: this.state }))
    } else if (message._tag === "Request") {
      const exit = this.append(message)
      this.tell(line)
      line.down.push(exit)
    } else if (message._tag === "Interrupt" && line.mounted?.request.id === message.requestId) {
      line.mounted = undefined
    }
  }

  /** One thing happens. */
  step(): void {
    const { line } = this
    if (line === undefined || line.socket.readyState === 3) return
    if (line.socket.readyState === 0) {
      if (this.may(4)) line.socket.drop()
      else line.socket.open()
      return
    }
    if (this.may(25)) return line.socket.drop([1006, 1001, 1012, 1013][this.random(4)])
    if (this.may(40)) {
      this.memory.clear()
      this.hasForgotten = true
    }
    if (this.may(60)) {
      // The session starts again elsewhere, with a new state.
      this.epoch++
      this.memory = new Map()
      this.hasForgotten = false
      this.history = [[...this.state]]
      return line.socket.drop(1012)
    }
    if (this.may(10)) {
      this.commit(-1 - this.random(1_000))
      this.tell(line)
    }
    for (let n = this.random(4); n > 0 && line.up.length > 0; n--) this.handle(line, line.up.shift())
    const frame = line.down.splice(0, this.random(4) + 1)
    if (frame.length > 0) line.socket.say(...frame)
  }
}

const run = (seed: number) =>
  Effect.gen(function*() {
    const model = new Model(seed)
    const client = yield* Effect.provide(
      LiveClient.make(LogLive, { url: "ws://log", reconnect: { base: 50, max: 200 } }),
      model.server.layer
    )
    const view = yield* client.mount("all")
    const results = new Map<number, string>()
    let next = 1
    const submit = () => {
      const value = next++
      const optimistic = { all: (all: ReadonlyArray<number>) => [...all, value] }
      return Effect.forkChild(
        client.call("Append", value, { optimistic }).pipe(
          Effect.match({
            onSuccess: (answer) => results.set(value, answer === value ? "Success" : "wrong answer"),
            onFailure: (error) => results.set(value, error._tag)
          })
        )
      )
    }
    for (let i = 0; i < 150; i++) {
      if (model.random(3) === 0) yield* submit()
      model.step()
      yield* TestClock.adjust(model.random(60))
    }
    model.calm = true
    yield* submit()
    for (let i = 0; i < 200; i++) {
      model.step()
      yield* TestClock.adjust(60)
    }
    yield* settle

    const why = `seed ${seed}`
    assert.strictEqual(SubscriptionRef.getUnsafe(client.pending), 0, why)
    assert.deepStrictEqual(SubscriptionRef.getUnsafe(view.state), Option.some(model.state), why)
    assert.deepStrictEqual(model.handled, Array.from(new Set(model.handled)).sort((a, b) => a - b), `${why}: once`)
    for (let value = 1; value < next; value++) {
      const result = results.get(value)
      const handled = model.handled.includes(value)
      if (result === "Success") assert.isTrue(handled, `${why}: ${value} was said to be handled`)
      else if (result === "InvalidPayload") assert.isFalse(handled, `${why}: ${value} was said to be refused`)
      else assert.strictEqual(result, "ActionForgotten", `${why}: ${value}`)
    }
    return results
  }).pipe(Effect.scoped, Random.withSeed(seed))

describe("any history", () => {
  it.effect(
    "ends in the state of the server, and each action was handled once, in order",
    () =>
      Effect.gen(function*() {
        const seen = new Map<string, number>()
        // The last one is a history in which an action of an older name was overtaken once.
        for (const seed of [...Array.from({ length: 150 }, (_, i) => i + 1), 2146]) {
          for (const result of (yield* run(seed)).values()) seen.set(result, (seen.get(result) ?? 0) + 1)
        }
        // The histories are worth something only when all of this happens in them.
        for (const result of ["Success", "InvalidPayload", "ActionForgotten"]) {
          assert.isAbove(seen.get(result) ?? 0, 20, result)
        }
        assert.isAbove(seen.get("Success")!, 3_000)
      })
  )
})
