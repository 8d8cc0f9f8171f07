/**
 * Callbacks for callers outside Effect, such as sockets and fiber observers. Nobody catches what such a callback
 * throws, and it would end the process. So every such callback is registered through this file (a lint rule enforces
 * it) and has an owner, which is notified of what it throws.
 */
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"

/** Whose callback it is. */
export interface Owner {
  /** A callback has thrown. */
  readonly threw: (defect: unknown) => void
}

/** The owner of callbacks that cannot fail. */
export const nobody: Owner = { threw: () => {} }

/** A callback that does not throw. */
export const guard = <O extends Owner, A, B>(owner: O, f: (owner: O, a: A, b: B) => void) => (a: A, b: B): void => {
  try {
    f(owner, a, b)
  } catch (defect) {
    tell(owner, defect)
  }
}

const tell = (owner: Owner, defect: unknown): void => {
  try {
    owner.threw(defect)
  } catch {
    // There is nobody left to notify.
  }
}

interface Emitter {
  on(event: string, listener: (...args: Array<any>) => void): unknown
}

/** Listens to an emitter of Node's. */
export const listen = <O extends Owner, A, B>(
  owner: O,
  emitter: Emitter,
  event: string,
  f: (owner: O, a: A, b: B) => void
): void => {
  // oxlint-disable-next-line no-restricted-properties
  emitter.on(event, guard(owner, f))
}

interface Target<Type extends string, Event> {
  addEventListener(type: Type, listener: (event: Event) => void): void
  removeEventListener(type: Type, listener: (event: Event) => void): void
}

/** Listens to a target of a browser's; gives the function that ends it. */
export const listenTo = <O extends Owner, Type extends string, Event>(
  owner: O,
  target: Target<Type, Event>,
  type: Type,
  f: (owner: O, event: Event) => void
): () => void => {
  const listener = guard<O, Event, void>(owner, f) as (event: Event) => void
  // oxlint-disable-next-line no-restricted-properties
  target.addEventListener(type, listener)
  return () => target.removeEventListener(type, listener)
}

/** Calls back when a fiber has ended. */
export const observe = <O extends Owner, A, E>(
  owner: O,
  fiber: Fiber.Fiber<A, E>,
  f: (owner: O, exit: Exit.Exit<A, E>, fiber: Fiber.Fiber<A, E>) => void
): void => {
  // oxlint-disable-next-line no-restricted-properties
  fiber.addObserver((exit) => {
    try {
      f(owner, exit, fiber)
    } catch (defect) {
      tell(owner, defect)
    }
  })
}
