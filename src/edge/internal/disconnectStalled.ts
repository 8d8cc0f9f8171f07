/**
 * Disconnects the reader of an answer that does not read it.
 *
 * A client that vanishes without closing its connection is noticed only when TCP gives up, after about 15 minutes. Until then,
 * what is written for it fills the buffers of the system and of the server; then the server stops to pull the stream of the
 * answer. So a reader that pulls nothing for some heartbeats, in each of which there is something to read, takes nothing. As
 * long as the buffers have room, this notices nothing: a client that vanishes from a quiet stream is left to TCP.
 */
import * as Arr from "effect/Array"
import type { NonEmptyArray, NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Parts from "../../internal/parts.ts"

/** How many heartbeats may pass without a pull. */
const patience = 3

/** The heartbeat of answers that have none of their own, in milliseconds. Their parts may be large, so that it is long. */
const ofOthers = 30_000

/** A text in parts, so that a slow reader of a long text still pulls from time to time. */
const split = (text: string): NonEmptyReadonlyArray<string> => {
  const end = Parts.endOfPart(text, 0)
  const parts: NonEmptyArray<string> = [text.slice(0, end)]
  for (let at = end; at < text.length;) {
    const end = Parts.endOfPart(text, at)
    parts.push(text.slice(at, end))
    at = end
  }
  return parts
}

/** Texts in parts, each pulled on its own. */
export const inParts = <E, R>(stream: Stream.Stream<string, E, R>): Stream.Stream<string, E, R> =>
  Stream.rechunk(Stream.mapArray(stream, (texts) => Arr.flatMap(texts, split)), 1)

/**
 * Interrupts the fiber that reads the stream when it has pulled nothing for more than three heartbeats after it was given
 * something. A fiber that answers a request closes the connection then. `heartbeat` is in milliseconds.
 */
export const disconnectStalled =
  (heartbeat = ofOthers) => <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> =>
    Stream.transformPull(stream, (pull, scope) => {
      /** The fiber that was given a part and has not pulled since. */
      let busy: Fiber.Fiber<unknown, unknown> | undefined = undefined
      let beats = 0
      const beat = Effect.sync(() => {
        if (busy !== undefined && ++beats > patience) busy.interruptUnsafe()
      })
      const next = Effect.withFiber((fiber) => {
        busy = undefined
        return Effect.tap(pull, () =>
          Effect.sync(() => {
            busy = fiber
            beats = 0
          }))
      })
      return Effect.as(Effect.forkIn(Effect.forever(Effect.andThen(Effect.sleep(heartbeat), beat)), scope), next)
    })
