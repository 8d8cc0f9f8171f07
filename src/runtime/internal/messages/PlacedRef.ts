/**
 * The address of a session that is served in this process, as long as its place is here. Otherwise requests fail with
 * `notHere`: whoever sent them is to ask the owner.
 */
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Option from "effect/Option"
import { SessionEnded } from "../../../contract/SessionError.ts"
import type { EndOptions } from "../../../contract/SessionRef.ts"
import type { Kind } from "../host/Kind.ts"
import { failNotHere, type Place } from "../host/Placement.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { LocalRef } from "./LocalRef.ts"
import type { Message, Request } from "./Request.ts"

/**
 * Is the message to be sent to where its session has moved? One whose handler may have begun is, if it is numbered: then it is
 * not done again.
 */
export const followsMove = (exit: Exit.Exit<unknown, unknown>, op: Request["op"]): boolean => {
  if (Exit.isSuccess(exit)) return false
  const error: Option.Option<unknown> = Cause.findErrorOption(exit.cause)
  return error._tag === "Some" && error.value instanceof SessionEnded && error.value.reason._tag === "Moved" &&
    (!error.value.begun || op === "once")
}

export class PlacedRef extends LocalRef {
  protected readonly place: Place

  constructor(home: Kind, id: string, session: LiveSession | undefined, place: Place) {
    super(home, id, session)
    this.place = place
  }

  protected get isHere(): boolean {
    return this.place.isHere(this.home.host.now())
  }

  override live(now: number): LiveSession | undefined {
    return this.place.isHere(now) ? super.live(now) : undefined
  }

  override elsewhere<A, E>(then: Effect.Effect<A, E>, message?: Message): Effect.Effect<A, any> {
    return this.isHere ? super.elsewhere(then, message as Message) : failNotHere
  }

  override failed<A, E>(exit: Exit.Exit<A, E>, _again: Effect.Effect<A, E>, message: Message): Effect.Effect<A, E> {
    return followsMove(exit, message.op) ? failNotHere : exit
  }

  override end(options?: EndOptions): Effect.Effect<boolean, any> {
    return this.isHere ? super.end(options) : failNotHere
  }
}
