/**
 * The other people in the shop, in a real Chromium: who is there, what they write, and what the operator does.
 */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { cutOff, focused, paleTexts, usable } from "./audit.ts"
import { Chromium, cuts, eventually, type Tab, visitor } from "./Browser.ts"
import { start } from "./ShopProcess.ts"
import { Wire } from "./Wire.ts"

class Shop extends Context.Service<Shop, string>()("test/Shop") {
  static readonly layer = Layer.effect(this, Effect.flatMap(start({}), (shop) => shop.url))
}

/** The expected refusals of a visitor who has logged out, or whose new cookie is on its way. */
const strange = /status of 401/

const phone = "Mozilla/5.0 (Linux; Android 15) Chrome/140"
const desk = "Mozilla/5.0 (Windows NT 10.0) Firefox/140"

const guest = (userAgent?: string) =>
  visitor({
    expects: RegExp(`${cuts.source}|${strange.source}`),
    replaced: 6,
    ...userAgent === undefined ? {} : { userAgent }
  })

const logIn = (tab: Tab, user: string) =>
  Effect.gen(function*() {
    yield* tab.fill("#user", user)
    yield* tab.press("Enter")
    yield* tab.sees("#bell")
    yield* tab.sees(`#shoppers [data-key=${user}][data-you]`)
  })

/** A user, with a page. */
const member = (url: string, user: string, userAgent?: string) =>
  Effect.gen(function*() {
    const browser = yield* guest(userAgent)
    const tab = yield* browser.open(url)
    yield* logIn(tab, user)
    return { browser, tab }
  })

/** A guest's page. */
const page = (url: string) => Effect.flatMap(guest(), (browser) => browser.open(url))

/** All at once. */
const together = <const A extends ReadonlyArray<Effect.Effect<any, any, any>>>(...all: A) =>
  Effect.all(all, { concurrency: "unbounded" })

const unread = (tab: Tab, count: number) =>
  tab.sees(
    `#bell[data-unread='${count}'][aria-label='${count === 0 ? "Notifications" : `Notifications, ${count} unread`}']`
  )

/** The notifications in the panel, newest first, with `!` when they are unread. */
const inbox = (tab: Tab, ...expected: ReadonlyArray<string>) =>
  eventually(
    () =>
      tab.page.locator("#notifications > li").evaluateAll((rows: ReadonlyArray<any>) =>
        rows.map((row) => row.querySelector("[data-show=text]").textContent + ("unread" in row.dataset ? " !" : ""))
      ),
    expected as Array<string>
  )

const announced = (tab: Tab, ...expected: ReadonlyArray<string>) =>
  eventually(() => tab.page.locator("#announcements [data-show=text]").allTextContents(), expected as Array<string>)

const devices = (tab: Tab, key: string, ...expected: ReadonlyArray<string>) =>
  eventually(
    async () =>
      (await tab.page.locator(`#shoppers > [data-key=${key}] [data-show=devices] li`).allTextContents())
        .map((text) => text.replace(/ · since \d.*$/, "")).sort(),
    expected as Array<string>
  )

/** Writes by hand. */
const write = (from: Tab, to: string, text: string) =>
  Effect.gen(function*() {
    yield* from.click(`#shoppers [data-key=${to}] button`)
    yield* from.fill("#letter-text", text)
    yield* from.click("#letter button[type=submit]")
    yield* from.seesNo("#letter")
  })

const announce = (from: Tab, text: string) =>
  Effect.andThen(from.fill("#announce-text", text), from.click("#announce button"))

const restock = (from: Tab, sku: string, left: number) =>
  Effect.gen(function*() {
    yield* Effect.promise(() => from.page.selectOption("#restock-sku", sku))
    yield* from.fill("#restock-left", String(left))
    yield* from.click("#restock button")
  })

const close = (tab: Tab) => Effect.promise(() => tab.page.close())

/** Notes from here on who, or which device of theirs, comes and goes: `ada -1`. */
const watchRows = (tab: Tab) =>
  tab.run(() => {
    const { document, MutationObserver } = globalThis as any
    const list = document.querySelector("#shoppers")
    const count = (): Record<string, number> =>
      Object.fromEntries(
        Array.from(list.children, (row: any) => [row.dataset.key.split(":")[0], row.querySelectorAll("li").length])
      )
    let before = count()
    const seen: Array<string> = ((globalThis as any).seen = [])
    new MutationObserver(() => {
      const now = count()
      for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
        const more = (now[key] ?? 0) - (before[key] ?? 0)
        if (more !== 0) seen.push(`${key} ${more}`)
      }
      before = now
    }).observe(list, { childList: true, subtree: true })
  }, undefined)

