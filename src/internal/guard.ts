/**
 * Callbacks for those who call from outside Effect: sockets, fibers that are over. What such a callback throws is caught by
 * nobody, and ends the process. So none is registered but through here (a lint rule says so), and each has an owner, who is
 * told what it has thrown.
 */
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"

/** Whose callback it is. */
export interface Owner {
  /** A callback has thrown. */
  readonly threw: (defect: unknown) => void
}

/** For callbacks that have nobody to tell, and do nothing that goes wrong. */
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
    // There is nobody left who could be told.
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

/** Calls back when a fiber is over. */
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
