/**
 * Sends a numbered action to a session: it is handled once, however often it is sent.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { CallError, OnceError } from "../../../contract/SessionError.ts"
import type { OnceOptions } from "../../../contract/SessionRef.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { CallbackDeadline } from "../time/Deadlines.ts"
import { callCycle } from "./callCycle.ts"
import { timedOut } from "./CallDeadline.ts"
import { address, submit, type Target } from "./deliver.ts"
import { Reply } from "./ReplyCache.ts"
import type { OnceRequest } from "./Request.ts"
import { traceOf } from "./tracing.ts"

/**
 * Sends a numbered action, unless it was accepted before, and gives its reply. An interrupted caller does not withdraw the
 * action, so that the next attempt finds it.
 */
export const callOnce = (
  ref: Target,
  tag: string,
  payload: unknown,
  timeout: number,
  once: OnceOptions
): Effect.Effect<unknown, CallError | OnceError> =>
  Effect.withFiber((fiber) => {
    const now = ref.home.host.now()
    const session = ref.live(now)
    const self = () => callOnce(ref, tag, payload, timeout, once)
    const request = (): OnceRequest => ({ op: "once", tag, payload, timeout, action: once })
    if (session === undefined) return ref.elsewhere(self(), request())
    const cycle = callCycle(session, fiber, tag)
    if (cycle !== undefined) return Effect.die(cycle)
    const replies = session.replies
    const known = replies.find(checkOnce(once), session.epoch)
    const failed = (exit: Exit.Exit<unknown, any>) => ref.failed(exit, self(), request())
    if (known instanceof Reply) return answerOnce(session, tag, known, timeout, now + timeout, failed)
    if (known !== undefined) return Effect.fail(known)
    const envelope = address(session, tag, payload, true, traceOf(fiber))
    envelope.caller = fiber
    const reply = new Reply(tag)
    envelope.isRemembered = true
    envelope.resume = (exit) => reply.settle(exit)
    envelope.decided = (exit) => {
      reply.decided = exit
    }
    // Before `submit`, which may handle it at once: a caller that its handler causes must find it.
    replies.add(once, reply)
    const refused = submit(session, envelope, now, false)
    if (refused !== undefined) {
      replies.withdraw(once)
      return Effect.fail(refused)
    }
    replies.forget(once)
    return answerOnce(session, tag, reply, timeout, now + timeout, failed)
  })

const checkOnce = (once: OnceOptions): OnceOptions => {
  if (Number.isSafeInteger(once.sequence) && once.sequence > 0 && once.client !== "" && once.client.length <= 64) {
    return once
  }
  throw new TypeError("an action needs a client with a name of 1 to 64 characters and a sequence that counts from 1")
}

/** Waits for the reply to an action, at most until the deadline. The action goes on after that. */
const answerOnce = (
  session: LiveSession,
  tag: string,
  reply: Reply,
  timeout: number,
  deadline: number,
  failed: (exit: Exit.Exit<unknown, any>) => Effect.Effect<unknown, any>
): Effect.Effect<unknown, any> =>
  reply.exit ?? Effect.callback((resume) => {
    const { deadlines } = session.host
    const stop = () => {
      deadlines.cancel(limit)
      forget()
    }
    const limit = new CallbackDeadline(() => {
      stop()
      resume(Effect.fail(timedOut(session, tag, timeout, true)))
    })
    const forget = reply.await((exit) => {
      deadlines.cancel(limit)
      resume(Exit.isSuccess(exit) ? exit : failed(exit))
    })
    deadlines.set(limit, deadline)
    return Effect.sync(stop)
  })
