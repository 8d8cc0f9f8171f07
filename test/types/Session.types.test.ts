/**
 * The types of the library. Each test holds when this file compiles (`tsc`): `expectTypeOf` compares types, and a
 * `@ts-expect-error` over a line that compiles is an error itself. Nothing here needs to run, so the parts with
 * calls are functions that are never called.
 */
// What these tests expect, the diagnostics of Effect would report beside the type error.
// @effect-diagnostics missingEffectError:off
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Context, type Duration, Effect, type Equivalence, type Layer, Schema, type Scope, type Stream } from "effect"
import {
  Agent,
  Bag,
  type EndReason,
  type KindOptions,
  Retry,
  Session,
  type SessionError,
  type SessionHost,
  type SessionRef,
  Sessions,
  Supervision
} from "effect-sessions"
import type { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { left: Schema.Int }) {}
class NoUser extends Schema.TaggedError<NoUser>()("NoUser", { id: Schema.String }) {}

class Stock extends Context.Service<Stock, { readonly reserve: (sku: string) => Effect.Effect<void, OutOfStock> }>()(
  "test/Stock"
) {}
class Users extends Context.Service<Users, { readonly load: (id: string) => Effect.Effect<string, NoUser> }>()(
  "test/Users"
) {}
class Mail extends Context.Service<Mail, { readonly send: (text: string) => Effect.Effect<void> }>()("test/Mail") {}

const Item = Schema.Struct({ sku: Schema.String, count: Schema.Int })
type Item = typeof Item.Type

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Struct({ items: Schema.Array(Item) }),
  args: Schema.Struct({ owner: Schema.String }),
  error: NoUser,
  protocol: [
    Rpc.make("Add", { payload: Item, success: Schema.Int, error: OutOfStock }),
    Rpc.make("Total", { success: Schema.Int }),
    Rpc.make("Clear"),
    Rpc.make("Rename", { payload: Schema.String })
  ]
}) {}

class Pure extends Session.Service<Pure>()("Pure", {
  state: Schema.Int,
  protocol: [Rpc.make("Add", { payload: Schema.Int, success: Schema.Int }), Rpc.make("Reset")]
}) {}

type State = { readonly items: ReadonlyArray<Item> }
type CartProtocol = Session.Protocol<typeof Cart>
type CartRef = Session.Ref<typeof Cart>

declare const carts: Session.SessionKind<State, CartProtocol, { readonly owner: string }, NoUser>
declare const pures: Session.SessionKind<number, Session.Protocol<typeof Pure>, void, never>
declare const cart: CartRef

/** Compiled, not run. */
const compiled = (_check: () => unknown) => assert.isTrue(true)

const items: State = { items: [] }

/** A behavior of a cart that is right; the tests change one thing each. */
const handlers = {
  Add: ({ state }: { readonly state: State }) => [state, 1] as const,
  Total: ({ state }: { readonly state: State }) => [state, state.items.length] as const,
  Clear: () => [items] as const,
  Rename: () => [items] as const
}

describe("a definition", () => {
  it("gives its state, its messages and its ref as types", () => {
    expectTypeOf<Session.State<typeof Cart>>().toEqualTypeOf<State>()
    expectTypeOf<CartProtocol["_tag"]>().toEqualTypeOf<"Add" | "Total" | "Clear" | "Rename">()
    expectTypeOf<CartRef>().toEqualTypeOf<SessionRef.SessionRef<State, CartProtocol>>()
    expectTypeOf(Cart.kind).toEqualTypeOf<"Cart">()
  })

  it("is the service of its sessions", () => {
    expectTypeOf<Context.Service.Shape<typeof Cart>>().toEqualTypeOf<typeof carts>()
    expectTypeOf<Context.Service.Shape<typeof Pure>>().toEqualTypeOf<typeof pures>()
    compiled(() =>
      Effect.gen(function*() {
        expectTypeOf(yield* Cart).toEqualTypeOf<typeof carts>()
      })
    )
  })
})

