/**
 * Time travel: a slider over the actions of this visit. All tabs follow.
 */
import { Effect, Stream } from "effect"
import * as Api from "./Api.ts"
import { anyOf, events, find, on, together } from "./dom.ts"
import { notice } from "./notice.ts"
import { changes, type ShopClient, statuses } from "./ShopClient.ts"
import { timeOfDay } from "./words.ts"

const slider = find<HTMLInputElement>("#travel")
const backToNow = find("#travel-now")
const ticks = find("#travel-ticks")

/** The actions that are stops of the slider, with their labels. The progress of a stock check is not one. */
const names: Readonly<Record<string, string>> = {
  "cart.add": "Put into the cart",
  "cart.remove": "Taken out of the cart",
  "cart.clear": "Emptied the cart",
  "catalog.search": "Searched",
  "catalog.checked": "Checked the stock",
  "user.rename": "Logged in"
}

type Stop = Pick<Api.Step, "version" | "type"> & { readonly at?: Date }

const beginning: Stop = { version: 0, type: "beginning" }

let stops: ReadonlyArray<Stop> = [beginning]

/** The step that the visitor has chosen, until the shop has travelled there. Until then, only the visitor moves the slider. */
let wanted: Stop | undefined

const describe = ({ at, type }: Stop): string =>
  at === undefined ? "Before anything was done" : `${names[type] ?? type}, ${timeOfDay(at)}`

const label = () => {
  const index = slider.valueAsNumber
  const isNow = index === stops.length - 1
  const stop = stops[index] ?? beginning
  slider.ariaValueText = `${describe(stop)}${isNow ? ", now" : ""}`
  find("#travel-step").textContent = describe(stop)
  find("#travel-count").textContent = isNow ? "now" : `${stops.length - 1 - index} back`
  backToNow.toggleAttribute("data-away", !isNow)
  backToNow.toggleAttribute("disabled", isNow)
}

const show = (steps: ReadonlyArray<Api.Step>) => {
  stops = [beginning, ...steps.filter(({ type }) => type in names)]
  slider.max = String(stops.length - 1)
  slider.disabled = stops.length === 1
  ticks.replaceChildren(...stops.map(({ type }) => {
    const tick = document.createElement("i")
    tick.dataset["type"] = type.split(".")[0]!
    return tick
  }))
  if (wanted === undefined) {
    // A step between two stops is shown as the stop before it.
    const current = steps.find(({ current }) => current)?.version ?? 0
    slider.value = String(stops.findLastIndex(({ version }) => version <= current))
  }
  label()
}

const refresh = Effect.ignore(Effect.map(Api.history, show))

const choose = () => {
  wanted = stops[slider.valueAsNumber] ?? beginning
  label()
}

const travel = Effect.suspend(() => {
  const target = wanted ?? beginning
  const arrived = Effect.sync(() => {
    // The visitor may have moved the slider meanwhile.
    if (wanted === target) wanted = undefined
  })
  return Effect.matchEffect(Effect.ensuring(Api.travel(target.version), arrived), {
    onFailure: ({ message }) => Effect.andThen(notice(message), refresh),
    onSuccess: () => Effect.void
  })
})

export const timeTravel = together(
  // While the page was disconnected, it could not request the history.
  anyOf<ShopClient>(changes, Stream.filter(statuses, ({ _tag }) => _tag === "Open")).pipe(
    Stream.debounce("250 millis"),
    Stream.runForEach(() => refresh)
  ),
  // One request at a time. Positions between two requests are skipped.
  events(slider, "input", choose).pipe(
    Stream.buffer({ capacity: 1, strategy: "sliding" }),
    Stream.mapEffect(() => travel),
    Stream.runDrain
  ),
  on(backToNow, "click", () => {
    slider.value = slider.max
    slider.focus()
    choose()
    return travel
  })
)
