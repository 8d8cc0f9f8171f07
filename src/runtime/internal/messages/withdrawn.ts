/**
 * Withdrawn messages: they are still in the mailbox and will not be handled, because their callers were interrupted or timed
 * out. They are removed when the mailbox is full.
 */
import * as MutableList from "effect/MutableList"
import * as Queue from "effect/Queue"
import { type Envelope, settled } from "./Envelope.ts"

/** What this needs of a session. */
export interface MailboxOwner {
  readonly mailbox: Queue.Queue<Envelope>
  readonly extras: { withdrawn: number } | undefined
  ensureExtras(): { withdrawn: number }
}

/** Counts a message in the mailbox that was settled before it began. */
export const withdrawn = (session: MailboxOwner): void => {
  if (session.mailbox.state._tag !== "Open") return
  session.ensureExtras().withdrawn++
  // Senders that wait for room can go on.
  if (session.mailbox.state.offers.size > 0) makeRoom(session)
}

/** Removes the withdrawn messages from a full mailbox; `false` when there was none. */
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
  // A take lets in the senders that wait for room.
  MutableList.prepend(messages, out)
  Queue.takeUnsafe(mailbox)
  return true
}

/** A withdrawn message came to its turn and is skipped. */
export const skipped = ({ extras }: MailboxOwner): undefined => {
  if (extras !== undefined && extras.withdrawn > 0) extras.withdrawn--
}
