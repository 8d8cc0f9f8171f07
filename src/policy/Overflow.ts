/**
 * What a full mailbox does with one more message.
 *
 * A policy only decides: from the new message and the messages that wait, it answers `wait`, `refuse`, or which message to
 * replace. The mailbox executes the decision. To add a policy, add its name to `KindOptions.Overflow` and its decision to
 * this file.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { KindOptions, Overflow } from "../contract/KindOptions.ts"
import { InvalidConfig } from "../contract/SessionError.ts"

/**
 * What a policy sees of a message.
 *
 * @since 0.1.0
 * @category models
 */
export interface Message {
  readonly route: { readonly tag: string }
}

/**
 * What a policy sees of a full mailbox.
 *
 * @since 0.1.0
 * @category models
 */
export interface FullMailbox<out M extends Message> {
  /** The new message, for which the mailbox has no room. */
  readonly message: M
  /**
   * Whether the sender can wait. The senders of `castUnsafe` and `callOnce` cannot, and neither can a handler that sends to
   * its own session.
   */
  readonly canWait: boolean
  /** The messages in the mailbox that may be dropped, oldest first. */
  readonly droppable: () => ReadonlyArray<M>
}

/**
 * What to do with the new message:
 *
 * - `wait`: its sender waits for room;
 * - `refuse`: its sender gets `MailboxFull`;
 * - `Replace`: another message is dropped, whose sender gets `MailboxFull`, and the new message takes its place.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision<M extends Message> = typeof wait | typeof refuse | Replace<M>

/**
 * The decision to drop a waiting message in favor of the new one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Replace<out M extends Message> {
  readonly _tag: "replace"
  readonly dropped: M
}

/**
 * A policy: a function from a full mailbox to a decision. It changes nothing itself.
 *
 * @since 0.1.0
 * @category models
 */
export type Policy = <M extends Message>(full: FullMailbox<M>) => Decision<M>

const wait = { _tag: "wait" } as const

const refuse = { _tag: "refuse" } as const

const policies: { readonly [Name in Overflow]: Policy } = {
  wait: ({ canWait }) => canWait ? wait : refuse,
  reject: () => refuse,
  dropOldest: ({ droppable, message }) => {
    const dropped = droppable().find(({ route }) => route.tag === message.route.tag)
    return dropped === undefined ? refuse : { _tag: "replace", dropped }
  }
}

const names = Object.keys(policies).map((name) => JSON.stringify(name)).join(", ")

/**
 * Checks the `overflow` option of a kind and gives the policy of each of its messages. Fails with `InvalidConfig`, which
 * names the setting, if a policy is unknown or the kind has no message with a given tag.
 *
 * @since 0.1.0
 * @category decisions
 */
export const resolve = (
  setting: string,
  overflow: KindOptions["overflow"],
  tags: Iterable<string>
): Effect.Effect<ReadonlyMap<string, Policy>, InvalidConfig> => {
  const invalid = (setting: string, message: string) =>
    Effect.fail(new InvalidConfig({ setting, message: `${setting} ${message}` }))
  const unknown = (name: unknown) => name !== undefined && !Object.hasOwn(policies, name as string)
  const isForAll = typeof overflow !== "object"
  if (isForAll && unknown(overflow)) return invalid(setting, `must be one of ${names}, got ${String(overflow)}`)
  const resolved = new Map<string, Policy>()
  for (const tag of tags) resolved.set(tag, policies[isForAll ? overflow ?? "wait" : "wait"])
  for (const [tag, name] of Object.entries(isForAll ? {} : overflow)) {
    const ofTag = `${setting}.${tag}`
    if (!resolved.has(tag)) return invalid(ofTag, "names a message that the kind does not have")
    if (unknown(name)) return invalid(ofTag, `must be one of ${names}, got ${String(name)}`)
    if (name !== undefined) resolved.set(tag, policies[name as Overflow])
  }
  return Effect.succeed(resolved)
}
