/**
 * Messages that will not be handled and still stand in the mailbox: their callers were interrupted, or waited for long
 * enough. They make room for others as soon as it is wanted.
 */
import * as MutableList from "effect/MutableList"
import * as Queue from "effect/Queue"
import { type Envelope, settled } from "./Envelope.ts"

/** A session, as far as its mailbox is concerned. */
export interface MailboxOwner {
  readonly mailbox: Queue.Queue<Envelope>
  readonly extras: { withdrawn: number } | undefined
  ensureExtras(): { withdrawn: number }
}

/** Notes that a message in the mailbox was settled before it began. */
export const withdrawn = (session: MailboxOwner): void => {
  if (session.mailbox.state._tag !== "Open") return
  session.ensureExtras().withdrawn++
  // Whoever waits for room need not wait any longer.
  if (session.mailbox.state.offers.size > 0) makeRoom(session)
}

/** Takes them out of a full mailbox; `false` when there was none. */
export const makeRoom = (session: MailboxOwner): boolean => {
  const { extras, mailbox } = session
  if (extras === undefined || extras.withdrawn === 0) return false
  extras.withdrawn = 0
  let out: Envelope | undefined
  const messages = mailbox.messages as MutableList.MutableList<Envelope>
  MutableList.filter(messages, (envelope) => {
    if (envelope.status !== settled) return true
    out = envelope
    return false
  })
  if (out === undefined) return false
  // A take lets in those who wait for room.
  MutableList.prepend(messages, out)
  Queue.takeUnsafe(mailbox)
  return true
}

/** One of them came to its turn. */
export const skipped = ({ extras }: MailboxOwner): undefined => {
  if (extras !== undefined && extras.withdrawn > 0) extras.withdrawn--
}
