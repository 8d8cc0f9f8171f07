/**
 * Finds calls that would wait for ever: from a handler to its own session, or to a session that waits for it in turn.
 *
 * The Effect of a handler runs with its message in the context, and so do the fibers that it forks (`Effect.timeout` and
 * `Effect.all` do). Work begun by `self.fork` runs without it: it runs beside the session and may call it.
 */
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import { CurrentSession } from "../../../contract/Session.ts"
import type { Envelope } from "./Envelope.ts"

/** A session that handles messages. */
interface Handling {
  readonly kind: { readonly name: string }
  readonly id: string
  /** The message that is being handled. */
  readonly current: Envelope | undefined
  /** Is this the fiber in which its handlers run? */
  isRunBy(fiber: Fiber.Fiber<any, any>): boolean
}

/** The message whose handler runs in the present fiber. */
export const CurrentMessage = Context.Reference<Envelope | undefined>("effect-sessions/CurrentMessage", {
  defaultValue: () => undefined
})

/** The services of an Effect that handles a message. */
export const whileHandling = (context: Context.Context<never>, envelope: Envelope): Context.Context<never> =>
  Context.addUnsafe(context, CurrentMessage.key, envelope)

/**
 * The defect to die of when this fiber would wait for itself; `undefined` when it may wait. It costs next to nothing unless the
 * session is handling a message.
 */
export const callCycle = (
  target: Handling,
  fiber: Fiber.Fiber<any, any>,
  tag: string
): TypeError | undefined => {
  if (target.isRunBy(fiber)) return circle([target], tag)
  if (target.current === undefined) return undefined
  const path: Array<Handling> = []
  let waiting: Fiber.Fiber<any, any> | undefined = fiber
  while (waiting !== undefined) {
    const envelope: Envelope | undefined = Context.get(waiting.context, CurrentMessage)
    if (envelope === undefined) return undefined
    const { session } = Context.getUnsafe(waiting.context, CurrentSession) as unknown as { readonly session: Handling }
    // A fiber that outlived its handler does not hold it up.
    if (session.current !== envelope) return undefined
    path.unshift(session)
    if (session === target) return circle(path, tag)
    waiting = envelope.caller
  }
  return undefined
}

const circle = (path: ReadonlyArray<Handling>, tag: string): TypeError => {
  const [target] = path as [Handling]
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

const nameOf = ({ id, kind }: Handling): string => `${kind.name}/${id}`