describe("a behavior", () => {
  it("infers payload, state and arguments for its functions", () => {
    compiled(() =>
      Cart.behavior({
        init: ({ args, id, self }) => {
          expectTypeOf(args).toEqualTypeOf<{ readonly owner: string }>()
          expectTypeOf(id).toEqualTypeOf<string>()
          expectTypeOf(self).toEqualTypeOf<Session.Self<CartProtocol>>()
          return items
        },
        handlers: {
          ...handlers,
          Add: ({ payload, self, state }) => {
            expectTypeOf(payload).toEqualTypeOf<Item>()
            expectTypeOf(state).toEqualTypeOf<State>()
            expectTypeOf(self).toEqualTypeOf<Session.Self<CartProtocol>>()
            return [state, 1]
          },
          Rename: ({ payload, state }) => {
            expectTypeOf(payload).toEqualTypeOf<string>()
            return [state]
          },
          Clear: ({ payload, state }) => {
            expectTypeOf(payload).toEqualTypeOf<void>()
            return [state]
          }
        },
        afterStart: ({ state }) => {
          expectTypeOf(state).toEqualTypeOf<State>()
          return Effect.void
        },
        end: ({ reason, state }) => {
          expectTypeOf(reason).toEqualTypeOf<EndReason.EndReason>()
          expectTypeOf(state).toEqualTypeOf<State>()
          return Effect.void
        }
      })
    )
  })

  it("needs no services when it is pure", () => {
    compiled(() => {
      const behavior = Pure.behavior({
        init: () => 0,
        handlers: { Add: ({ payload, state }) => [state + payload, state + payload], Reset: () => [0] }
      })
      expectTypeOf(behavior).toEqualTypeOf<
        Session.Behavior<number, Session.Protocol<typeof Pure>, void, never, never>
      >()
      expectTypeOf(Pure.toLayer(behavior)).toEqualTypeOf<
        Layer.Layer<Pure, SessionError.InvalidConfig, SessionHost>
      >()
    })
  })

  it("needs the services of its init, handlers and hooks, and not the services that every session has", () => {
    compiled(() => {
      const layer = Cart.toLayer(Cart.behavior({
        init: ({ id }) =>
          Effect.gen(function*() {
            yield* (yield* Users).load(id)
            yield* Effect.acquireRelease(Effect.void, () => Effect.void)
            return items
          }),
        handlers: {
          ...handlers,
          Add: Effect.fnUntraced(function*({ payload, state }) {
            yield* (yield* Stock).reserve(payload.sku)
            const self = yield* Session.CurrentSession
            expectTypeOf(self.id).toEqualTypeOf<string>()
            return [{ items: [...state.items, payload] }, state.items.length + 1]
          })
        },
        end: () => Effect.flatMap(Mail, ({ send }) => send("bye"))
      }))
      expectTypeOf(layer).toEqualTypeOf<
        Layer.Layer<Cart, SessionError.InvalidConfig, SessionHost | Users | Stock | Mail>
      >()
    })
  })

  it("can be made by an Effect, whose errors and services the Layer has too", () => {
    compiled(() => {
      const layer = Cart.toLayer(Effect.gen(function*() {
        yield* (yield* Users).load("admin")
        yield* Effect.addFinalizer(() => Effect.void)
        return Cart.behavior({ init: () => items, handlers })
      }))
      expectTypeOf(layer).toEqualTypeOf<
        Layer.Layer<Cart, NoUser | SessionError.InvalidConfig, SessionHost | Users>
      >()
    })
  })

  it("does not compile without a handler for each message", () => {
    compiled(() => {
      const { Clear: _clear, ...rest } = handlers
      return Cart.behavior({
        init: () => items,
        // @ts-expect-error Clear is missing
        handlers: rest
      })
    })
  })

  it("does not compile with a handler for a message that is not there", () => {
    compiled(() =>
      Cart.behavior({
        init: () => items,
        handlers: {
          ...handlers,
          // @ts-expect-error nothing is called Remove
          Remove: () => [items]
        }
      })
    )
  })

  it("does not compile when an answer has another type, or is missing", () => {
    compiled(() => [
      Pure.behavior({
        init: () => 0,
        handlers: {
          // @ts-expect-error the answer is a number
          Add: ({ state }) => [state, "one"],
          Reset: () => [0]
        }
      }),
      Pure.behavior({
        init: () => 0,
        handlers: {
          // @ts-expect-error an answer is needed
          Add: ({ state }) => [state],
          Reset: () => [0]
        }
      }),
      Pure.behavior({
        init: () => 0,
        handlers: {
          // @ts-expect-error the answer is a number, in an Effect too
          Add: ({ state }) => Effect.succeed([state, "one"] as const),
          Reset: () => [0]
        }
      })
    ])
  })

  it("does not compile when the next state has another type", () => {
    compiled(() => [
      Pure.behavior({
        init: () => 0,
        handlers: {
          Add: ({ state }) => [state, state],
          // @ts-expect-error the state is a number
          Reset: () => ["zero"]
        }
      }),
      Pure.behavior({
        // @ts-expect-error the state is a number
        init: () => "zero",
        handlers: { Add: ({ state }) => [state, state], Reset: () => [0] }
      })
    ])
  })

  it("does not compile when a handler fails otherwise than its message declares", () => {
    compiled(() => [
      Cart.behavior({
        init: () => items,
        handlers: {
          ...handlers,
          // @ts-expect-error Add fails with OutOfStock only
          Add: () => Effect.fail(new NoUser({ id: "ada" }))
        }
      }),
      Cart.behavior({
        init: () => items,
        handlers: {
          ...handlers,
          // @ts-expect-error Clear does not fail
          Clear: () => Effect.fail(new OutOfStock({ left: 0 }))
        }
      }),
      Cart.behavior({
        init: () => items,
        handlers: { ...handlers, Add: () => Effect.fail(new OutOfStock({ left: 0 })) }
      })
    ])
  })

  it("does not compile when init or a hook fails otherwise than the kind declares", () => {
    compiled(() => [
      Cart.behavior({
        // @ts-expect-error a cart starts or fails with NoUser
        init: () => Effect.fail(new OutOfStock({ left: 0 })),
        handlers
      }),
      Cart.behavior({
        init: () => items,
        handlers,
        // @ts-expect-error it goes on or fails with NoUser
        afterStart: () => Effect.fail(new OutOfStock({ left: 0 }))
      }),
      Cart.behavior({
        init: () => items,
        handlers,
        // @ts-expect-error an end does not fail
        end: () => Effect.fail(new NoUser({ id: "ada" }))
      }),
      Cart.behavior({
        init: () => Effect.fail(new NoUser({ id: "ada" })),
        handlers,
        afterStart: () => Effect.fail(new NoUser({ id: "ada" }))
      })
    ])
  })

  it("does not compile for another kind", () => {
    compiled(() => {
      const behavior = Pure.behavior({ init: () => 0, handlers: { Add: () => [0, 0], Reset: () => [0] } })
      // @ts-expect-error it is the behavior of another kind
      return Cart.toLayer(behavior)
    })
  })
})

