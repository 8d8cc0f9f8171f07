// Notifications for users, online or not: typed kinds, a bell that counts, keys, and expiry.
//   node --conditions=source examples/16-inbox.ts
import { Effect, Layer, Schema, Stream } from "effect"
import { Inbox, Sessions } from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"

class Inboxes extends Inbox.Service<Inboxes>()("Inboxes", {
  kinds: {
    message: Schema.Struct({ from: Schema.String, text: Schema.String }),
    stock: Schema.Struct({ sku: Schema.String, left: Schema.Int })
  }
}) {}

// Kept in a store: it takes `SqliteStore`, `SqlStore` or `RedisStore` in place of this one to outlive the process.
const InboxesLayer = Inbox.layer(Inboxes, {
  capacity: 50,
  expireAfter: "30 days",
  kinds: { stock: { expireAfter: "1 hour", onDuplicate: "replace" } },
  snapshots: { save: "everyChange" }
})

Effect.gen(function*() {
  const inboxes = yield* Inboxes

  // Nobody is online. Only the newest news of a product are worth reading.
  yield* inboxes.push("ada", "message", { from: "bob", text: "hi" })
  yield* inboxes.push("ada", "stock", { sku: "tea", left: 5 }, { key: "tea" })
  yield* inboxes.push("ada", "stock", { sku: "tea", left: 2 }, { key: "tea" })
  console.log("unread:", yield* inboxes.unread("ada"))

  // Ada comes: first what is pending, then what is new.
  yield* Effect.forkChild(
    Effect.andThen(
      Effect.sleep("10 millis"),
      inboxes.pushAll(["ada", "bob"], "message", { from: "eve", text: "hello" })
    )
  )
  yield* inboxes.subscribe("ada").pipe(
    Stream.take(3),
    Stream.runForEach(({ kind, payload }) => Effect.sync(() => console.log(kind, payload)))
  )

  // She opens one, and then all messages.
  const [newest] = yield* inboxes.list("ada", { unread: true, limit: 1 })
  console.log("read:", yield* inboxes.read("ada", [newest!.id]))
  console.log("read:", yield* inboxes.readAll("ada", { kinds: ["message"] }))
  console.log("left:", (yield* inboxes.list("ada", { unread: true })).map(({ payload }) => payload))

  // What does not fit is refused.
  console.log((yield* Effect.flip(inboxes.push("ada", "stock", { sku: "tea", left: 0.5 }))).message)
}).pipe(
  Effect.provide(Layer.provide(InboxesLayer, [Sessions.layer(), MemoryStore.layer])),
  Effect.runPromise
)
