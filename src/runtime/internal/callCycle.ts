/**
 * Finds calls that would wait for ever: of a handler to its own session, or to one that waits for it in turn.
 *
 * The Effect of a handler runs with its message in the context, and so do the fibers that it forks (`Effect.timeout` and
 * `Effect.all` do). Work that `self.fork` began runs without: it goes on beside the session and may call it.
 */
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import type { Envelope } from "./Envelope.ts"
import type { LiveSession } from "./LiveSession.ts"

/** The message that is being handled where this is asked for. */
export interface Handling {
  readonly session: LiveSession
  readonly envelope: Envelope
}

export const CurrentHandling = Context.Reference<Handling | undefined>("effect-sessions/CurrentHandling", {
  defaultValue: () => undefined
})

/**
 * Why this fiber must not wait for a session that handles a message: the defect to die of; `undefined` when it may. Costs
 * nothing to speak of unless the session is in the middle of a message.
 */
export const callCycle = (
  target: LiveSession,
  fiber: Fiber.Fiber<any, any>,
  tag: string
): TypeError | undefined => {
  if (target.isRunBy(fiber)) return circle([target], tag)
  if (target.current === undefined) return undefined
  const path: Array<LiveSession> = []
  let waiting: Fiber.Fiber<any, any> | undefined = fiber
  while (waiting !== undefined) {
    const handling: Handling | undefined = Context.get(waiting.context, CurrentHandling)
    // A fiber that outlived its handler is none of its business any more.
    if (handling === undefined || handling.session.current !== handling.envelope) return undefined
    path.unshift(handling.session)
    if (handling.session === target) return circle(path, tag)
    waiting = handling.envelope.caller
  }
  return undefined
}

const circle = (path: ReadonlyArray<LiveSession>, tag: string): TypeError => {
  const [target] = path as [LiveSession]
  return path.length === 1
    ? new TypeError(
      `session ${
        nameOf(target)
      } calls itself (${tag}) and would wait for ever: use self.cast, do it in this handler, or self.fork what is to go on beside it`
    )
    : new TypeError(
      `sessions call each other in a circle (${
        [...path, target].map(nameOf).join(" → ")
      }, ${tag}) and would wait for ever: use cast for one of these messages`
    )
}

const nameOf = ({ id, kind }: LiveSession): string => `${kind}/${id}`
