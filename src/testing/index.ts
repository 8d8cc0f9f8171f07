/**
 * Layers and helpers for tests of programs that use effect-sessions.
 *
 * @since 0.1.0
 */
export * as TestSessions from "./TestSessions.ts"
