/**
 * The types of the analytics: see Session.types.test.ts for how these tests work.
 */
import { describe, expectTypeOf, it } from "@effect/vitest"
import { type Effect, type Layer, Schema } from "effect"
import {
  SessionAnalytics,
  type SessionError,
  type SessionEvent,
  type SessionEvents,
  type SessionPattern,
  SessionSummary
} from "effect-sessions"

describe("SessionAnalytics", () => {
  it("needs the events and a sink", () => {
    expectTypeOf(SessionAnalytics.layer()).toEqualTypeOf<
      Layer.Layer<never, SessionError.InvalidConfig, SessionEvents | SessionAnalytics.AnalyticsSink>
    >()
    // @ts-expect-error there is no such option
    SessionAnalytics.layer({ size: 1 })
  })

  it("gives summaries that its event has, too", () => {
    expectTypeOf<Parameters<SessionAnalytics.AnalyticsSink["Service"]["record"]>>().toEqualTypeOf<
      [batch: ReadonlyArray<SessionSummary>]
    >()
    expectTypeOf<SessionEvent.Of<"Summary">>().toExtend<SessionSummary>()
    expectTypeOf<SessionSummary["pattern"]>().toEqualTypeOf<typeof SessionPattern.Type>()
    expectTypeOf<SessionSummary["user"]>().toEqualTypeOf<string | null>()
  })

  it("has a schema that needs nothing to encode", () => {
    const encode = Schema.encodeEffect(Schema.toCodecJson(SessionSummary))
    expectTypeOf<ReturnType<typeof encode>>().toEqualTypeOf<Effect.Effect<Schema.Json, Schema.SchemaError>>()
  })
})
