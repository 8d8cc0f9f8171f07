/**
 * Keeps the list of who is in the shop: a visit is listed while one of its pages is connected.
 */
import { Effect, Stream } from "effect"
import { type Presence, type Session } from "effect-sessions"
import { createHash } from "node:crypto"
import { nameOf } from "./Accounts.ts"
import { Hearing } from "./Hearing.ts"
import { shop, Shoppers } from "./Shoppers.ts"
import * as UserAgent from "./UserAgent.ts"
import type { Visit } from "./Visit.ts"

/** Hides the id of a visit, which is a secret. All pages of a browser are one visit and one device. */
const deviceOf = (id: string): string => createHash("sha256").update(id).digest("base64url").slice(0, 16)

/** Lists the visit, under another key after a login. A visit that cannot be listed goes on. */
export const attend = (visit: Session.Ref<typeof Visit>, userAgent?: string) =>
  Effect.gen(function*() {
    const shoppers = yield* Shoppers
    const hearing = yield* (yield* Hearing).start(visit.id)
    yield* hearing.attach
    const agent = UserAgent.describe(userAgent)
    const device = deviceOf(visit.id)

    let listed: Presence.Tracked<never> | undefined
    const recognise = Effect.gen(function*() {
      const { user } = yield* visit.info
      // No user can have the key of a guest: names have no colons.
      const key = user ?? `guest:${device}`
      if (listed?.key === key) return
      const before = listed
      const name = user === undefined ? "Guest" : nameOf(user)
      listed = yield* shoppers.track(shop, key, { name, agent }, { device })
      yield* hearing.cast("Recognise", { key, device })
      // It is the same person, so there is no grace to wait for.
      if (before !== undefined) yield* before.leave
    })
    yield* recognise
    yield* Stream.runForEach(visit.changes((state) => state.user), () => recognise).pipe(
      Effect.ignore,
      Effect.forkScoped
    )
  }).pipe(Effect.catch(({ message }) => Effect.logWarning("A visitor is not listed", message)))
