/**
 * Whose a session is and what is noted about it, as values.
 */
import type { Identity } from "../../../contract/SessionRef.ts"

/** With a change: metadata is added, the user replaced. */
export const changed = (identity: Identity, change: Partial<Identity>): Identity => ({
  user: "user" in change ? change.user : identity.user,
  metadata: change.metadata === undefined ? identity.metadata : { ...identity.metadata, ...change.metadata }
})

/** Without a change, as far as nobody has changed the same again since. */
export const reverted = (now: Identity, before: Identity, change: Partial<Identity>): Identity => {
  const metadata = { ...now.metadata }
  for (const [key, value] of Object.entries(change.metadata ?? {})) {
    if (metadata[key] !== value) continue
    if (Object.hasOwn(before.metadata, key)) metadata[key] = before.metadata[key]
    else delete metadata[key]
  }
  return { user: "user" in change && now.user === change.user ? before.user : now.user, metadata }
}
