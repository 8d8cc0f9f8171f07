/**
 * A message to another user, who finds it in the inbox.
 */
import { Effect } from "effect"
import * as Api from "./Api.ts"
import { find, on, together } from "./dom.ts"
import { notice } from "./notice.ts"

const dialog = find<HTMLDialogElement>("#letter")
const text = find<HTMLTextAreaElement>("#letter-text")
const refusal = find("#letter-refusal")

let to = { user: "", name: "" }

export const writeTo = (user: string, name: string) => {
  // A draft to this user is still there.
  if (to.user !== user) text.value = ""
  to = { user, name }
  find("#letter-title").textContent = `To ${name}`
  refusal.textContent = ""
  dialog.showModal()
}

const send = Effect.suspend(() => {
  const { name, user } = to
  return Effect.andThen(Api.write(user, text.value), () => {
    text.value = ""
    dialog.close()
    return notice(`${name} has your message.`)
  })
}).pipe(
  Effect.catch(({ message }) =>
    Effect.sync(() => {
      refusal.textContent = message
    })
  )
)

export const letter = together(
  on(find("#letter-form"), "submit", () => send),
  on(find("#letter-cancel"), "click", () => Effect.sync(() => dialog.close()))
)
