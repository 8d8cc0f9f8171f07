/**
 * The drill: crashes the visit on purpose, to show how supervision resumes it.
 */
import { Effect } from "effect"
import * as Api from "./Api.ts"
import { find, on } from "./dom.ts"
import { notice } from "./notice.ts"
import { ShopClient } from "./ShopClient.ts"
import { count } from "./words.ts"

const report = find("#drill-report")

const crash = Effect.gen(function*() {
  const client = yield* ShopClient
  const before = yield* Api.visit
  const began = performance.now()
  yield* Effect.catchTag(client.dispatch("drill.crash"), "Crashed", () => Effect.void)
  // The answer comes when the visit has resumed.
  yield* Api.history
  const millis = Math.max(1, Math.round(performance.now() - began))
  const after = yield* Api.visit
  find("[data-show=millis]", report).textContent = `${millis} ms`
  find("[data-show=before]", report).textContent = String(before.version)
  find("[data-show=after]", report).textContent = String(after.version)
  find("[data-show=crashes]", report).textContent = count(after.crashes, "crash", "crashes")
  report.dataset["crashes"] = String(after.crashes)
  report.hidden = false
}).pipe(
  // The dialog at the door says that the visit is over.
  Effect.catchTag("SessionGone", () => Effect.void),
  Effect.catch(({ message }) => notice(message))
)

export const drill = on(find("#crash"), "click", () => crash)
