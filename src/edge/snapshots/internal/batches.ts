/**
 * Operations on single keys that are sent together: those that are asked for in one turn of the event loop become one
 * statement. A process that has taken over the sessions of another one loads thousands of them at once.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Request from "effect/Request"
import * as RequestResolver from "effect/RequestResolver"
import type { Key } from "../../../contract/SnapshotStore.ts"

/** The most keys of one statement. */
const most = 64

export const keyText = ({ id, kind }: Key): string => `${kind}\n${id}`

/**
 * Makes an operation on one key from one on many, which are all different; it gives one result for each, in order. When the data
 * of one key may be at fault (`isOfRow`), each is tried alone, so that the others do not fail with it.
 */
export const batched = <A extends Key, B, E>(
  run: (all: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, E>,
  isOfRow: (error: E) => boolean
): (one: A) => Effect.Effect<B, E> => {
  class Single extends Request.Class<{ readonly one: A }, B, E> {}
  type Entry = Request.Entry<Single>

  const settle = (entries: ReadonlyArray<Entry>): Effect.Effect<void> =>
    Effect.matchCauseEffect(run(entries.map(({ request }) => request.one)), {
      onFailure: (cause) => {
        const failure = Exit.findErrorOption(Exit.failCause(cause))
        if (entries.length > 1 && failure._tag === "Some" && isOfRow(failure.value)) {
          return Effect.forEach(entries, (entry) => settle([entry]), { discard: true })
        }
        return Effect.sync(() => {
          for (const entry of entries) entry.completeUnsafe(Exit.failCause(cause))
        })
      },
      onSuccess: (results) =>
        Effect.sync(() => {
          for (const [i, entry] of entries.entries()) entry.completeUnsafe(Exit.succeed(results[i]!))
        })
    })

  const resolver = RequestResolver.batchN(
    RequestResolver.make<Single>((entries) => Effect.forEach(distinct(entries), settle, { discard: true })),
    most
  )
  return (one) => Effect.request(new Single({ one }), resolver)
}

/** Parts in which no key is named twice, in the order in which they were asked for. */
const distinct = <A extends { readonly request: { readonly one: Key } }>(
  entries: ReadonlyArray<A>
): ReadonlyArray<ReadonlyArray<A>> => {
  const parts: Array<Map<string, A>> = []
  for (const entry of entries) {
    const key = keyText(entry.request.one)
    let part = parts.find((part) => !part.has(key))
    if (part === undefined) parts.push(part = new Map())
    part.set(key, entry)
  }
  return parts.map((part) => Array.from(part.values()))
}
