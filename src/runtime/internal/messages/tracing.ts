/**
 * Runs handlers as spans of their caller's trace.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Envelope, Trace } from "./Envelope.ts"

/** The trace of the fiber that sends a message; `undefined` without a tracer. */
export const traceOf = (fiber: Fiber.Fiber<any, any> | undefined): Trace | undefined => {
  if (fiber === undefined) return undefined
  const { cache } = fiber
  return cache.tracer !== undefined && cache.tracerEnabled ? { tracer: cache.tracer, parent: cache.span } : undefined
}

interface Traced {
  readonly kind: { readonly name: string }
  readonly id: string
  readonly state: unknown
  readonly version: number
  readonly self: unknown
}

/** Runs the handler in a span that joins the caller's trace. */
export const traced = (session: Traced, envelope: Envelope, trace: Trace): Effect.Effect<unknown, unknown> =>
  Effect.suspend(() => {
    const out = envelope.route.handler({ state: session.state, payload: envelope.payload, self: session.self })
    return Effect.isEffect(out) ? out as Effect.Effect<unknown, unknown> : Effect.succeed(out)
  }).pipe(
    Effect.withSpan(`${session.kind.name}.${envelope.route.tag}`, {
      ...(trace.parent === undefined ? { root: true } : { parent: trace.parent }),
      kind: envelope.isCall ? "server" : "consumer",
      attributes: { "session.kind": session.kind.name, "session.id": session.id, "session.version": session.version }
    }, { captureStackTrace: false }),
    Effect.withTracer(trace.tracer)
  )
