/**
 * The DOM functions that all parts of the page share.
 */
import { Effect, Queue, Stream } from "effect"

/** The element of this selector. index.html contains it. */
export const find = <E extends HTMLElement = HTMLElement>(selector: string, within: ParentNode = document): E => {
  const found = within.querySelector<E>(selector)
  if (found === null) throw new Error(`index.html has no ${selector}`)
  return found
}

type Events = HTMLElementEventMap & WindowEventMap & DocumentEventMap

/**
 * The events of an element. The browser neither submits forms nor closes dialogs. The stream gives an event a little later
 * than it happened: use `listen` to read what must be read before the element changes again.
 */
export const events = <const K extends keyof Events>(
  target: EventTarget,
  type: K,
  listen: () => void = () => {}
): Stream.Stream<Events[K]> =>
  Stream.callback<Events[K]>((queue) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const listener = (event: Event) => {
          if (type === "submit" || type === "cancel") event.preventDefault()
          listen()
          Queue.offerUnsafe(queue, event as Events[K])
        }
        target.addEventListener(type, listener)
        return listener
      }),
      (listener) => Effect.sync(() => target.removeEventListener(type, listener))
    )
  )

/** Handles each event at once, also while earlier events are being handled. */
export const on = <const K extends keyof Events, R>(
  target: EventTarget,
  type: K,
  handle: (event: Events[K]) => Effect.Effect<unknown, never, R>
): Effect.Effect<void, never, R> =>
  events(target, type).pipe(Stream.mapEffect(handle, { concurrency: "unbounded" }), Stream.runDrain)

/** Merges streams. */
export const anyOf = <R>(
  ...streams: ReadonlyArray<Stream.Stream<unknown, never, R>>
): Stream.Stream<unknown, never, R> => Stream.mergeAll(streams, { concurrency: "unbounded" })

/** Runs the parts of the page concurrently, for as long as it is open. */
export const together = <R>(...parts: ReadonlyArray<Effect.Effect<unknown, never, R>>): Effect.Effect<void, never, R> =>
  Effect.all(parts, { concurrency: "unbounded", discard: true })

/** A copy of the content of a template. */
export const clone = (template: string): HTMLElement =>
  find<HTMLTemplateElement>(template).content.firstElementChild!.cloneNode(true) as HTMLElement

/** Shows one row for each item. The row of an item is reused, so that it keeps the focus. */
export const rows = <A>(list: HTMLElement, template: string, options: {
  readonly key: (item: A) => string
  readonly show: (row: HTMLElement, item: A) => void
}): (items: ReadonlyArray<A>) => void => {
  const known = new Map<string, HTMLElement>()
  return (items) => {
    const keys = new Set(items.map(options.key))
    for (const [key, row] of known) {
      if (keys.has(key)) continue
      // When the focused row is removed, the next row gets the focus.
      if (row.contains(document.activeElement)) (row.nextElementSibling ?? list).querySelector("button")?.focus()
      row.remove()
      known.delete(key)
    }
    items.forEach((item, index) => {
      const key = options.key(item)
      const row = known.get(key) ?? clone(template)
      if (!known.has(key)) {
        row.dataset["key"] = key
        known.set(key, row)
      }
      options.show(row, item)
      if (list.children[index] !== row) list.insertBefore(row, list.children[index] ?? null)
    })
  }
}