describe("the options of a kind", () => {
  it("know the tags of its messages", () => {
    compiled(() => {
      const behavior = Pure.behavior({ init: () => 0, handlers: { Add: () => [0, 0], Reset: () => [0] } })
      Pure.toLayer(behavior, { overflow: { Add: "reject", Reset: "dropOldest" }, supervision: Supervision.reset() })
      Pure.toLayer(behavior, { overflow: "wait", idleTimeout: "5 minutes", messageRate: { limit: 1, window: 1_000 } })
      // @ts-expect-error nothing is called Remove
      Pure.toLayer(behavior, { overflow: { Remove: "reject" } })
      Pure.toLayer(behavior, { remember: { answers: 8, clients: 2 } })
      // @ts-expect-error nothing is called actions
      Pure.toLayer(behavior, { remember: { actions: 8 } })
      // @ts-expect-error there is no such policy
      Pure.toLayer(behavior, { overflow: "drop" })
      // @ts-expect-error no duration
      Pure.toLayer(behavior, { idleTimeout: "soon" })
      // @ts-expect-error made with Supervision
      Pure.toLayer(behavior, { supervision: "resume" })
    })
    expectTypeOf<KindOptions.Overflow>().toEqualTypeOf<"wait" | "reject" | "dropOldest">()
  })
})

