/**
 * The handlers of the endpoints about the visitor's identity: login, logout, devices.
 */
import { DateTime, Effect } from "effect"
import { SessionError, Sessions, Store } from "effect-sessions"
import { Devices } from "effect-sessions/http"
import { JwtSigner } from "effect-sessions/jwt"
import { HttpApiBuilder } from "effect/http-api"
import { Accounts } from "./Accounts.ts"
import { Inboxes } from "./Inboxes.ts"
import { Member } from "./Member.ts"
import { ShopApi } from "./ShopApi.ts"
import * as ShopError from "./ShopError.ts"
import { loggedIn, visit, Visitor } from "./Visitor.ts"

export const IdentityHandlers = HttpApiBuilder.group(
  ShopApi,
  "identity",
  Effect.fn(function*(handlers) {
    const accounts = yield* Accounts
    const members = yield* Member
    const inboxes = yield* Inboxes
    const tokens = yield* JwtSigner
    const sessions = Effect.provideService(Sessions, yield* Sessions)

    return handlers.handleAll({
      login: Effect.fn("login")(
        function*({ payload: { user } }) {
          const visitor = yield* Visitor
          const before = yield* visit
          const { user: previous } = yield* before.info
          const account = yield* accounts.open(user)
          // The cart stays. The cookie is replaced, and the old one is no longer valid.
          const { id: device } = yield* visitor.rotate({ user })
          yield* Store.dispatchWait(before, "user.rename", account.name)
          if (previous !== undefined && previous !== user) {
            yield* Effect.ignore(members.ref(previous).cast("Left", { device }))
          }
          yield* Effect.ignore(members.ref(user).cast("Joined", { device }))
          // From now on others can write to this user, online or not.
          yield* Effect.ignore(inboxes.open(user))
          return { user, token: yield* tokens.sign({ sub: user, sid: yield* visitor.binding }) }
        },
        Effect.catchIf(SessionError.isCallError, ShopError.fromCall),
        Effect.catchTag(["NoSession", "ActionStopped"], () => ShopError.unavailable)
      ),
      logout: () => Effect.asVoid(Effect.flatMap(Visitor, (visitor) => ShopError.orUnavailable(visitor.end))),
      devices: Effect.fn("devices")(function*() {
        const { user, visit } = yield* loggedIn
        return (yield* ShopError.orUnavailable(sessions(Devices.list(user)))).map((
          { address, agent, connections, id, lastActiveAt, startedAt }
        ) => ({
          id,
          startedAt: DateTime.makeUnsafe(startedAt),
          lastActiveAt: DateTime.makeUnsafe(lastActiveAt),
          address: address ?? null,
          agent: agent ?? null,
          connections,
          current: id === visit.id
        }))
      }),
      endDevice: Effect.fn("endDevice")(function*({ params: { id } }) {
        const { user, visit } = yield* loggedIn
        // Ending one's own device is a logout.
        if (id === visit.id) yield* ShopError.orUnavailable((yield* Visitor).end)
        else if (!(yield* ShopError.orUnavailable(sessions(Devices.end(user, id))))) {
          return yield* new ShopError.NoSuchDevice({ message: "you have no such device" })
        }
      })
    })
  })
)
