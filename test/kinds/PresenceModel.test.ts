import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, HashMap, Schema, Scope, Stream } from "effect"
import { Presence, type Session } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import { TestClock } from "effect/testing"

class People extends Presence.Service<People>()("People", { meta: Schema.Int }) {}

type Event = Presence.Event<number>

const grace = 5_000
const lease = 30_000

/** Follows the events strictly: what they say of the moment before must be so. */
class Follower {
  readonly devices = new Map<string, { readonly since: number; readonly meta: number }>()
  private folded = HashMap.empty<string, Presence.Present<number>>()
  lists = 0

  take(event: Event): void {
    this.folded = Presence.apply(this.folded, event)
    if (event._tag === "List") {
      this.lists++
      this.devices.clear()
      for (const { devices, key } of event.present) {
        for (const { device, meta, since } of devices) this.devices.set(`${key}/${device}`, { since, meta })
      }
      return
    }
    const { device, key, meta, since } = event
    const name = `${key}/${device}`
    const known = this.devices.get(name)
    const others = Array.from(this.devices.keys()).filter((other) => other !== name && other.startsWith(`${key}/`))
    assert.strictEqual(known !== undefined, event._tag !== "Join", `${event._tag} of ${name}`)
    if (event._tag === "Join") assert.strictEqual(event.first, others.length === 0)
    if (event._tag === "Update") assert.deepStrictEqual({ since }, { since: known!.since })
    if (event._tag === "Update") assert.notStrictEqual(meta, known!.meta)
    if (event._tag === "Leave") assert.strictEqual(event.last, others.length === 0)
    if (event._tag === "Leave") assert.deepStrictEqual({ since, meta }, known)
    if (event._tag === "Leave") this.devices.delete(name)
    else this.devices.set(name, { since, meta })
  }

  /** Who is present for this reader, by both ways of following. */
  check(present: ReadonlyArray<Presence.Present<number>>): void {
    const sorted = (list: Iterable<Presence.Present<number>>) =>
      Array.from(list).sort((a, b) => (a.key < b.key ? -1 : 1))
    const names = sorted(present).flatMap(({ devices, key }) =>
      devices.map(({ device, meta, since }) => ({ name: `${key}/${device}`, since, meta }))
    )
    const own = Array.from(this.devices, ([name, device]) => ({ name, ...device }))
    assert.deepStrictEqual(own.sort(byName), names.sort(byName))
    assert.deepStrictEqual(sorted(HashMap.values(this.folded)), sorted(present))
  }
}

const byName = (a: { readonly name: string }, b: { readonly name: string }) => (a.name < b.name ? -1 : 1)

/** The model: the holders of each device, and until when a device without holders stays. */
class Model {
  private readonly devices = new Map<string, { holders: Set<Handle>; leavesAt: number; meta: number | undefined }>()
  private stamp = 0

  hold(handle: Handle, meta: number): void {
    const device = this.devices.get(handle.name) ?? { holders: new Set(), leavesAt: Infinity, meta }
    device.holders.add(handle)
    device.leavesAt = Infinity
    this.devices.set(handle.name, device)
    this.update(handle, meta)
  }

  update(handle: Handle, meta: number): void {
    const device = this.devices.get(handle.name)
    if (device?.holders.has(handle) !== true) return
    device.meta = handle.meta = meta
    handle.stamp = ++this.stamp
  }

  release(handle: Handle, leavesAt: number): void {
    const device = this.devices.get(handle.name)
    if (device?.holders.delete(handle) === true && device.holders.size === 0) device.leavesAt = leavesAt
  }

  /**
   * The topic starts again, and the trackers track their keys in it: each device with the last metadata of a holder that is
   * still there. If a device has holders in two trackers, it is not known which metadata comes last.
   */
  forget(): void {
    for (const [name, device] of this.devices) {
      const holders = Array.from(device.holders).sort((a, b) => a.stamp - b.stamp)
      if (holders.length === 0) this.devices.delete(name)
      device.meta = new Set(holders.map(({ tracker }) => tracker)).size === 1 ? holders.at(-1)!.meta : undefined
    }
  }

  /** A tracker is gone. */
  vanish(tracker: number): void {
    for (const [name, { holders }] of this.devices) {
      for (const handle of holders) if (handle.tracker === tracker) holders.delete(handle)
      if (holders.size === 0) this.devices.delete(name)
    }
  }

  present(now: number) {
    return Array.from(this.devices).filter(([, { leavesAt }]) => leavesAt > now)
  }

  /** The same as is listed? */
  check(present: ReadonlyArray<Presence.Present<number>>, now: number): void {
    const listed = new Map(
      present.flatMap(({ devices, key }) =>
        devices.map(({ device, meta }): [string, number] => [`${key}/${device}`, meta])
      )
    )
    const expected = this.present(now)
    assert.deepStrictEqual(Array.from(listed.keys()).sort(), Array.from(expected, ([name]) => name).sort())
    for (const [name, { meta }] of expected) if (meta !== undefined) assert.strictEqual(listed.get(name), meta, name)
  }
}

interface Handle {
  readonly tracker: number
  readonly name: string
  readonly scope: Scope.Closeable
  meta: number
  stamp: number
  tracked?: Pick<Presence.Tracked<number>, "update" | "leave">
}

/** Another process, as far as a topic sees it: it says every now and then what it tracks. */
class OtherTracker {
  private readonly topic: Session.Ref<typeof People.kind>
  private readonly trackings = new Map<number, Presence.Tracking>()
  private revision = 0

  constructor(topic: Session.Ref<typeof People.kind>) {
    this.topic = topic
  }

