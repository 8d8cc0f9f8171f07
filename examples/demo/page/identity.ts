/**
 * Who the visitor is, and on which devices.
 */
import { Effect, Stream } from "effect"
import { describe } from "../UserAgent.ts"
import * as Api from "./Api.ts"
import { anyOf, events, find, on, rows, together } from "./dom.ts"
import { notice } from "./notice.ts"
import { type ShopClient, statuses, view } from "./ShopClient.ts"
import { count, timeOfDay } from "./words.ts"

const panel = find("#identity")
const nameBox = find<HTMLInputElement>("#user")

const showDevices = rows<Api.Device>(find("#devices"), "#device", {
  key: ({ id }) => id,
  show: (row, { address, agent, connections, current, startedAt }) => {
    row.toggleAttribute("data-current", current)
    find("[data-show=agent]", row).textContent = describe(agent)
    find("[data-show=about]", row).textContent = [
      current ? "this device" : address ?? "from somewhere",
      `since ${timeOfDay(startedAt)}`,
      count(connections, "connection")
    ].join(" · ")
    find("button", row).ariaLabel = current ? "Log out here" : `Log out ${describe(agent)}, ${address ?? ""}`
  }
})

const show = (devices: ReadonlyArray<Api.Device> | undefined) =>
  Effect.sync(() => {
    panel.toggleAttribute("data-member", devices !== undefined)
    find("#login").hidden = devices !== undefined
    find("#member").hidden = devices === undefined
    showDevices(devices ?? [])
  })

/** Whether the visitor has logged in. Time travel to before the login changes the shown name, not this. */
let member = false

export const isMember = (): boolean => member

const refresh = Effect.suspend(() => member ? Effect.flatMap(Api.devices, show) : show(undefined)).pipe(
  Effect.catch(({ reason }) => reason === "NotLoggedIn" ? show(undefined) : Effect.void)
)

const orNotice = (request: Effect.Effect<unknown, Api.Refusal>) =>
  Effect.catch(request, ({ message }) => notice(message))

const logIn = Effect.suspend(() => {
  const user = nameBox.value.trim().toLowerCase()
  if (user === "") return Effect.void
  return Effect.andThen(Api.logIn(user), () => {
    nameBox.value = ""
    return refresh
  })
})

const logOut = ({ target }: Event) => {
  const row = (target as Element).closest<HTMLElement>("button")?.closest<HTMLElement>("[data-key]")
  if (row?.dataset["key"] === undefined) return Effect.void
  const request = row.hasAttribute("data-current") ? Api.logOut : Api.endDevice(row.dataset["key"])
  return orNotice(Effect.andThen(request, refresh))
}

const showName = (name: string) =>
  Effect.sync(() => {
    member ||= name !== ""
    find("#who").textContent = name === "" ? "Log in" : name
    find("#member-name").textContent = name === "" ? "a member" : name
  })

export const identity = together(
  Stream.runForEach(view("user"), ({ name }) => showName(name)),
  on(find("#login"), "submit", () => orNotice(logIn)),
  on(find("#devices"), "click", logOut),
  // The view shows the name before the new cookie has arrived.
  anyOf<ShopClient>(view("user"), events(window, "focus"), Stream.filter(statuses, ({ _tag }) => _tag === "Open")).pipe(
    Stream.debounce("200 millis"),
    Stream.runForEach(() => refresh)
  ),
  Stream.runForEach(
    Stream.filter(statuses, ({ _tag }) => _tag === "Ended" || _tag === "Refused"),
    () =>
      Effect.suspend(() => {
        member = false
        return refresh
      })
  )
)
