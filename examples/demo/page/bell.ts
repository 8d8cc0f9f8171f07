/**
 * The bell: the number of unread notifications, and a panel with all notifications. Only visitors who have logged in have
 * one.
 */
import { Effect, Option, Stream, SubscriptionRef } from "effect"
import { nameOf } from "../Accounts.ts"
import type { Notification } from "../Inboxes.ts"
import { anyOf, events, find, on, rows, together } from "./dom.ts"
import { notice } from "./notice.ts"
import { InboxClient } from "./ShopClient.ts"
import { hour } from "./words.ts"

const bellButton = find<HTMLButtonElement>("#bell")
const panel = find("#inbox")
const list = find("#notifications")

const sender = ({ kind, payload }: Notification): string =>
  kind === "stock" ? "The shop" : payload.from === null ? "A guest" : nameOf(payload.from)

/** The short message about a notification. */
const headline = (notification: Notification): string => {
  const { kind, payload: { text } } = notification
  if (kind === "stock") return `${text}.`
  return kind === "offer"
    ? `${sender(notification)} has an offer for you.`
    : `${sender(notification)} has written to you.`
}

const picture = ({ kind, payload }: Notification): string => kind === "stock" ? payload.sku : kind

const showList = rows<Notification>(list, "#notification", {
  key: ({ id }) => String(id),
  show: (row, notification) => {
    const { at, kind, payload: { text }, readAt } = notification
    const button = find("button", row)
    row.dataset["kind"] = kind
    row.toggleAttribute("data-unread", readAt === null)
    find("use", row).setAttribute("href", `#${picture(notification)}`)
    find("[data-show=text]", row).textContent = text
    find("[data-show=about]", row).textContent = [
      sender(notification),
      ...kind === "offer" ? ["an offer"] : [],
      hour(new Date(at))
    ].join(" · ")
    button.ariaLabel = `Mark as read: ${text}`
    // When the focused notification is marked as read, the next one gets the focus.
    const isDone = readAt !== null && document.activeElement === button
    button.hidden = readAt !== null
    if (isDone) (list.querySelector<HTMLElement>("[data-unread] button") ?? bellButton).focus()
  }
})

/** The id of the newest notification that was shown as a message. */
let told: number | undefined

/** Shows new notifications as messages, unless the panel is open. */
const tell = (notifications: ReadonlyArray<Notification>) => {
  const before = told
  told = notifications.at(-1)?.id ?? told ?? 0
  if (before === undefined || !panel.hidden) return Effect.void
  return Effect.forEach(
    notifications.filter(({ id, readAt }) => id > before && readAt === null),
    (notification) => notice(headline(notification)),
    { discard: true }
  )
}

const show = (notifications: ReadonlyArray<Notification>) => {
  const unread = notifications.filter(({ readAt }) => readAt === null).length
  bellButton.hidden = false
  bellButton.ariaLabel = unread === 0 ? "Notifications" : `Notifications, ${unread} unread`
  bellButton.dataset["unread"] = String(unread)
  const badge = find(".badge", bellButton)
  badge.textContent = unread > 99 ? "99+" : String(unread)
  badge.hidden = unread === 0
  document.title = unread === 0 ? "Corner shop" : `(${unread}) Corner shop`
  find("#read-all").toggleAttribute("disabled", unread === 0)
  find("#inbox-empty").hidden = notifications.length > 0
  showList(notifications.toReversed())
  return tell(notifications)
}

const open = (isOpen: boolean) => {
  panel.hidden = !isOpen
  bellButton.ariaExpanded = String(isOpen)
}

const hide = Effect.sync(() => {
  open(false)
  bellButton.hidden = true
  told = undefined
  document.title = "Corner shop"
})

/** Shows the inbox while there is one. Nothing of a user is shown to the next user of this page. */
const follow = Effect.gen(function*() {
  const { mount, status } = yield* InboxClient
  const { state } = yield* mount("notifications")
  let epoch: number | undefined
  let foreign: unknown
  const update = Effect.suspend(() => {
    const connected = SubscriptionRef.getUnsafe(status)
    const notifications = Option.getOrUndefined(SubscriptionRef.getUnsafe(state))
    if (connected._tag === "Refused" || connected._tag === "Ended") {
      foreign = notifications
      return hide
    }
    if (connected._tag === "Open") {
      if (connected.epoch === epoch) foreign = undefined
      epoch = connected.epoch
    }
    return notifications === undefined || notifications === foreign ? Effect.void : show(notifications)
  })
  yield* Stream.runForEach(anyOf(SubscriptionRef.changes(status), SubscriptionRef.changes(state)), () => update)
}).pipe(Effect.scoped)

const read = (ids: ReadonlyArray<number>) =>
  Effect.flatMap(InboxClient, (client) => {
    const mark = (all: ReadonlyArray<Notification>) =>
      all.map((one) => ids.includes(one.id) && one.readAt === null ? { ...one, readAt: Date.now() } : one)
    return Effect.ignore(client.cast("Read", { ids }, { optimistic: { notifications: mark } }))
  })

const clicked = ({ target }: Event) => {
  const row = (target as Element).closest<HTMLElement>("[data-unread]")
  return row === null ? Effect.void : read([Number(row.dataset["key"])])
}

const readAll = Effect.suspend(() =>
  read(Array.from(list.querySelectorAll<HTMLElement>("[data-unread]"), (row) => Number(row.dataset["key"])))
)

const close = Effect.sync(() => {
  if (panel.contains(document.activeElement)) bellButton.focus()
  open(false)
})

const isOutside = ({ target }: Event): boolean => !panel.hidden && !find("#bell-place").contains(target as Node)

export const bell = together(
  follow,
  on(bellButton, "click", () => Effect.sync(() => open(panel.hidden === true))),
  on(list, "click", clicked),
  on(find("#read-all"), "click", () => Effect.andThen(readAll, Effect.sync(() => bellButton.focus()))),
  Stream.runForEach(
    Stream.filter(events(document, "keydown"), ({ key }) => key === "Escape" && !panel.hidden),
    () => close
  ),
  Stream.runForEach(Stream.filter(events(document, "pointerdown"), isOutside), () => close)
)
