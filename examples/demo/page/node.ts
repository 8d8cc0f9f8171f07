/**
 * Which node of a cluster has the visit. A shop that is one process shows nothing.
 */
import { Effect, Stream } from "effect"
import * as Api from "./Api.ts"
import { find } from "./dom.ts"
import { statuses } from "./ShopClient.ts"

const line = find("#node")

const show = (owner: string | null, here: string | null) =>
  Effect.sync(() => {
    line.hidden = false
    find("[data-show=node]", line).textContent = owner ?? "no node"
    find("[data-show=here]", line).textContent = here ?? ""
  })

/** Asks each second. A node that does not answer is not an error of the page. */
const follow = Effect.flatMap(Api.visit, ({ id }) =>
  Stream.tick("1 second").pipe(
    Stream.runForEach(() => Effect.ignore(Effect.flatMap(Api.node(id), ({ here, owner }) => show(owner, here))))
  ))

/** The visit may be another one after each connection. */
const followed = Stream.filter(statuses, ({ _tag }) => _tag === "Open").pipe(
  Stream.switchMap(() => Stream.fromEffect(Effect.ignore(follow))),
  Stream.runDrain
)

export const node = Api.node("").pipe(
  Effect.orElseSucceed(() => ({ here: null })),
  Effect.flatMap(({ here }) => here === null ? Effect.void : followed)
)
