/**
 * Requests, withdrawals, answers, lost connections, goodbyes and restarts, at random and mixed with what the sockets do meanwhile.
 */
// oxlint-disable no-restricted-imports -- the module is internal: the package does not export it
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Handler, Reply } from "../../src/edge/cluster/internal/peers/model.ts"
import * as Nodes from "./nodes.ts"

const which = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))

const Step = Schema.Union([
  Schema.Struct({ do: Schema.Literals(["ask", "ask", "ask", "throw", "turn", "settle", "settle"]) }),
  Schema.Struct({ do: Schema.Literals(["answer", "answer", "event", "refuse", "withdraw"]), which }),
  Schema.Struct({ do: Schema.Literals(["cut", "stop", "goodbye", "restart", "wait", "alive"]) })
])

interface Asked {
  readonly outcomes: Array<string>
  events: number
  /** Nothing may come any more. */
  isWithdrawn: boolean
  readonly withdraw: () => void
}

interface Seen {
  readonly number: number
  readonly reply: Reply
  hasRefused: boolean
  withdrawals: number
  isAnswered: boolean
}

describe("peers", () => {
  it.effect.prop(
    "whatever happens, each request has one end, and what was begun is never said to be unsent",
    { steps: Schema.Array(Step).check(Schema.isMaxLength(60)) },
    ({ steps }) =>
      Effect.gen(function*() {
        const asked: Array<Asked> = []
        const seen = new Map<number, Seen>()
        // What callbacks throw is caught.
        const faults: Array<string> = []
        const check = (isSo: boolean, fault: string) => {
          if (!isSo) faults.push(fault)
        }
        const handler: Handler = (json, reply) => {
          const [number, mode] = json as [number, string]
          check(!seen.has(number), "handled twice")
          const one: Seen = { number, reply, hasRefused: false, withdrawals: 0, isAnswered: false }
          seen.set(number, one)
          if (mode === "throw") throw new Error("a bug")
          return () => {
            check(!one.isAnswered, "withdrawn after the answer")
            one.withdrawals++
            // Every other request was parked.
            if (number % 2 === 0) {
              one.hasRefused = true
              reply.refuse()
            }
          }
        }
        const between = yield* Nodes.relay
        const start = Effect.gen(function*() {
          const scope = yield* Scope.fork(yield* Effect.scope)
          const address = { host: Nodes.host, port: between.port }
          const peers = yield* Scope.provide(Nodes.node({ handler, address, listen: { port: 0 } }), scope)
          between.target = peers.port
          return { peers, scope }
        })
        let server = yield* start
        const a = yield* Nodes.node()
        const link = a.to(server.peers.address)
        yield* a.isAlive(server.peers.address)

        const ask = (mode: string) => {
          const number = asked.length
          const one: Asked = { outcomes: [], events: 0, isWithdrawn: false, withdraw: () => withdraw() }
          asked.push(one)
          const ended = (outcome: string) => {
            check(!one.isWithdrawn, "an end after the withdrawal")
            one.outcomes.push(outcome)
          }
          const withdraw = link.ask([number, mode], {
            event: () => {
              check(one.outcomes.length === 0 && !one.isWithdrawn, "an event after the end")
              one.events++
            },
            end: () => ended("end"),
            lost: ({ sent }) => {
              ended(sent ? "lost" : "unsent")
              const request = seen.get(number)
              check(sent || request === undefined || request.hasRefused, "said to be unsent, but begun")
              // Some ask again, and some withdraw another request.
              if (number % 3 === 0) ask("ask")
              if (number % 4 === 0) withdrawOne(number + 1)
            }
          })
        }
        const withdrawOne = (which: number) => {
          const one = asked[which % Math.max(1, asked.length)]
          if (one === undefined || one.outcomes.length > 0) return
          one.isWithdrawn = true
          one.withdraw()
        }
        const openOf = (which: number): Seen | undefined => {
          const open = Array.from(seen.values()).filter((one) => !one.isAnswered && one.withdrawals === 0)
          return open[which % Math.max(1, open.length)]
        }
        for (const step of steps) {
          switch (step.do) {
            case "ask":
            case "throw":
              ask(step.do)
              break
            case "turn":
              yield* Nodes.turn
              break
            case "settle":
              for (let i = 0; i < 20; i++) yield* Nodes.turn
              break
            case "answer":
            case "refuse":
            case "event": {
              const one = openOf(step.which)
              if (one === undefined) break
              if (step.do === "event") one.reply.event("event")
              else {
                one.isAnswered = true
                if (step.do === "answer") one.reply.end("answer")
                else {
                  one.hasRefused = true
                  one.reply.refuse()
                }
              }
              break
            }
            case "withdraw":
              withdrawOne(step.which)
              break
            case "cut":
              between.cut()
              break
            case "stop":
              if (between.isStopped) between.resume()
              else between.isStopped = true
              break
            case "goodbye":
              yield* Effect.forkChild(server.peers.goodbye("1 second"))
              break
            case "restart":
              yield* Scope.close(server.scope, Exit.void)
              server = yield* start
              break
            case "wait":
              yield* TestClock.adjust(200)
              break
            case "alive":
              yield* Effect.forkChild(a.isAlive(server.peers.address))
          }
        }
        between.resume()
        for (let i = 0; i < 5; i++) yield* Nodes.turn
        between.cut()
        // What waits for another attempt is asked there, or withdrawn at the end.
        const isOver = () => asked.every(({ isWithdrawn, outcomes }) => isWithdrawn || outcomes.length === 1)
        for (let i = 0; i < 1_000 && !isOver(); i++) {
          yield* TestClock.adjust(200)
          yield* Nodes.turn
          for (const one of seen.values()) {
            if (one.isAnswered || one.withdrawals > 0) continue
            one.isAnswered = true
            one.reply.end("at last")
          }
        }
        yield* Scope.close(server.scope, Exit.void)
        for (const [number, { isWithdrawn, outcomes }] of asked.entries()) {
          assert.strictEqual(outcomes.length, isWithdrawn ? 0 : 1, `request ${number}`)
        }
        assert.deepStrictEqual(faults, [])
        for (const { isAnswered, withdrawals } of seen.values()) assert.isAtMost(withdrawals + Number(isAnswered), 1)
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 100 } }
  )
})
