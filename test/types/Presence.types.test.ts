/**
 * The types of presence. Each test holds when this file compiles; nothing here needs to run.
 */
// What these tests expect, the diagnostics of Effect would report beside the type error.
// @effect-diagnostics missingEffectError:off
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { type Context, Effect, HashMap, type Layer, type Option, Schema, type Scope, Stream } from "effect"
import {
  Live,
  Presence,
  type PresenceError,
  type Session,
  type SessionError,
  type SessionHost,
  type SessionRef
} from "effect-sessions"
import { LiveViews } from "effect-sessions/live"

const Meta = Schema.Struct({ name: Schema.String, joined: Schema.DateFromString })
type Meta = typeof Meta.Type

class Shoppers extends Presence.Service<Shoppers>()("Shoppers", { meta: Meta }) {}
class Others extends Presence.Service<Others>()("Others", { meta: Schema.Void }) {}

describe("the types of presence", () => {
  it("yield its tracker", () => {
    expectTypeOf<Context.Service.Shape<typeof Shoppers>>().toEqualTypeOf<Presence.Tracker<Meta>>()
    expectTypeOf<Context.Service.Identifier<typeof Shoppers>>().toEqualTypeOf<Shoppers>()
  })

  it("say what its Layer gives and needs", () => {
    expectTypeOf(Presence.layer(Shoppers)).toEqualTypeOf<
      Layer.Layer<Shoppers | Presence.Topics<Shoppers>, SessionError.InvalidConfig, SessionHost>
    >()
    // @ts-expect-error starts of topics are never counted
    void (() => Presence.layer(Shoppers, { limitStarts: true }))
    // @ts-expect-error there is no such message
    void (() => Presence.layer(Shoppers, { overflow: { Nope: "reject" } }))
    // @ts-expect-error topics are not kept
    void (() => Presence.layer(Shoppers, { snapshots: {} }))
    void (() => Presence.layer(Shoppers, { overflow: { Track: "reject" }, grace: "1 second" }))
  })

  it("distinguish the topics of two presences", () => {
    expectTypeOf<Presence.Topics<Shoppers>>().not.toEqualTypeOf<Presence.Topics<Others>>()
    // @ts-expect-error the topics of one are not those of the other
    const other: Layer.Layer<Presence.Topics<Others>, SessionError.InvalidConfig, SessionHost> = Presence.layer(
      Shoppers
    )
    assert.isDefined(other)
  })

  it("say what tracking takes, gives, needs and fails with", () => {
    const track = (shoppers: Presence.Tracker<Meta>) =>
      shoppers.track("shop", "ada", { name: "Ada", joined: new Date(0) }, { device: "phone" })
    expectTypeOf<ReturnType<typeof track>>().toEqualTypeOf<
      Effect.Effect<Presence.Tracked<Meta>, Presence.TrackError, Scope.Scope>
    >()
    expectTypeOf<Presence.TrackError>().toEqualTypeOf<
      | PresenceError.InvalidPresence
      | SessionError.CallError
      | Exclude<SessionError.StartError, SessionError.StartRateExceeded>
    >()
    expectTypeOf<Presence.Tracked<Meta>["update"]>().toEqualTypeOf<(meta: Meta) => Effect.Effect<void>>()
    expectTypeOf<Presence.Tracked<Meta>["leave"]>().toEqualTypeOf<Effect.Effect<void>>()
    // @ts-expect-error the meta does not fit
    void ((shoppers: Presence.Tracker<Meta>) => shoppers.track("shop", "ada", { name: 1 }))
  })

  it("say what reading gives", () => {
    void ((shoppers: Presence.Tracker<Meta>) => {
      expectTypeOf(shoppers.list("shop")).toEqualTypeOf<
        Effect.Effect<ReadonlyArray<Presence.Present<Meta>>, SessionError.InvalidSessionId>
      >()
      expectTypeOf(shoppers.get("shop", "ada")).toEqualTypeOf<
        Effect.Effect<Option.Option<Presence.Present<Meta>>, SessionError.InvalidSessionId>
      >()
      expectTypeOf(shoppers.count("shop")).toEqualTypeOf<Effect.Effect<number, SessionError.InvalidSessionId>>()
      expectTypeOf(shoppers.changes("shop")).toEqualTypeOf<Stream.Stream<Presence.Event<Meta>, Presence.TopicError>>()
      expectTypeOf(shoppers.topic("shop")).toEqualTypeOf<
        Effect.Effect<SessionRef.SessionRef<Presence.State<Meta>, Presence.Protocol>, Presence.TopicError>
      >()
    })
  })

  it("distinguish events, and fold them", () => {
    const since = (event: Presence.Event<Meta>) => event._tag === "List" ? event.present.length : event.since
    expectTypeOf(since).returns.toEqualTypeOf<number>()
    const first = (event: Presence.Join<Meta>) => event.first
    expectTypeOf(first).returns.toEqualTypeOf<boolean>()
    void ((shoppers: Presence.Tracker<Meta>) => {
      const folded = Stream.scan(
        shoppers.changes("shop"),
        () => HashMap.empty<string, Presence.Present<Meta>>(),
        Presence.apply
      )
      expectTypeOf(folded).toEqualTypeOf<
        Stream.Stream<HashMap.HashMap<string, Presence.Present<Meta>>, Presence.TopicError>
      >()
    })
  })

  it("give its topics to live views", () => {
    expectTypeOf<Session.State<typeof Shoppers.kind>>().toEqualTypeOf<Presence.State<Meta>>()
    class ShopLive extends Live.Service<ShopLive>()("ShopLive", {
      kind: Shoppers.kind,
      views: { here: Schema.Array(Shoppers.present), count: Schema.Int }
    }) {}
    expectTypeOf<Live.View<typeof ShopLive, "here">>().toEqualTypeOf<ReadonlyArray<Presence.Present<Meta>>>()
    const views = LiveViews.layer(ShopLive, { select: { here: Presence.list, count: Presence.count } })
    expectTypeOf<Layer.Success<typeof views>>().toEqualTypeOf<ShopLive>()
  })

  it("let a program be written", () => {
    const program = Effect.scoped(Effect.gen(function*() {
      const shoppers = yield* Shoppers
      const tracked = yield* shoppers.track("shop", "ada", { name: "Ada", joined: new Date(0) })
      yield* tracked.update({ name: "Ada L.", joined: new Date(0) })
      yield* tracked.leave
    }))
    expectTypeOf(program).toEqualTypeOf<Effect.Effect<void, Presence.TrackError, Shoppers>>()
  })
})