describe("start", () => {
  it("fails with the kind's declared error and the errors of every start, and no others", () => {
    compiled(() => {
      expectTypeOf(carts.start("ada", { args: { owner: "ada" } })).toEqualTypeOf<
        Effect.Effect<
          CartRef,
          | NoUser
          | SessionError.InvalidSessionId
          | SessionError.SessionLimitReached
          | SessionError.StartRateExceeded
          | SessionError.StartFailed
          | SessionError.StartTimeout
          | SessionError.SessionsClosed
          | SessionError.LoadError
        >
      >()
      expectTypeOf(pures.start("a")).toEqualTypeOf<
        Effect.Effect<Session.Ref<typeof Pure>, SessionError.StartError>
      >()
    })
    expectTypeOf<SessionError.StartError["_tag"]>().toEqualTypeOf<
      | "InvalidSessionId"
      | "SessionLimitReached"
      | "StartRateExceeded"
      | "StartFailed"
      | "StartTimeout"
      | "SessionsClosed"
      | "StoreUnavailable"
      | "SnapshotUnreadable"
      | "RestoreFailed"
      | "NodeUnavailable"
    >()
  })

  it("needs the kind's arguments, and only where it has some", () => {
    compiled(() => [
      // @ts-expect-error the arguments are missing
      carts.start("ada"),
      // @ts-expect-error the arguments are missing
      carts.start("ada", { user: "ada" }),
      // @ts-expect-error the owner is missing
      carts.start("ada", { args: {} }),
      // @ts-expect-error the owner is a text
      carts.start("ada", { args: { owner: 5 } }),
      // @ts-expect-error the arguments are missing
      carts.startAll(["ada"]),
      carts.startAll(["ada"], { args: { owner: "ada" } }),
      pures.start("a"),
      pures.start("a", { idleTimeout: "1 minute", user: "u", metadata: { any: 1 }, address: "10.0.0.1" }),
      // @ts-expect-error it has no arguments
      pures.start("a", { args: 5 }),
      // @ts-expect-error no such option
      pures.start("a", { ttl: 5 })
    ])
  })

  it("takes arguments that may be undefined only when they are given", () => {
    compiled(() => Effect.flatMap(Bag, (bags) => bags.start("ada", { args: { a: 1 } })))
  })
})

describe("call", () => {
  it("gives the answer of the message, and fails with its declared error and those of every call", () => {
    type CallErrors =
      | SessionError.SessionNotFound
      | SessionError.SessionEnded
      | SessionError.MailboxFull
      | SessionError.MessageRateExceeded
      | SessionError.SessionCrashed
      | SessionError.CallTimeout
      | SessionError.NodeLost
      | SessionError.LoadError
    compiled(() => {
      expectTypeOf(cart.call("Add", { sku: "a", count: 1 })).toEqualTypeOf<
        Effect.Effect<number, OutOfStock | CallErrors>
      >()
      expectTypeOf(cart.call("Total")).toEqualTypeOf<Effect.Effect<number, CallErrors>>()
      expectTypeOf(cart.call("Clear")).toEqualTypeOf<Effect.Effect<void, CallErrors>>()
    })
    expectTypeOf<SessionError.CallError>().toEqualTypeOf<CallErrors>()
  })

  it("takes the payload of the message and then options", () => {
    compiled(() => [
      cart.call("Add", { sku: "a", count: 1 }, { timeout: "1 second" }),
      cart.call("Clear", undefined, { timeout: "1 second" }),
      // @ts-expect-error nothing is called Remove
      cart.call("Remove"),
      // @ts-expect-error the payload is missing
      cart.call("Add"),
      // @ts-expect-error the count is missing
      cart.call("Add", { sku: "a" }),
      // @ts-expect-error the count is a number
      cart.call("Add", { sku: "a", count: "1" }),
      // @ts-expect-error it has no payload
      cart.call("Clear", 5),
      // @ts-expect-error the text is missing
      cart.call("Rename"),
      // @ts-expect-error no such option
      cart.call("Rename", "new", { within: "1 second" })
    ])
  })
})

