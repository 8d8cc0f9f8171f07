/**
 * A member: the one session of a user who has logged in, on any number of devices. The members' sockets show it.
 */
import { Effect, Option, Schema, Stream } from "effect"
import { Session, Sessions } from "effect-sessions"
import * as Rpc from "effect/rpc/Rpc"
import { Account, Accounts } from "./Accounts.ts"
import { CartState } from "./Cart.ts"
import { Visit } from "./Visit.ts"

/** The token names a user who has no account. */
export class UnknownUser extends Schema.TaggedError<UnknownUser>()("UnknownUser", { message: Schema.String }) {}

const Device = Schema.Struct({ id: Schema.String, cart: CartState })

export class Member extends Session.Service<Member>()("Member", {
  state: Schema.Struct({
    /** `null` until the account is loaded. */
    user: Schema.NullOr(Account),
    devices: Schema.Array(Device),
    /** The cart that changed last. */
    cart: Schema.NullOr(CartState)
  }),
  protocol: [
    /** This user has logged in on a device. */
    Rpc.make("Joined", { payload: { device: Schema.String } }),
    Rpc.make("CartChanged", { payload: Device }),
    Rpc.make("Left", { payload: { device: Schema.String } })
  ],
  error: UnknownUser
}) {}

export const MemberLayer = Member.toLayer(
  Effect.gen(function*() {
    const accounts = yield* Accounts
    const visits = yield* Visit
    const sessions = yield* Sessions

    /** Follows the cart of a device until its visit ends or belongs to another user. */
    const follow = (self: Session.Self<Session.Protocol<typeof Member>>, device: string) => {
      const visit = visits.ref(device)
      return visit.changes((state) => state.cart).pipe(
        Stream.takeWhileEffect(() => Effect.map(visit.info, ({ user }) => user === self.id)),
        Stream.runForEach((cart) => Effect.ignore(self.cast("CartChanged", { id: device, cart }))),
        Effect.ignore,
        Effect.andThen(Effect.ignore(self.cast("Left", { device }))),
        (following) => self.fork(following)
      )
    }

    /** The live visits of a user, on all nodes. */
    const visitsOf = Effect.fnUntraced(function*(user: string) {
      const refs = yield* sessions.ofUser(user)
      const live = yield* Effect.filter(
        refs,
        ({ isLive, kind }) => kind === Visit.kind ? isLive : Effect.succeed(false)
      )
      return live.map(({ id }) => id)
    }, Effect.orElseSucceed((): ReadonlyArray<string> => []))

    return Member.behavior({
      init: () => ({ user: null, devices: [], cart: null }),
      afterStart: Effect.fnUntraced(function*({ self, state }) {
        const devices = yield* visitsOf(self.id)
        // Who has logged in on another node has an account there.
        const account = devices.length > 0
          ? Option.some(yield* accounts.open(self.id))
          : yield* accounts.find(self.id)
        if (Option.isNone(account)) return yield* new UnknownUser({ message: `the shop does not know ${self.id}` })
        for (const id of devices) yield* follow(self, id)
        return { ...state, user: account.value }
      }),
      handlers: {
        Joined: ({ payload: { device }, self, state }) =>
          state.devices.some(({ id }) => id === device) ? [state] : Effect.as(follow(self, device), [state]),
        CartChanged: ({ payload, state }) => [{
          ...state,
          devices: state.devices.filter(({ id }) => id !== payload.id).concat(payload),
          cart: payload.cart
        }],
        Left: ({ payload: { device }, state }) => [
          { ...state, devices: state.devices.filter(({ id }) => id !== device) }
        ]
      }
    })
  }),
  { idleTimeout: "30 minutes", reconnectWindow: "30 seconds" }
)
