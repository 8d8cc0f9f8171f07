/**
 * The types of groups: see Session.types.test.ts for how these tests work.
 */
// @effect-diagnostics missingEffectError:off
import { describe, expectTypeOf, it } from "@effect/vitest"
import { Effect, HashMap, type Layer, Schema, type Scope } from "effect"
import {
  Groups,
  Live,
  Session,
  type SessionError,
  type SessionHost,
  type SessionRef,
  type Sessions
} from "effect-sessions"
import { LiveViews } from "effect-sessions/live"
import * as Rpc from "effect/rpc/Rpc"

class Visit extends Session.Service<Visit>()("Visit", {
  state: Schema.Int,
  protocol: [Rpc.make("Notify", { payload: Schema.Struct({ text: Schema.String }) }), Rpc.make("Ping")]
}) {}

class Rooms extends Groups.Service<Rooms>()("Rooms", { members: Visit }) {}

const compiled = (_parts: () => unknown) => {}

describe("Groups", () => {
  it("need the kind of their members, and provide themselves and the kind of their sessions", () => {
    expectTypeOf(Groups.layer(Rooms)).toEqualTypeOf<
      Layer.Layer<Rooms | Groups.Kind<"Rooms">, SessionError.InvalidConfig, SessionHost | Sessions | Visit>
    >()
    // @ts-expect-error no message of the groups' sessions has this name
    Groups.layer(Rooms, { overflow: { Nope: "wait" } })
    // @ts-expect-error starts of groups are never limited
    Groups.layer(Rooms, { limitStarts: true })
  })

  it("send what their members understand", () => {
    compiled(() =>
      Effect.gen(function*() {
        const rooms = yield* Rooms
        expectTypeOf(rooms.broadcast("lobby", "Notify", { text: "hello" })).toEqualTypeOf<
          Effect.Effect<Groups.Sent, Groups.GroupError>
        >()
        expectTypeOf(rooms.broadcastToUser("ada", "Ping")).toEqualTypeOf<Effect.Effect<Groups.Sent>>()
        expectTypeOf(rooms.broadcastToAll("Ping", undefined, { except: ["ada"] })).toEqualTypeOf<
          Effect.Effect<Groups.Sent>
        >()
        // @ts-expect-error there is no such message
        yield* rooms.broadcast("lobby", "Nope")
        // @ts-expect-error the payload is missing
        yield* rooms.broadcast("lobby", "Notify")
        // @ts-expect-error the payload is another one
        yield* rooms.broadcastToAll("Notify", { text: 1 })
        // @ts-expect-error there is no such option
        yield* rooms.broadcastToUser("ada", "Ping", undefined, { but: ["ada"] })
      })
    )
  })

  it("can be seen in live views", () => {
    class RoomLive extends Live.Service<RoomLive>()("RoomLive", { kind: Rooms.kind, views: { size: Schema.Int } }) {}
    expectTypeOf(LiveViews.layer(RoomLive, { select: { size: ({ members }) => HashMap.size(members) } })).toEqualTypeOf<
      Layer.Layer<RoomLive, SessionError.InvalidConfig>
    >()
  })

  it("say what can go wrong", () => {
    compiled(() =>
      Effect.gen(function*() {
        const rooms = yield* Rooms
        expectTypeOf(rooms.join("lobby", "ada")).toEqualTypeOf<
          Effect.Effect<void, Groups.GroupError | SessionError.SessionNotFound>
        >()
        expectTypeOf(rooms.joinScoped("lobby", "ada")).toEqualTypeOf<
          Effect.Effect<void, Groups.GroupError | SessionError.SessionNotFound, Scope.Scope>
        >()
        expectTypeOf(rooms.members("lobby")).toEqualTypeOf<Effect.Effect<ReadonlyArray<string>, Groups.GroupError>>()
        expectTypeOf(rooms.group("lobby")).toEqualTypeOf<
          Effect.Effect<SessionRef.SessionRef<Groups.State, Groups.Protocol>, SessionError.StartError>
        >()
        expectTypeOf<SessionError.SessionNotFound>().not.toExtend<Groups.GroupError>()
        const kind = yield* Rooms.kind
        expectTypeOf(yield* kind.ref("lobby").state).toEqualTypeOf<Groups.State>()
      })
    )
  })
})