describe("callOnce", () => {
  const once = { client: "c", sequence: 1 }

  it("gives the answer of the message, and fails with what a call can fail with and what only actions can", () => {
    type OnceErrors = SessionError.CallError | SessionError.ActionForgotten | SessionError.ActionOutOfOrder
    compiled(() => {
      expectTypeOf(cart.callOnce("Add", { sku: "a", count: 1 }, once)).toEqualTypeOf<
        Effect.Effect<number, OutOfStock | OnceErrors>
      >()
      expectTypeOf(cart.callOnce("Total", undefined, once)).toEqualTypeOf<Effect.Effect<number, OnceErrors>>()
      expectTypeOf(cart.callOnce("Clear", undefined, once)).toEqualTypeOf<Effect.Effect<void, OnceErrors>>()
    })
    expectTypeOf<SessionError.OnceError>().toEqualTypeOf<
      SessionError.ActionForgotten | SessionError.ActionOutOfOrder
    >()
  })

  it("takes the payload of the message and then the client and its number", () => {
    compiled(() => [
      cart.callOnce("Add", { sku: "a", count: 1 }, { ...once, again: true, epoch: 5, timeout: "1 second" }),
      cart.callOnce("Add", { sku: "a", count: 1 }, { ...once, again: undefined, epoch: undefined }),
      // @ts-expect-error nothing is called Remove
      cart.callOnce("Remove", undefined, once),
      // @ts-expect-error the count is missing
      cart.callOnce("Add", { sku: "a" }, once),
      // @ts-expect-error the count is a number
      cart.callOnce("Add", { sku: "a", count: "1" }, once),
      // @ts-expect-error it has no payload
      cart.callOnce("Clear", 5, once),
      // @ts-expect-error the text is missing
      cart.callOnce("Rename", undefined, once),
      // @ts-expect-error the action has no number
      cart.callOnce("Rename", "new"),
      // @ts-expect-error the number is missing
      cart.callOnce("Rename", "new", { client: "c" }),
      // @ts-expect-error the client is missing
      cart.callOnce("Rename", "new", { sequence: 1 }),
      // @ts-expect-error the client is a text
      cart.callOnce("Rename", "new", { client: 5, sequence: 1 }),
      // @ts-expect-error the sequence is a number
      cart.callOnce("Rename", "new", { client: "c", sequence: "1" }),
      // @ts-expect-error no such option
      cart.callOnce("Rename", "new", { ...once, within: "1 second" })
    ])
  })
})

describe("cast and broadcast", () => {
  it("fail with what can happen before a message is accepted, and no more", () => {
    type CastErrors =
      | SessionError.SessionNotFound
      | SessionError.SessionEnded
      | SessionError.MailboxFull
      | SessionError.MessageRateExceeded
      | SessionError.NodeLost
      | SessionError.LoadError
    compiled(() => {
      expectTypeOf(cart.cast("Add", { sku: "a", count: 1 })).toEqualTypeOf<Effect.Effect<void, CastErrors>>()
      expectTypeOf(cart.castUnsafe("Clear")).toEqualTypeOf<boolean>()
      expectTypeOf(carts.broadcast("Rename", "new")).toEqualTypeOf<Effect.Effect<number>>()
    })
    expectTypeOf<SessionError.CastError>().toEqualTypeOf<CastErrors>()
  })

  it("take the payload of the message", () => {
    compiled(() => [
      // @ts-expect-error nothing is called Remove
      cart.cast("Remove"),
      // @ts-expect-error the payload is missing
      cart.cast("Add"),
      // @ts-expect-error the count is missing
      cart.castUnsafe("Add", { sku: "a" }),
      // @ts-expect-error a text
      cart.castUnsafe("Rename", 5),
      // @ts-expect-error a text
      carts.broadcast("Rename", 5),
      // @ts-expect-error nothing is called Remove
      carts.broadcast("Remove")
    ])
  })
})

describe("a session as its handlers see it", () => {
  it("sends itself the messages of its own protocol", () => {
    compiled(() =>
      Pure.behavior({
        init: () => 0,
        handlers: {
          Add: ({ self, state }) =>
            Effect.gen(function*() {
              yield* Effect.ignore(self.cast("Reset"))
              expectTypeOf(yield* self.after("1 second", "Add", 5)).toEqualTypeOf<Session.Timer>()
              yield* self.every("1 second", "Reset", undefined, { key: "tick" })
              // @ts-expect-error a number
              yield* self.after("1 second", "Add", "5")
              // @ts-expect-error the payload is missing
              yield* self.every("1 second", "Add")
              // @ts-expect-error nothing is called Remove
              yield* Effect.ignore(self.cast("Remove"))
              return [state, state]
            }),
          Reset: () => [0]
        }
      })
    )
  })

  it("gives its own Scope to what it runs, which the Layer then does not need", () => {
    compiled(() => {
      const behavior = Pure.behavior({
        init: () => Effect.as(Effect.addFinalizer(() => Effect.void), 0),
        handlers: { Add: () => [0, 0], Reset: () => [0] }
      })
      expectTypeOf<Session.Provided>().toEqualTypeOf<Session.CurrentSession | Scope.Scope>()
      expectTypeOf(Pure.toLayer(behavior)).toEqualTypeOf<Layer.Layer<Pure, SessionError.InvalidConfig, SessionHost>>()
    })
  })
})