const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "shop-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

layer(Layer.merge(Chromium.layer, Shop.layer), { excludeTestServices: true })(
  "the page of the shop, with others in it,",
  (it) => {
    it.effect("shows who is there, with all devices, as they come and go, and no reload", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const [ada, adaToo, bob, stranger] = yield* together(
          member(url, "ada", desk),
          member(url, "ada", phone),
          member(url, "bob"),
          page(url)
        )
        for (const tab of [ada.tab, bob.tab, adaToo.tab, stranger]) {
          yield* devices(tab, "ada", "Chrome on Android", "Firefox on Windows")
          yield* devices(tab, "bob", "Chrome on Linux")
          yield* tab.sees("#shoppers [data-key^='guest:']", "Guest")
          yield* tab.sees("#here", "3 people")
        }
        yield* stranger.sees("#shoppers [data-key^='guest:'][data-you]")
        yield* adaToo.tab.sees("[data-key=ada] [data-here]", "Chrome on Android")
        yield* ada.tab.seesNo("#shoppers [data-you] button")

        yield* watchRows(bob.tab)
        for (const tab of [ada.tab, adaToo.tab]) yield* Effect.promise(() => tab.page.reload())
        yield* Effect.forEach([ada.tab, adaToo.tab], (tab) => unread(tab, 0))
        // If a leave had been shown, it would have come before the leaves that follow.
        yield* close(ada.tab)
        yield* close(stranger)
        yield* bob.tab.seesNo("#shoppers [data-key^='guest:']")
        yield* devices(bob.tab, "ada", "Chrome on Android")
        assert.sameMembers(yield* bob.tab.run(() => (globalThis as any).seen, undefined), ["ada -1", "guest -1"])
        yield* close(adaToo.tab)
        yield* bob.tab.seesNo("[data-key=ada]")
        yield* bob.tab.sees("#here", "1 person")
      }))

    it.effect("shows a new message in the bell of all tabs of a user, until it is read in one of them", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const [grace, other, bob, stranger] = yield* together(
          member(url, "grace", desk),
          member(url, "grace", phone),
          member(url, "bob"),
          page(url)
        )
        const second = yield* grace.browser.open(url)
        const tabs = [grace.tab, second, other.tab]
        yield* stranger.seesNo("#bell")

        yield* write(bob.tab, "grace", "The tea is fresh.")
        yield* bob.tab.sees("#notices", "Grace has your message.")
        yield* Effect.forEach(tabs, (tab) => unread(tab, 1))
        yield* grace.tab.sees("#notices", "Bob has written to you.")
        yield* write(stranger, "grace", "<b>Is it?</b>")
        yield* Effect.forEach(tabs, (tab) => unread(tab, 2))
        assert.strictEqual(yield* Effect.promise(() => second.page.title()), "(2) Corner shop")
        yield* unread(bob.tab, 0)

        yield* grace.tab.click("#bell")
        yield* inbox(grace.tab, "<b>Is it?</b> !", "The tea is fresh. !")
        yield* grace.tab.sees("#notifications li:nth-child(1) small", /^A guest · \d/)
        yield* grace.tab.sees("#notifications li:nth-child(2) small", /^Bob · \d/)
        yield* grace.tab.click("#notifications li:nth-child(2)")
        yield* Effect.forEach(tabs, (tab) => unread(tab, 1))
        yield* second.click("#bell")
        yield* inbox(second, "<b>Is it?</b> !", "The tea is fresh.")
        yield* second.click("#read-all")
        yield* Effect.forEach(tabs, (tab) => unread(tab, 0))
        yield* grace.tab.press("Escape")
        yield* grace.tab.seesNo("#inbox")

        const refused = Effect.promise(() =>
          stranger.page.evaluate(
            (url) =>
              new Promise((resolve) => {
                new (globalThis as any).WebSocket(url).addEventListener("close", ({ code }: any) => resolve(code))
              }),
            `${url.replace("http", "ws")}/live/inbox`
          )
        )
        assert.strictEqual(yield* refused, 1008)
      }))

    it.effect("shows messages to a user who was away, and to no other", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const [alan, bob] = yield* together(member(url, "alan"), member(url, "bob"))
        yield* close(alan.tab)
        yield* bob.browser.ask("POST", `${url}/api/notifications`, { user: "alan", kind: "offer", text: "Half price" })

        const [back, second] = yield* Effect.all([alan.browser.open(url), alan.browser.open(url)])
        yield* unread(back, 1)
        yield* back.click("#bell")
        yield* inbox(back, "Half price !")
        // Another user logs in in the same browser.
        yield* alan.browser.ask("POST", `${url}/api/login`, { user: "ken" })
        for (const tab of [back, second]) {
          yield* tab.sees("#who", "Ken")
          yield* tab.sees("#shoppers [data-key=ken][data-you]")
          yield* unread(tab, 0)
          yield* inbox(tab)
        }
        yield* bob.browser.ask("POST", `${url}/api/notifications`, { user: "ken", kind: "message", text: "Hello Ken" })
        yield* unread(back, 1)
        yield* back.click("#devices [data-current] button")
        yield* back.sees("#door", "Goodbye")
        yield* Effect.forEach([back, second], (tab) => tab.seesNo("#bell"))
        assert.strictEqual(yield* Effect.promise(() => back.page.title()), "Corner shop")
      }))

    it.effect("shows announcements on every page, also after a lost connection, until they are dismissed", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const wire = yield* Wire.to(url)
        const [ada, bob, stranger] = yield* together(member(wire.url, "ada"), member(url, "bob"), page(url))
        const whole = yield* ada.browser.open(url)
        yield* Effect.forEach([whole, stranger], (tab) => tab.sees("#shoppers [data-key=bob]"))
        yield* whole.add("tea")
        yield* ada.tab.seesCart("tea 1")
        yield* close(whole)

        // It does not come back by itself.
        yield* ada.tab.run(() => {
          Math.random = () => 10_000
        }, undefined)
        wire.cut()
        yield* ada.tab.sees("#banner", "Lost touch")
        yield* announce(bob.tab, "Fresh bread at the back.")
        yield* bob.tab.sees("#notices", /Announced to \d+ visits/)
        yield* Effect.forEach([bob.tab, stranger], (tab) => announced(tab, "Fresh bread at the back."))
        yield* bob.browser.ask("POST", `${url}/api/notifications`, {
          user: "ada",
          kind: "message",
          text: "Are you there?"
        })
        yield* announced(ada.tab)
        wire.mend()
        yield* ada.tab.click("#try-now")
        yield* announced(ada.tab, "Fresh bread at the back.")
        yield* unread(ada.tab, 1)
        const late = yield* page(url)
        yield* late.sees("#shoppers [data-you]")
        yield* announced(late)

        // Time travel to before the announcement neither removes nor repeats it.
        yield* announce(bob.tab, "We close at nine.")
        const both = yield* ada.browser.open(url)
        yield* announced(both, "Fresh bread at the back.", "We close at nine.")
        yield* both.seesCart("tea 1")
        yield* ada.tab.sees("#travel[max='2']")
        yield* Effect.promise(() => ada.tab.page.focus("#travel"))
        yield* ada.tab.press("Home")
        yield* both.seesCart()
        yield* announced(ada.tab, "Fresh bread at the back.", "We close at nine.")
        yield* ada.tab.click("#announcements li:first-child button")
        yield* Effect.forEach([ada.tab, both], (tab) => announced(tab, "We close at nine."))
        yield* ada.tab.click("#travel-now")
        yield* both.seesCart("tea 1")
        yield* Effect.forEach([ada.tab, both], (tab) => announced(tab, "We close at nine."))
        yield* announced(bob.tab, "Fresh bread at the back.", "We close at nine.")
      }))

    it.effect("notifies users about the stock of products in their carts, with the newest number only", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const [ada, bob] = yield* together(member(url, "lin"), member(url, "bob"))
        yield* ada.tab.add("honey")
        yield* ada.tab.seesCart("honey 1")
        yield* restock(bob.tab, "honey", 4)
        yield* bob.tab.sees("#notices", "Honey: 4 left. 1 user with it in the cart is told.")
        yield* unread(ada.tab, 1)
        yield* restock(bob.tab, "honey", 0)
        yield* ada.tab.click("#bell")
        yield* inbox(ada.tab, "Honey is sold out !")
        yield* unread(ada.tab, 1)
        yield* unread(bob.tab, 0)
        yield* ada.tab.press("Escape")
        yield* ada.tab.click("[data-sku=honey] [data-do=check]")
        yield* ada.tab.sees("[data-sku=honey] [data-do=check]", "0 left")
      }))

    it.effect("restores inboxes when the shop is restarted, with read marks, and all users can be written to", () =>
      Effect.gen(function*() {
        const env = { STATE_DIR: yield* directory }
        const shop = yield* start(env)
        const url = yield* shop.url
        const [ada, bob] = yield* together(member(url, "ada"), member(url, "bob"))
        yield* write(bob.tab, "ada", "One")
        yield* write(bob.tab, "ada", "Two")
        yield* ada.tab.click("#bell")
        yield* ada.tab.click("#notifications [data-key]:last-child button")
        yield* unread(bob.tab, 0)
        yield* inbox(ada.tab, "Two !", "One")
        yield* eventually(
          () =>
            Effect.runPromise(Effect.map(ada.browser.ask("GET", `${url}/api/notifications`), ({ unread }) => unread)),
          1
        )
        yield* close(bob.tab)
        shop.process.kill("SIGTERM")
        yield* shop.ended
        yield* (yield* start({ ...env, PORT: new URL(url).port })).url

        yield* ada.tab.run(() => (globalThis as any).dispatchEvent(new Event("online")), undefined)
        yield* ada.tab.sees("#status[data-status=Open]")
        yield* inbox(ada.tab, "Two !", "One")
        yield* ada.tab.press("Escape")
        // Bob has not been here since.
        yield* ada.browser.ask("POST", `${url}/api/notifications`, { user: "bob", kind: "message", text: "Back again" })
        const back = yield* bob.browser.open(url)
        yield* unread(back, 1)
        yield* write(back, "ada", "Three")
        yield* unread(ada.tab, 2)
      }))

    it.effect("is accessible: names, order, width and contrast, with everything open", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const [ada, bob] = yield* together(
          member(url, "edsger"),
          member(url, "barbara-of-the-very-long-name", phone)
        )
        const long = "Pneumonoultramicroscopicsilicovolcanoconiosis is a word, and this is a text of some length. "
          .repeat(3)
        yield* write(bob.tab, "edsger", long.slice(0, 280))
        yield* write(bob.tab, "edsger", "Short")
        yield* announce(bob.tab, long.slice(0, 280))
        yield* ada.tab.sees("#announcements li")
        yield* ada.tab.click("#bell")
        yield* ada.tab.click("#notifications li:last-child")
        yield* unread(ada.tab, 1)
        const { page } = ada.tab
        const standOut = Effect.forEach(["light", "dark"] as const, (colorScheme) =>
          Effect.andThen(
            Effect.promise(() => page.emulateMedia({ colorScheme })),
            eventually(() => Effect.runPromise(ada.tab.run(paleTexts, 4.5)), [])
          ))
        const fits = Effect.forEach([1280, 900, 600, 390, 320], (width) =>
          Effect.gen(function*() {
            yield* Effect.promise(() => page.setViewportSize({ width, height: 800 }))
            assert.deepStrictEqual(yield* ada.tab.run(cutOff, undefined), [], `${width} pixels`)
          }))

        yield* standOut
        yield* fits
        yield* Effect.promise(() => page.setViewportSize({ width: 1280, height: 800 }))
        yield* Effect.promise(() => page.focus(".skip"))
        const nodes = yield* Effect.promise(async () => {
          const { nodes } = await (await ada.browser.context.newCDPSession(page)).send("Accessibility.getFullAXTree")
          return nodes.map(({ name, role }) => ({ name: name?.value as string, role: role?.value as string }))
        })
        const roles = /^(button|link|textbox|searchbox|spinbutton|combobox|slider|dialog|list|navigation|log|region)$/i
        assert.deepStrictEqual(nodes.filter(({ name, role }) => roles.test(role) && name === ""), [])
        const [, ...order] = yield* ada.tab.run(usable, undefined)
        for (const element of order) {
          yield* ada.tab.press("Tab")
          assert.strictEqual(yield* ada.tab.run(focused, undefined), element)
        }

        // By keyboard alone: after the last notification is read, the bell has the focus.
        yield* Effect.promise(() => page.focus("#notifications [data-unread] button"))
        yield* ada.tab.press("Enter")
        yield* unread(ada.tab, 0)
        yield* eventually(() => page.evaluate(() => (globalThis as any).document.activeElement.id), "bell")
        yield* ada.tab.press("Enter")
        yield* ada.tab.seesNo("#inbox")
        yield* ada.tab.click("#shoppers [data-key=barbara-of-the-very-long-name] button")
        yield* ada.tab.sees("#letter-title", "To Barbara-of-the-very-long-name")
        yield* standOut
        yield* fits
        yield* ada.tab.press("Escape")
        yield* ada.tab.seesNo("#letter")
      }))
  }
)
