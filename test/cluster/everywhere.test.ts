// oxlint-disable no-restricted-imports -- the modules are internal: the package does not export them
/** Operations on all nodes, when some of them do not answer. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Coverage, nodeAddress } from "effect-sessions/cluster"
import { Everywhere } from "../../src/edge/cluster/internal/Everywhere.ts"
import type { Asker, Link } from "../../src/edge/cluster/internal/peers/model.ts"
import { Places } from "../../src/edge/cluster/internal/Places.ts"

const self = nodeAddress("a", 1)
const answering = nodeAddress("a", 2)
const failing = nodeAddress("a", 3)
const gone = nodeAddress("a", 4)

const places = () => {
  const places = new Places({ self, count: 4, now: () => 0, threw: () => {} })
  places.learn([self, answering, failing, gone], [])
  return places
}

const answers: Record<string, (on: Asker) => void> = {
  "a:2": ({ end }) => end([0, 20]),
  "a:3": ({ end }) => end([1, { defect: "it fell over" }]),
  "a:4": ({ lost }) => lost({ sent: true, reason: "disconnected" })
}

const linkTo = (address: { readonly key: string }) =>
  ({
    address,
    peer: undefined,
    ask: (_: unknown, on: Asker) => {
      answers[address.key]!(on)
      return () => {}
    }
  }) as unknown as Link

describe("An operation on all nodes", () => {
  it.effect("puts together what the nodes that answer have, and says which do not", () =>
    Effect.gen(function*() {
      const everywhere = new Everywhere(places(), linkTo)
      const { unreachable, value } = yield* Coverage.of(everywhere.gather(Effect.succeed(1), "count", "Cart"))
      assert.deepStrictEqual(value, [1, 20])
      assert.deepStrictEqual(unreachable, [failing, gone])
    }))

  it.effect("fails only as its own node does", () =>
    Effect.gen(function*() {
      const everywhere = new Everywhere(places(), linkTo)
      assert.strictEqual(yield* Effect.flip(everywhere.gather(Effect.fail("own"), "count", "Cart")), "own")
    }))
})
