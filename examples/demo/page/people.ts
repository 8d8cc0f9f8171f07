/**
 * The list of the people in the shop: with which devices, and since when.
 */
import { Effect, Stream } from "effect"
import type { Shopper } from "../Shoppers.ts"
import { find, on, rows, together } from "./dom.ts"
import { writeTo } from "./letter.ts"
import { type HearingClient, hearingView, type ShoppersClient, shoppersView } from "./ShopClient.ts"
import { count, hour } from "./words.ts"

const list = find("#shoppers")

let shoppers: ReadonlyArray<Shopper> = []

/** How the visitor is listed. */
let you: { readonly key: string; readonly device: string } | null = null

/** Guests have no inbox, and visitors do not write to themselves. */
const canWriteTo = (key: string): boolean => key !== you?.key && !key.includes(":")

const showDevices = (devices: Shopper["devices"]) =>
  devices.map(({ agent, id, since }) => {
    const line = document.createElement("li")
    line.textContent = `${agent} · since ${hour(new Date(since))}`
    line.toggleAttribute("data-here", id === you?.device)
    return line
  })

const showRows = rows<Shopper>(list, "#shopper", {
  key: ({ key }) => key,
  show: (row, { devices, key, name }) => {
    row.toggleAttribute("data-you", key === you?.key)
    find("[data-show=face]", row).textContent = key.includes(":") ? "?" : name.charAt(0)
    find("[data-show=name]", row).textContent = name
    const seen = find("[data-show=devices]", row)
    seen.ariaLabel = `Devices of ${name}`
    seen.replaceChildren(...showDevices(devices))
    const write = find("button", row)
    write.hidden = !canWriteTo(key)
    write.ariaLabel = `Write to ${name}`
  }
})

const show = Effect.sync(() => showRows(shoppers))

const showCount = (all: number) =>
  Effect.sync(() => {
    const people = count(all, "person", "people")
    const here = find("#here")
    here.textContent = `${people} in the shop`
    here.hidden = false
    find("#people-count").textContent = people
    find("#people").dataset["count"] = String(all)
  })

const clicked = ({ target }: Event) =>
  Effect.sync(() => {
    const key = (target as Element).closest("button")?.closest<HTMLElement>("[data-key]")?.dataset["key"]
    const shopper = shoppers.find((shopper) => shopper.key === key)
    if (shopper !== undefined) writeTo(shopper.key, shopper.name)
  })

export const people = together<ShoppersClient | HearingClient>(
  Stream.runForEach(shoppersView("count"), showCount),
  Stream.runForEach(shoppersView("shoppers"), (present) => {
    shoppers = present
    return show
  }),
  Stream.runForEach(hearingView("you"), (known) => {
    you = known
    return show
  }),
  on(list, "click", clicked)
)