describe("watching", () => {
  it("streams the state, or what is selected of it", () => {
    type Watched = SessionError.ReachError | SessionError.SessionEnded
    compiled(() => {
      expectTypeOf(cart.changes()).toEqualTypeOf<Stream.Stream<State, Watched>>()
      expectTypeOf(cart.changes((state) => state.items.length)).toEqualTypeOf<Stream.Stream<number, Watched>>()
      const equivalence: Equivalence.Equivalence<number> = Object.is
      const same = [
        cart.changes((state) => state.items.length, { equivalence }),
        // @ts-expect-error the equivalence is of what is selected
        cart.changes((state) => state.items, { equivalence })
      ]
      expectTypeOf(cart.state).toEqualTypeOf<Effect.Effect<State, SessionError.ReachError>>()
      expectTypeOf(cart.awaitEnd).toEqualTypeOf<Effect.Effect<EndReason.EndReason, SessionError.ReachError>>()
      expectTypeOf(cart.info).toEqualTypeOf<
        Effect.Effect<SessionRef.SessionInfo<State>, SessionError.ReachError>
      >()
      return same
    })
  })
})

describe("Sessions", () => {
  it("starts by name with the errors of that", () => {
    compiled(() =>
      Effect.gen(function*() {
        const sessions = yield* Sessions
        expectTypeOf(sessions.start("ada")).toEqualTypeOf<
          Effect.Effect<
            SessionRef.Any,
            | SessionError.StartError
            | SessionError.StartRefused
            | SessionError.UnknownKind
            | SessionError.InvalidMessage
          >
        >()
        expectTypeOf(sessions.get({ kind: "Cart", id: "ada" })).toEqualTypeOf<
          Effect.Effect<SessionRef.Any, SessionError.ReachError>
        >()
      })
    )
  })
})

describe("Agent", () => {
  it("knows the type of its state and of what is answered", () => {
    class Counter extends Agent.Service<Counter>()("Counter", { state: Schema.Int }) {}
    compiled(() => {
      const layer = Counter.toLayer(Agent.behavior(Counter, () => 0))
      expectTypeOf(layer).toEqualTypeOf<Layer.Layer<Counter, SessionError.InvalidConfig, SessionHost>>()
      // @ts-expect-error the state is a number
      Agent.behavior(Counter, () => "zero")
      return Effect.gen(function*() {
        const counter = yield* (yield* Counter).start("a")
        expectTypeOf(counter).toEqualTypeOf<Agent.Ref<number>>()
        expectTypeOf(Agent.get(counter, (n) => `${n}`)).toEqualTypeOf<Effect.Effect<string, SessionError.CallError>>()
        expectTypeOf(Agent.update(counter, (n) => n + 1)).toEqualTypeOf<
          Effect.Effect<void, SessionError.CallError>
        >()
        expectTypeOf(Agent.modify(counter, (n) => [n > 0, n])).toEqualTypeOf<
          Effect.Effect<boolean, SessionError.CallError>
        >()
        // @ts-expect-error the state is a number
        yield* Agent.update(counter, () => "one")
      })
    })
  })
})

describe("Retry", () => {
  it("changes neither the result, nor the errors, nor the services of an Effect", () => {
    compiled(() => {
      const effect: Effect.Effect<number, OutOfStock, Stock> = Effect.succeed(1)
      expectTypeOf(effect.pipe(Retry.whenSafe({ times: 2 }))).toEqualTypeOf<Effect.Effect<number, OutOfStock, Stock>>()
    })
    expectTypeOf<NonNullable<Retry.Options["delay"]>>().toEqualTypeOf<Duration.Input>()
  })
})

describe("TestSessions.layer", () => {
  it("needs what the kinds need, without what it provides itself", () => {
    compiled(() => {
      type Kinds = Layer.Layer<Cart, SessionError.InvalidConfig, SessionHost | Stock>
      type Result = ReturnType<typeof TestSessions.layer<Cart, SessionError.InvalidConfig, SessionHost | Stock>>
      expectTypeOf<Layer.Services<Kinds>>().toEqualTypeOf<SessionHost | Stock>()
      expectTypeOf<Layer.Services<Result>>().toEqualTypeOf<Stock>()
    })
  })
})
