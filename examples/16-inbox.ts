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

// Stored. With `SqliteStore`, `SqlStore` or `RedisStore` in place of `MemoryStore`, inboxes outlive the process.
const InboxesLayer = Inbox.layer(Inboxes, {
  capacity: 50,
  expireAfter: "30 days",
  kinds: { stock: { expireAfter: "1 hour", onDuplicate: "replace" } },
  snapshots: { save: "everyChange" }
})

Effect.gen(function*() {
  const inboxes = yield* Inboxes

  // The user is offline. Of each product, only the newest notification is stored.
  yield* inboxes.push("ada", "message", { from: "bob", text: "hi" })
  yield* inboxes.push("ada", "stock", { sku: "tea", left: 5 }, { key: "tea" })
  yield* inboxes.push("ada", "stock", { sku: "tea", left: 2 }, { key: "tea" })
  console.log("unread:", yield* inboxes.unread("ada"))

  // Ada comes: she gets what is pending first, then what is new.
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

  // She reads one notification, then all messages.
  const [newest] = yield* inboxes.list("ada", { unread: true, limit: 1 })
  console.log("read:", yield* inboxes.read("ada", [newest!.id]))
  console.log("read:", yield* inboxes.readAll("ada", { kinds: ["message"] }))
  console.log("left:", (yield* inboxes.list("ada", { unread: true })).map(({ payload }) => payload))

  // A payload that does not fit its schema is refused.
  console.log((yield* Effect.flip(inboxes.push("ada", "stock", { sku: "tea", left: 0.5 }))).message)
}).pipe(
  Effect.provide(Layer.provide(InboxesLayer, [Sessions.layer(), MemoryStore.layer])),
  Effect.runPromise
)
