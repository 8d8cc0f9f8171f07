/**
 * The users that the shop knows. This demo has no passwords: a visitor is whoever they say they are.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"

export const UserId = Schema.String.check(Schema.isPattern(/^[A-Za-z][\w-]{0,31}$/))

export const Account = Schema.Struct({ id: UserId, name: Schema.String })
export type Account = typeof Account.Type

/** The display name of the user with this id. */
export const nameOf = (id: string): string => id.charAt(0).toUpperCase() + id.slice(1)

const account = (id: string): Account => ({ id, name: nameOf(id) })

/** Holds accounts in memory. Some users are known from the start. */
export class Accounts extends Context.Service<Accounts, {
  readonly find: (id: string) => Effect.Effect<Option.Option<Account>>
  /** The account of this user; creates one if there is none. */
  readonly open: (id: string) => Effect.Effect<Account>
}>()("corner-shop/Accounts") {
  static readonly layer = Layer.sync(Accounts, () => {
    const accounts = new Map(["ada", "alan", "grace"].map((id) => [id, account(id)]))
    return {
      find: (id) => Effect.sync(() => Option.fromUndefinedOr(accounts.get(id))),
      open: (id) =>
        Effect.sync(() => {
          if (!accounts.has(id)) accounts.set(id, account(id))
          return accounts.get(id)!
        })
    }
  })
}
