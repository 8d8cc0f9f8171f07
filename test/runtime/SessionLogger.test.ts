import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, References, Scope } from "effect"
import { EndReason, SessionError, type SessionEvent, SessionEvents, SessionLogger } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"

interface Line {
  readonly level: string
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** Publishes events where a logger listens, and gives what it wrote. */
const logged = (events: ReadonlyArray<SessionEvent.SessionEvent>, levels?: Partial<SessionLogger.Levels>) =>
  Effect.gen(function*() {
    const lines: Array<Line> = []
    const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
      lines.push({
        level: logLevel,
        text: Array.isArray(message) ? message.join(" ") : String(message),
        annotations: fiber.getRef(References.CurrentLogAnnotations)
      })
    })
    yield* Effect.gen(function*() {
      const { publish } = yield* SessionEvents
      for (const event of events) publish(event)
      yield* TestSessions.settle
    }).pipe(Effect.provide(
      Layer.provideMerge(SessionLogger.layer(levels), SessionEvents.layer).pipe(
        Layer.provide(Logger.layer([logger])),
        Layer.provide(Layer.succeed(References.MinimumLogLevel, "Trace"))
      )
    ))
    return lines
  })

const about = { kind: "Cart", id: "ada", at: 1_000 }
const error = SessionError.MailboxFull.of("Cart", "ada", "Add", 10)

/** One event of each tag: a tag that is missing here does not compile. */
const examples: {
  readonly [T in SessionEvent.SessionEvent["_tag"]]: {
    readonly event: SessionEvent.Of<T>
    readonly level: string
    readonly text: string
    readonly annotations: Readonly<Record<string, unknown>>
  }
} = {
  Start: {
    event: { ...about, _tag: "Start", duration: 3 },
    level: "Debug",
    text: "session started",
    annotations: { duration: 3 }
  },
  StartError: {
    event: { ...about, _tag: "StartError", error },
    level: "Warn",
    text: `session could not start: ${error.message}`,
    annotations: {}
  },
  Stop: {
    event: { ...about, _tag: "Stop", reason: EndReason.expired("idle"), duration: 5_000, messages: 7, connections: 2 },
    level: "Debug",
    text: "session ended: expired (idle timeout)",
    annotations: { duration: 5_000, messages: 7, connections: 2 }
  },
  Call: {
    event: { ...about, _tag: "Call", tag: "Add", outcome: "success", duration: 2 },
    level: "Trace",
    text: "call of Add: success",
    annotations: { tag: "Add", outcome: "success", duration: 2 }
  },
  Cast: {
    event: { ...about, _tag: "Cast", tag: "Add", outcome: "failure", duration: 2 },
    level: "Trace",
    text: "cast of Add: failure",
    annotations: { tag: "Add", outcome: "failure", duration: 2 }
  },
  CommunicationError: {
    event: { ...about, _tag: "CommunicationError", tag: "Add", error },
    level: "Warn",
    text: `Add was not handled as it should: ${error.message}`,
    annotations: { tag: "Add" }
  },
  Crash: {
    event: { ...about, _tag: "Crash", tag: "Add", defect: new Error("dead"), action: "resume", pause: 50 },
    level: "Error",
    text: "the handler of Add died: dead",
    annotations: { tag: "Add", action: "resume", pause: 50 }
  },
  Cleanup: {
    event: { ...about, _tag: "Cleanup", duration: 1 },
    level: "Trace",
    text: "session released what it held",
    annotations: { duration: 1 }
  },
  CleanupError: {
    event: { ...about, _tag: "CleanupError", error: "no disk" },
    level: "Error",
    text: "the end of a session failed: no disk",
    annotations: { error: "no disk" }
  },
  AutoCleanup: {
    event: { _tag: "AutoCleanup", kind: "", id: "", at: 0, count: 7, duration: 1 },
    level: "Debug",
    text: "sweep ended 7 expired sessions",
    annotations: { count: 7, duration: 1 }
  },
  RateLimitCheck: {
    event: { ...about, _tag: "RateLimitCheck" },
    level: "Trace",
    text: "rate of starts checked",
    annotations: {}
  },
  RateLimitExceeded: {
    event: { ...about, _tag: "RateLimitExceeded", limit: "messages", retryAfter: 40 },
    level: "Warn",
    text: "the rate of messages was exceeded",
    annotations: { limit: "messages", retryAfter: 40 }
  },
  Subscribe: {
    event: { ...about, _tag: "Subscribe", watchers: 1 },
    level: "Trace",
    text: "someone watches the session",
    annotations: { watchers: 1 }
  },
  Unsubscribe: {
    event: { ...about, _tag: "Unsubscribe", watchers: 0 },
    level: "Trace",
    text: "someone stopped watching the session",
    annotations: { watchers: 0 }
  },
  Connect: {
    event: { ...about, _tag: "Connect", connections: 2 },
    level: "Debug",
    text: "a client connected",
    annotations: { connections: 2 }
  },
  Disconnect: {
    event: { ...about, _tag: "Disconnect", connections: 1, duration: 60_000 },
    level: "Debug",
    text: "a client is gone",
    annotations: { connections: 1, duration: 60_000 }
  },
  Hibernate: {
    event: { ...about, _tag: "Hibernate" },
    level: "Trace",
    text: "the session hibernates",
    annotations: {}
  },
  Wake: { event: { ...about, _tag: "Wake" }, level: "Trace", text: "the session woke up", annotations: {} },
  Restore: {
    event: { ...about, _tag: "Restore", duration: 12 },
    level: "Debug",
    text: "session restored",
    annotations: { duration: 12 }
  },
  Passivate: {
    event: { ...about, _tag: "Passivate" },
    level: "Trace",
    text: "the session left memory",
    annotations: {}
  },
  SnapshotError: {
    event: { ...about, _tag: "SnapshotError", id: "", error, retryIn: 200 },
    level: "Error",
    text: `snapshots failed: ${error.message}`,
    annotations: { retryIn: 200 }
  },
  SnapshotRecovery: {
    event: { ...about, _tag: "SnapshotRecovery", id: "", count: 3 },
    level: "Info",
    text: "snapshots are written again, 3 waited",
    annotations: { count: 3 }
  },
  Broadcast: {
    event: { ...about, _tag: "Broadcast", id: "", tag: "Add", count: 3 },
    level: "Debug",
    text: "broadcast of Add to 3 sessions",
    annotations: { tag: "Add", count: 3 }
  },
  WorkerStart: {
    event: { ...about, _tag: "WorkerStart" },
    level: "Trace",
    text: "session forked work",
    annotations: {}
  },
  WorkerTerminate: {
    event: { ...about, _tag: "WorkerTerminate", outcome: "interrupted", error: undefined },
    level: "Debug",
    text: "forked work is over: interrupted",
    annotations: { outcome: "interrupted" }
  },
  Dispatch: {
    event: { ...about, _tag: "Dispatch", type: "cart.add", changed: true },
    level: "Trace",
    text: "action cart.add",
    annotations: { type: "cart.add" }
  },
  BroadcastReceive: {
    event: { ...about, _tag: "BroadcastReceive", tag: "Notify", from: "lobby" },
    level: "Trace",
    text: "broadcast of Notify received",
    annotations: { tag: "Notify", from: "lobby" }
  },
  SelectorCacheHit: {
    event: { ...about, _tag: "SelectorCacheHit", selector: "total" },
    level: "Trace",
    text: "selector total had it",
    annotations: { selector: "total" }
  },
  SelectorCacheMiss: {
    event: { ...about, _tag: "SelectorCacheMiss", selector: "total" },
    level: "Trace",
    text: "selector total computed it",
    annotations: { selector: "total" }
  },
  Notification: {
    event: { ...about, _tag: "Notification", notification: "stock", notificationId: 7, isNew: true },
    level: "Debug",
    text: "notification stock",
    annotations: { notification: "stock", notificationId: 7 }
  },
  Summary: {
    event: {
      ...about,
      _tag: "Summary",
      user: null,
      startedAt: 1,
      observedAt: 1,
      endedAt: 90_001,
      duration: 90_000,
      reason: EndReason.expired("idle"),
      messages: 7,
      crashes: 0,
      connections: 2,
      activeTime: 30_000,
      pauses: 0,
      longestPause: 0,
      busiestMinute: 6,
      messagesPerActiveMinute: 7,
      pattern: "glance"
    },
    level: "Debug",
    text: "session lived 90 s (glance): expired (idle timeout)",
    annotations: {
      startedAt: 1,
      observedAt: 1,
      endedAt: 90_001,
      duration: 90_000,
      messages: 7,
      crashes: 0,
      connections: 2,
      activeTime: 30_000,
      pauses: 0,
      longestPause: 0,
      busiestMinute: 6,
      messagesPerActiveMinute: 7,
      pattern: "glance"
    }
  }
}

