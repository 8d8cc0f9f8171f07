/**
 * Changes of the user and the metadata of a session, as pure functions.
 */
import type { Identity } from "../../../contract/SessionRef.ts"

/** Applies a change: adds the metadata, replaces the user. */
export const changed = (identity: Identity, change: Partial<Identity>): Identity => ({
  user: "user" in change ? change.user : identity.user,
  metadata: change.metadata === undefined ? identity.metadata : { ...identity.metadata, ...change.metadata }
})

/** Reverts a change, except for what was changed again since. */
export const reverted = (now: Identity, before: Identity, change: Partial<Identity>): Identity => {
  const metadata = { ...now.metadata }
  for (const [key, value] of Object.entries(change.metadata ?? {})) {
    if (metadata[key] !== value) continue
    if (Object.hasOwn(before.metadata, key)) metadata[key] = before.metadata[key]
    else delete metadata[key]
  }
  return { user: "user" in change && now.user === change.user ? before.user : now.user, metadata }
}
