/**
 * The types of inboxes. Each test holds when this file compiles (`tsc`); the parts with calls are functions that nobody
 * calls.
 */
// What these tests expect, the diagnostics of Effect would report beside the type error.
// @effect-diagnostics missingEffectError:off
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { type Context, type Effect, type Layer, Schema, type Stream } from "effect"
import { Inbox, type InboxError, Live, type SessionError, type SessionHost } from "effect-sessions"

class Inboxes extends Inbox.Service<Inboxes>()("Inboxes", {
  kinds: { message: Schema.Struct({ text: Schema.String }), due: Schema.DateTimeUtc, ping: Schema.Void }
}) {}

type Kinds = typeof Inboxes["kinds"]
type Note = Inbox.Notification<Kinds>

declare const inboxes: Context.Service.Shape<typeof Inboxes>

/** Compiled, not run. */
const compiled = (_check: () => unknown) => assert.isTrue(true)

describe("a definition of an inbox", () => {
  it("is the service of the inboxes, and has a kind of session", () => {
    expectTypeOf<Context.Service.Shape<typeof Inboxes>>().toEqualTypeOf<Inbox.Inboxes<Kinds>>()
    expectTypeOf(Inboxes.kind.kind).toEqualTypeOf<"Inboxes">()
    expectTypeOf<typeof Inboxes.Notification.Type>().toEqualTypeOf<Note>()
    compiled(() =>
      expectTypeOf(Inbox.layer(Inboxes)).toEqualTypeOf<
        Layer.Layer<Inboxes | Inbox.Sessions<"Inboxes">, SessionError.InvalidConfig, SessionHost>
      >()
    )
  })

  it("names its kinds in the options", () => {
    compiled(() => Inbox.layer(Inboxes, { kinds: { ping: { expireAfter: "1 hour" } }, overflow: { Push: "reject" } }))
    // @ts-expect-error there is no such kind
    compiled(() => Inbox.layer(Inboxes, { kinds: { pong: {} } }))
    // @ts-expect-error there is no such policy
    compiled(() => Inbox.layer(Inboxes, { whenFull: "wait" }))
    // @ts-expect-error there is no such message
    compiled(() => Inbox.layer(Inboxes, { overflow: { Shout: "wait" } }))
  })

  it("is a kind for live definitions, which may let clients send its messages", () => {
    compiled(() =>
      Live.Service()("Bell", {
        kind: Inboxes.kind,
        views: { unread: Schema.Int, all: Schema.Array(Inboxes.Notification) },
        messages: ["Read", "ReadUpTo", "ReadAll", "Remove", "Clear", "List", "Unread", "Push"]
      })
    )
    // @ts-expect-error there is no such message
    compiled(() => Live.Service()("Bell", { kind: Inboxes.kind, views: {}, messages: ["Shout"] }))
  })
})

describe("a notification", () => {
  it("has the payload of its kind", () => {
    expectTypeOf<Extract<Note, { kind: "message" }>["payload"]>().toEqualTypeOf<{ readonly text: string }>()
    expectTypeOf<Extract<Note, { kind: "ping" }>["payload"]>().toEqualTypeOf<void>()
    expectTypeOf<Note["kind"]>().toEqualTypeOf<"message" | "due" | "ping">()
  })
})

describe("a push", () => {
  it("takes the payload of its kind, and none where that is void", () => {
    compiled(() => inboxes.push("ada", "message", { text: "hi" }, { key: "k" }))
    compiled(() => inboxes.push("ada", "ping"))
    compiled(() => inboxes.push("ada", "ping", undefined, { expireAfter: "1 hour" }))
    // @ts-expect-error there is no such kind
    compiled(() => inboxes.push("ada", "pong"))
    // @ts-expect-error it needs a payload
    compiled(() => inboxes.push("ada", "message"))
    // @ts-expect-error that is the payload of another kind
    compiled(() => inboxes.pushAll(["ada"], "due", { text: "hi" }))
    // @ts-expect-error that is no payload
    compiled(() => inboxes.pushUnsafe("ada", "message", { text: 5 }))
  })

  it("says what it can fail with", () => {
    compiled(() =>
      expectTypeOf(inboxes.push("ada", "ping")).toEqualTypeOf<Effect.Effect<Inbox.Pushed, Inbox.PushError>>()
    )
    expectTypeOf<SessionError.SessionNotFound>().not.toExtend<Inbox.AskError | Inbox.FollowError>()
    expectTypeOf<SessionError.SessionNotFound>().toExtend<Inbox.PushError>()
    expectTypeOf<InboxError.InboxFull | SessionError.StartError>().toExtend<Inbox.PushError>()
    expectTypeOf<SessionError.SessionsClosed>().not.toExtend<Inbox.FollowError>()
  })
})

describe("what is read of an inbox", () => {
  it("is of the kinds that were asked for", () => {
    compiled(() => {
      expectTypeOf(inboxes.list("ada")).toEqualTypeOf<Effect.Effect<ReadonlyArray<Note>, Inbox.AskError>>()
      expectTypeOf(inboxes.list("ada", { kinds: ["message"] })).toEqualTypeOf<
        Effect.Effect<ReadonlyArray<Inbox.Notification<Kinds, "message">>, Inbox.AskError>
      >()
      expectTypeOf(inboxes.list("ada", { limit: 5 })).toEqualTypeOf<
        Effect.Effect<ReadonlyArray<Note>, Inbox.AskError>
      >()
      expectTypeOf(inboxes.subscribe("ada", { kinds: ["message", "ping"] })).toEqualTypeOf<
        Stream.Stream<Inbox.Notification<Kinds, "message" | "ping">, Inbox.FollowError>
      >()
      expectTypeOf(inboxes.subscribe("ada", { after: 1 })).toEqualTypeOf<Stream.Stream<Note, Inbox.FollowError>>()
    })
    // @ts-expect-error there is no such kind
    compiled(() => inboxes.list("ada", { kinds: ["pong"] }))
    // @ts-expect-error there is no such kind
    compiled(() => inboxes.unread("ada", { kinds: ["pong"] }))
  })
})