const all = Object.values(examples)

describe("SessionLogger", () => {
  it.effect.each(all.map((example) => ({ name: example.event._tag, ...example })))(
    "writes $name at $level",
    ({ annotations, event, level, text }) =>
      Effect.gen(function*() {
        const session = event.id === "" ? {} : { session: "Cart/ada" }
        assert.deepStrictEqual(yield* logged([event]), [
          { level, text, annotations: { event: event._tag, ...session, ...annotations } }
        ])
      })
  )

  it.effect("writes all events in their order", () =>
    Effect.gen(function*() {
      const lines = yield* logged(all.map(({ event }) => event))
      assert.deepStrictEqual(lines.map(({ annotations }) => annotations["event"]), all.map(({ event }) => event._tag))
    }))

  it.effect("takes the level of each event from its options, and the rest from the defaults", () =>
    Effect.gen(function*() {
      const lines = yield* logged(all.map(({ event }) => event), { Start: "Info", Call: "Fatal" })
      const level = Object.fromEntries(lines.map(({ annotations, level }) => [annotations["event"], level]))
      assert.strictEqual(level["Start"], "Info")
      assert.strictEqual(level["Call"], "Fatal")
      assert.strictEqual(level["Stop"], SessionLogger.defaultLevels.Stop)
    }))

  it.effect("leaves out what has the level None", () =>
    Effect.gen(function*() {
      const lines = yield* logged(all.map(({ event }) => event), { Call: "None", Cast: "None" })
      const tags = lines.map(({ annotations }) => annotations["event"])
      assert.strictEqual(tags.length, all.length - 2)
      assert.notInclude(tags, "Call")
      assert.notInclude(tags, "Cast")
    }))

  it.effect("stops listening when its Layer is closed", () =>
    Effect.gen(function*() {
      const events = yield* SessionEvents
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(Layer.provide(SessionLogger.layer(), Layer.succeed(SessionEvents, events)), scope)
      assert.isTrue(events.active)
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(events.active)
    }).pipe(Effect.provide(SessionEvents.layer)))
})
