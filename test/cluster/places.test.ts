// oxlint-disable no-restricted-imports -- the modules are internal: the package does not export them
import { assert, describe, it } from "@effect/vitest"
import { nodeAddress } from "effect-sessions/cluster"
import { Places } from "../../src/edge/cluster/internal/Places.ts"

const [a, b] = [nodeAddress("10.0.0.1", 7000), nodeAddress("10.0.0.2", 7000)]

const make = (count = 300) => {
  const thrown: Array<unknown> = []
  const places = new Places({ self: a, count, now: () => 0, threw: (defect) => thrown.push(defect) })
  return { places, thrown }
}

describe("the place of an id", () => {
  it("is the same for ever, as other nodes and stored terms rely on it", () => {
    const { places } = make()
    const expected = {
      "": 61,
      a: 220,
      "user-1": 100,
      "0b9d5c1e-6d3a-4f5e-9d58-1f2c3b4a5d6e": 216,
      "Ünïcödé 🦊": 278,
      "\ud800": 167
    }
    assert.deepStrictEqual(
      Object.fromEntries(Object.keys(expected).map((id) => [id, places.indexOf(id)])),
      expected
    )
    assert.strictEqual(make(7).places.indexOf("a"), 0xe40c292c % 7)
    assert.strictEqual(places.of("a"), places.all[220])
  })

  it("is spread evenly over ids that are counted up", () => {
    const { places } = make(10)
    const counts = new Array<number>(10).fill(0)
    for (let i = 0; i < 10_000; i++) counts[places.indexOf(`user-${i}`)]!++
    for (const count of counts) assert.approximately(count, 1000, 150)
  })
})

describe("a place", () => {
  it("is here while it is open and its lease lasts", () => {
    const place = make().places.all[3]!
    assert.isFalse(place.isHere(0))
    place.open(5, 100)
    assert.deepStrictEqual([place.term, place.isHere(99), place.isHere(100)], [5, true, false])
    place.prolong(200)
    place.prolong(150)
    assert.deepStrictEqual([place.isHere(199), place.isHere(200)], [true, false])
    place.leave("release")
    assert.deepStrictEqual([place.isHere(0), place.isOpen, place.isLeaving], [false, false, true])
    place.close()
    assert.isFalse(place.isLeaving)
  })

  it("notifies each listener until that unsubscribes, whatever another one throws", () => {
    const { places, thrown } = make()
    const place = places.all[0]!
    const heard: Array<string> = []
    place.onOpen(() => {
      throw new Error("of a listener")
    })
    const stop = place.onOpen(() => {
      heard.push("open")
      stop()
      later()
    })
    const later = place.onOpen(() => heard.push("never: the one before unsubscribes it"))
    place.onLeave(() => heard.push("leave"))
    place.open(1, 100)
    place.leave("release")
    place.open(2, 100)
    assert.deepStrictEqual(heard, ["open", "leave"])
    assert.deepStrictEqual(thrown.map(String), ["Error: of a listener", "Error: of a listener"])
  })
})

describe("the members", () => {
  it("own the places; who waits here for one that goes elsewhere is told", () => {
    const { places } = make(3)
    const refused: Array<number> = []
    let changes = 0
    for (const place of places.all) place.onLeave(() => refused.push(place.index))
    places.onChange(() => changes++)
    assert.isUndefined(places.ownerOf(places.all[0]!))
    assert.isFalse(places.isMine(places.all[0]!))
    places.all[1]!.open(1, 100)
    places.learn([a, b], [nodeAddress("10.0.0.1", 7000), b, b])
    assert.deepStrictEqual(places.all.map((place) => places.isMine(place)), [true, false, false])
    assert.strictEqual(places.ownerOf(places.all[2]!), b)
    assert.deepStrictEqual([places.nodes, changes], [[a, b], 1])
    // The first is to come here, and the second is open: it will be told when it leaves.
    assert.deepStrictEqual(refused, [2])
  })

  it("tells who waits that this node leaves", () => {
    const { places } = make(2)
    const refused: Array<number> = []
    for (const place of places.all) place.onLeave(() => refused.push(place.index))
    places.all[0]!.open(1, 100)
    places.leave()
    assert.deepStrictEqual([refused, places.isLeaving, places.open], [[1], true, 1])
  })
})