  track(_topic: string, key: string, meta: number, { device }: { readonly device: string }) {
    return Effect.gen({ self: this }, function*() {
      const id = ++this.revision
      const tell = (meta: number, revision: number) => {
        const tracking = { id, key, device, meta, revision, since: null }
        this.trackings.set(id, tracking)
        return Effect.orDie(this.topic.call("Track", { owner: "other", tracking }))
      }
      const leave = (grace: boolean) =>
        Effect.suspend(() =>
          this.trackings.delete(id)
            ? Effect.orDie(this.topic.call("Untrack", { owner: "other", id, grace }))
            : Effect.void
        )
      yield* tell(meta, id)
      yield* Effect.addFinalizer(() => leave(true))
      return {
        update: (meta: number) =>
          Effect.suspend(() => this.trackings.has(id) ? tell(meta, ++this.revision) : Effect.void),
        leave: leave(false)
      }
    })
  }

  readonly sync = Effect.suspend(() => {
    const trackings = Array.from(this.trackings.values()).sort((a, b) => a.revision - b.revision)
    return Effect.orDie(this.topic.call("Sync", { owner: "other", trackings, grace: false }))
  })
}

const small = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

const Step = Schema.Union([
  Schema.Struct({
    act: Schema.Literal("track"),
    tracker: small(1),
    key: Schema.Literals(["ada", "bob"]),
    device: Schema.Literals(["phone", "tv"]),
    meta: small(3)
  }),
  Schema.Struct({ act: Schema.Literals(["update", "leave", "close"]), which: small(99), meta: small(3) }),
  Schema.Struct({ act: Schema.Literal("wait"), millis: Schema.Literals([1, 1000, 4000, 4999, 5000, 9000]) }),
  Schema.Struct({ act: Schema.Literal("end") })
])

const Steps = Schema.Array(Step).check(Schema.isMinLength(1), Schema.isMaxLength(60))

const run = (steps: typeof Steps.Type, { bufferSize, ends, slow }: typeof Readers.Type) =>
  Effect.gen(function*() {
    const people = yield* People
    const kind = yield* People.kind
    const other = new OtherTracker(kind.ref("room"))
    const trackers = [people, other]
    const list = people.list("room")
    const clock = yield* TestClock.testClockWith(Effect.succeed)
    const now = () => clock.currentTimeMillisUnsafe()

    const followers = [new Follower(), new Follower(), new Follower()]
    const follow = (follower: Follower, options: Presence.ChangesOptions, pause: number) =>
      Effect.forkScoped(
        Stream.runForEach(
          people.changes("room", options),
          (event) =>
            Effect.andThen(Effect.sync(() => follower.take(event)), pause === 0 ? Effect.void : Effect.sleep(pause))
        )
      )
    const fibersOf = [
      yield* follow(followers[0]!, {}, 0),
      yield* follow(followers[1]!, { bufferSize }, slow),
      yield* follow(followers[2]!, { bufferSize: 1 }, 0)
    ]
    yield* TestSessions.settle

    const model = new Model()
    let handles: Array<Handle> = []
    let lastEnd = -Infinity
    for (const step of steps) {
      switch (step.act) {
        case "track": {
          const { device, key, meta, tracker } = step
          const handle: Handle = { tracker, name: `${key}/${device}`, scope: yield* Scope.make(), meta, stamp: 0 }
          handle.tracked = yield* Scope.provide(trackers[tracker]!.track("room", key, meta, { device }), handle.scope)
          handles.push(handle)
          model.hold(handle, meta)
          break
        }
        case "wait":
          yield* TestSessions.elapse(step.millis)
          yield* other.sync
          break
        case "end":
          // A topic that keeps ending is not started again at once.
          if (!ends || now() - lastEnd < 20_000) break
          lastEnd = now()
          yield* kind.end("room")
          yield* TestSessions.settle
          yield* other.sync
          model.forget()
          break
        default: {
          const handle = handles[step.which % handles.length]
          if (handle === undefined) break
          if (step.act === "update") {
            yield* handle.tracked!.update(step.meta)
            model.update(handle, step.meta)
          } else if (step.act === "leave") {
            yield* handle.tracked!.leave
            model.release(handle, now())
          } else {
            yield* Scope.close(handle.scope, Exit.void)
            model.release(handle, now() + grace)
          }
        }
      }
      yield* TestSessions.settle
      const present = yield* list
      model.check(present, now())
      assert.strictEqual(yield* people.count("room"), present.length)
      followers[0]!.check(present)
    }

    // The other vanishes, and the slow ones catch up.
    yield* TestSessions.elapse(2 * lease)
    yield* TestSessions.elapse("5 minutes")
    model.vanish(1)
    handles = handles.filter(({ tracker }) => tracker === 0)
    const present = yield* list
    model.check(present, now())
    for (const fiber of fibersOf) assert.isUndefined(fiber.pollUnsafe())
    for (const follower of followers) follower.check(present)

    for (const handle of handles) yield* Scope.close(handle.scope, Exit.void)
    yield* TestSessions.elapse("5 minutes")
    for (const follower of followers) assert.strictEqual(follower.devices.size, 0)
  })

const Readers = Schema.Struct({
  bufferSize: Schema.Literals([1, 2, 5]),
  slow: Schema.Literals([100, 1500, 6000]),
  ends: Schema.Boolean
})

describe("Presence, whatever happens", () => {
  it.effect.prop(
    "lists all keys that are tracked or were within the grace, and sends the same to all readers",
    [Steps, Readers],
    ([steps, readers]) =>
      run(steps, readers).pipe(
        Effect.scoped,
        Effect.provide(TestSessions.layer(Presence.layer(People, { grace, lease })))
      ),
    { arbitrary: { runs: 300 } }
  )
})
