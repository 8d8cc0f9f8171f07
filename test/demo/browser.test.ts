/**
 * The shop's page in a real Chromium, and a real shop behind it.
 */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { cutOff, focused, paleTexts, usable } from "./audit.ts"
import { cartOf, Chromium, cuts, eventually, type Tab, visitor } from "./Browser.ts"
import { start } from "./ShopProcess.ts"
import * as StillShop from "./StillShop.ts"
import { Wire } from "./Wire.ts"

/** The address of a shop for those tests that do not break it. */
class Shop extends Context.Service<Shop, string>()("test/Shop") {
  static readonly layer = Layer.effect(this, Effect.flatMap(start({}), (shop) => shop.url))
}

/** The expected refusals of a visitor who has logged out, or whose new cookie is on its way. */
const strange = /status of 401/

/** Loses no time when the wire is whole again: the browser says that it is. */
const online = (tab: Tab) => tab.run(() => (globalThis as any).dispatchEvent(new Event("online")), undefined)

/** How long the tab waits before it tries to come back: this part of what it may, instead of a random one. */
const patience = (tab: Tab, part: number) =>
  tab.run((part) => {
    Math.random = () => part
  }, part)

/** It does not come back by itself. */
const forever = 10_000

layer(Layer.merge(Chromium.layer, Shop.layer), { excludeTestServices: true })(
  "the page of the shop, in Chromium,",
  (it) => {
    it.effect("shows the actions of one tab in all tabs of the visitor, and in no other visitor's", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const [ada, eve] = [yield* visitor(), yield* visitor()]
        const [left, right, other] = yield* Effect.all([ada.open(url), ada.open(url), eve.open(url)])
        yield* left.add("tea")
        yield* right.seesCart("tea 1")
        yield* right.add("bread")
        yield* right.click("#items [data-key=tea] [data-do=add]")
        yield* left.seesCart("tea 2", "bread 1")
        yield* left.sees("#cart-sum [data-show=total]", "€12.80")
        yield* left.click("#items [data-key=bread] [data-do=remove]")
        yield* right.seesCart("tea 2")

        yield* left.fill("#search", "a jar")
        yield* right.seesNo("[data-sku=tea]")
        yield* right.sees("[data-sku=honey]")
        yield* eventually(() => right.page.inputValue("#search"), "a jar")

        yield* other.add("jam")
        yield* other.seesCart("jam 1")
        assert.deepStrictEqual(yield* cartOf(ada, url), ["tea 2"])
        assert.strictEqual(yield* Effect.promise(() => other.page.inputValue("#search")), "")
      }))

    it.effect("shows the progress of a stock check in all tabs", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const ada = yield* visitor()
        const [left, right] = yield* Effect.all([ada.open(url), ada.open(url)])
        // Every value that it shows, however briefly.
        yield* right.run(() => {
          const { document, MutationObserver } = globalThis as any
          const bar = document.querySelector("[data-sku=tea] progress")
          new MutationObserver(() => {
            if (bar.value > 0 && bar.value < 100) (globalThis as any).isOnItsWay = true
          }).observe(bar, { attributes: true })
        }, undefined)
        yield* left.click("[data-sku=tea] [data-do=check]")
        yield* Effect.promise(() => right.page.waitForFunction(() => (globalThis as any).isOnItsWay === true))
        yield* Effect.forEach([left, right], (tab) => tab.sees("[data-sku=tea] [data-do=check]", "120 left"))
      }))

    it.effect("keeps what was added while the network was down, and misses nothing", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const wire = yield* Wire.to(url)
        const ada = yield* visitor({ expects: cuts })
        const cut = yield* ada.open(wire.url)
        const whole = yield* ada.open(url)
        yield* cut.add("tea")
        yield* whole.seesCart("tea 1")

        yield* patience(cut, forever)
        wire.cut()
        yield* cut.sees("#banner", "Lost touch")
        yield* Effect.repeat(cut.add("tea"), { times: 1 })
        yield* cut.add("jam")
        yield* cut.sees("#banner-pending", "3 actions")
        yield* whole.add("bread")
        yield* whole.add("tea")
        yield* cut.seesCart("tea 3?", "jam 1?")
        yield* whole.seesCart("tea 2", "bread 1")

        wire.mend()
        yield* cut.click("#try-now")
        yield* cut.seesCart("tea 4", "bread 1", "jam 1")
        yield* whole.seesCart("tea 4", "bread 1", "jam 1")
        assert.deepStrictEqual(yield* cartOf(ada, url), ["tea 4", "bread 1", "jam 1"])
        yield* cut.seesNo("#banner")
      }))

    it.effect("does not repeat an action whose answer was lost", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const wire = yield* Wire.to(url)
        const ada = yield* visitor({ expects: cuts })
        const tab = yield* ada.open(wire.url)
        wire.muteShop()
        yield* tab.add("tea")
        yield* eventually(() => Effect.runPromise(cartOf(ada, url)), ["tea 1"])
        yield* tab.seesCart("tea 1?")

        wire.cut()
        wire.mend()
        yield* online(tab)
        yield* tab.seesCart("tea 1")
        assert.deepStrictEqual(yield* cartOf(ada, url), ["tea 1"])
      }))

    it.effect("does everything once, however often the connection dies", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const wire = yield* Wire.to(url)
        const ada = yield* visitor({ expects: cuts })
        const tab = yield* ada.open(wire.url)
        for (let round = 0; round < 10; round++) {
          yield* tab.add("tea")
          yield* tab.add("jam")
          wire.cut()
          yield* tab.sees("#status", "Lost touch")
          wire.mend()
          yield* online(tab)
          if (round % 2 === 0) yield* tab.sees("#status[data-status=Open]")
        }
        yield* tab.seesCart("tea 10", "jam 10")
        assert.deepStrictEqual(yield* cartOf(ada, url), ["tea 10", "jam 10"])
      }))

    for (const signal of ["SIGKILL", "SIGTERM"] as const) {
      it.effect(
        `reconnects by itself to a shop that ${signal} ended and that is open again`,
        () =>
          Effect.gen(function*() {
            const shop = yield* start({})
            const url = yield* shop.url
            const ada = yield* visitor({ expects: cuts })
            const tab = yield* ada.open(url)
            yield* tab.add("tea")
            yield* tab.seesCart("tea 1")
            shop.process.kill(signal)
            yield* tab.sees("#banner", "Lost touch")
            yield* shop.ended

            yield* (yield* start({ PORT: new URL(url).port })).url
            yield* tab.sees("#status[data-status=Open]")
            yield* tab.sees("#notices", "The shop was restarted")
            yield* tab.seesCart()
            yield* tab.add("jam")
            yield* tab.seesCart("jam 1")
            assert.deepStrictEqual(yield* cartOf(ada, url), ["jam 1"])
          })
      )
    }

    it.effect("is usable over a slow network", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const wire = yield* Wire.to(url)
        const speed = { rate: 50_000, latency: 150 }
        wire.slow(speed)
        const ada = yield* visitor()
        const slow = yield* ada.open(wire.url)
        const fast = yield* ada.open(url)
        wire.hold()
        yield* slow.add("tea")
        yield* slow.seesCart("tea 1?")
        yield* slow.add("tea")
        yield* slow.seesCart("tea 2?")
        wire.slow(speed)
        yield* fast.seesCart("tea 2")
        yield* fast.add("jam")
        yield* slow.seesCart("tea 2", "jam 1")
      }))

    it.effect("shows how a crashed visit resumes, with its cart", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const ada = yield* visitor()
        const tab = yield* ada.open(url)
        yield* tab.add("tea")
        yield* tab.seesCart("tea 1")
        yield* tab.click("#crash")
        yield* tab.sees("#drill-report [data-show=crashes]", "1 crash")
        yield* tab.click("#crash")
        yield* tab.sees("#drill-report [data-show=crashes]", "2 crashes")
        const version = (name: string) => tab.page.textContent(`#drill-report [data-show=${name}]`)
        yield* eventually(() => version("after"), yield* Effect.promise(() => version("before")))
        yield* tab.add("tea")
        yield* tab.seesCart("tea 2")
      }))

    it.effect("travels in time by keyboard, with all tabs", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const ada = yield* visitor()
        const [left, right] = yield* Effect.all([ada.open(url), ada.open(url)])
        yield* left.add("tea")
        yield* left.add("jam")
        yield* Effect.forEach([left, right], (tab) => tab.sees("#travel[max='2']"))
        yield* Effect.promise(() => left.page.focus("#travel"))
        yield* left.press("ArrowLeft")
        yield* right.seesCart("tea 1")
        yield* right.sees("#travel-count", "1 back")
        yield* left.press("Home")
        yield* right.seesCart()
        yield* right.sees("#travel-step", "Before anything was done")
        yield* left.press("End")
        yield* right.seesCart("tea 1", "jam 1")
        yield* right.sees("#travel-count", "now")
        // As when an answer of the shop moves the slider right after a key: where the visitor went counts.
        yield* left.run((value) => {
          const { document, Event } = globalThis as any
          const slider = document.querySelector("#travel")
          slider.value = value
          slider.dispatchEvent(new Event("input"))
          slider.value = slider.max
        }, "0")
        yield* right.seesCart()
      }))

    it.effect("lists the devices of a member, who can log one out", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const grace = visitor({ expects: strange, replaced: 6 })
        const [phone, laptop] = [yield* grace, yield* grace]
        const [lost, tab] = yield* Effect.all([phone.open(url), laptop.open(url)])
        // As if another tab had just logged in: the page asks again.
        yield* Effect.promise(() =>
          tab.page.route("**/api/devices", (route) => {
            const json = { _tag: "CookieReplaced", message: "a login has replaced it", retryAfter: 1_000 }
            return route.fulfill({ status: 409, json })
          }, { times: 2 })
        )
        for (const each of [lost, tab]) {
          yield* each.fill("#user", "Grace")
          yield* each.press("Enter")
          yield* each.sees("#who", "grace")
        }
        yield* tab.sees("#devices li:not([data-current])")
        yield* eventually(() => tab.page.locator("#devices li").count(), 2)
        yield* tab.click("#devices li:not([data-current]) button")
        yield* eventually(() => tab.page.locator("#devices li").count(), 1)
        yield* lost.sees("#door", "Goodbye")
        yield* lost.click("#come-in")
        yield* lost.sees("#login")
        yield* lost.seesNo("#door")
      }))

    it.effect("goes on in all tabs when another user logs in there, and does not run in circles", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const ada = yield* visitor({ expects: RegExp(`${cuts.source}|${strange.source}`), replaced: 12 })
        const [left, right] = yield* Effect.all([ada.open(url), ada.open(url)])
        yield* left.add("tea")
        for (const user of ["ada", "alan"]) {
          yield* ada.ask("POST", `${url}/api/login`, { user })
          yield* Effect.forEach([left, right], (tab) => tab.sees("#who", user))
          yield* Effect.forEach([left, right], (tab) => tab.sees("#devices [data-current]"))
        }
        yield* left.add("tea")
        yield* right.seesCart("tea 2")
        yield* Effect.forEach([left, right], (tab) => tab.seesNo("#door"))
        for (const { sockets } of [left, right]) {
          assert.sameMembers([...sockets.keys()], ["/live", "/live/shoppers", "/live/hearing", "/live/inbox"])
          for (const [path, count] of sockets) assert.isAtMost(count, 5, path)
        }
      }))

    it.effect("says that the visit has expired, and starts another", () =>
      Effect.gen(function*() {
        const url = yield* StillShop.open({ SESSIONS_TTL: "9 seconds" })
        const ada = yield* visitor()
        const tab = yield* ada.open(url)
        yield* tab.add("tea")
        yield* tab.sees("#lifetime[data-urgent]", "Your cart is kept for 0:0")
        yield* TestClock.adjust("10 seconds")
        yield* tab.sees("#door", "Still there?")
        yield* tab.press("Escape")
        yield* tab.sees("#door")
        yield* tab.click("#come-in")
        yield* tab.seesNo("#door")
        yield* tab.seesCart()
        yield* tab.add("jam")
        yield* tab.seesCart("jam 1")
      }).pipe(Effect.provide(TestClock.layer())))

    it.effect("uses the same fonts on every machine, and accepts any text in any field", () =>
      Effect.gen(function*() {
        const { context } = yield* visitor()
        const page = yield* Effect.promise(() => context.newPage())
        const kinds = ["text", "password", "search", "number", "date", "file", "color", "checkbox", "button"]
        const text = "Aé Ж ش ह 漢 한 🔔 \u{10FFFD}"
        yield* Effect.promise(() =>
          page.setContent(
            kinds.map((kind) => `<input type="${kind}">`).join("")
              + `<input value="${text}"><textarea>${text}</textarea><select><option>${text}</select>`
              + ["sans-serif", "serif", "monospace", "Nowhere"].map((family) =>
                `<p><span style="font: 100px ${family}">mmmiii</span></p>`
              ).join("")
          )
        )
        const widths = yield* Effect.promise(() =>
          page.locator("span").evaluateAll((spans: ReadonlyArray<any>) =>
            spans.map((span) => Math.round(span.getBoundingClientRect().width))
          )
        )
        // DejaVu Sans, Serif and Sans Mono; a family that is not there is taken for the standard one.
        assert.deepStrictEqual(widths, [375, 381, 360, 381])
      }))

    it.effect("gives every control an accessible name, and a sensible tab order", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const ada = yield* visitor()
        yield* ada.ask("POST", `${url}/api/cart/items`, { sku: "tea", quantity: 1 })
        const tab = yield* ada.open(url)
        yield* tab.seesCart("tea 1")
        yield* tab.sees("#travel[max='1']")
        assert.strictEqual(yield* Effect.promise(() => tab.page.getAttribute("html", "lang")), "en")

        const nodes = yield* Effect.promise(async () => {
          const { nodes } = await (await ada.context.newCDPSession(tab.page)).send("Accessibility.getFullAXTree")
          return nodes.map(({ name, role }) => ({ name: name?.value as string, role: role?.value as string }))
        })
        const roles = /^(button|link|textbox|searchbox|combobox|slider|progressbar|dialog|list|navigation|log|region)$/i
        const named = nodes.filter(({ role }) => roles.test(role))
        assert.isAtLeast(named.length, 40)
        assert.deepStrictEqual(named.filter(({ name }) => name === ""), [])

        const order = yield* tab.run(usable, undefined)
        for (const element of order) {
          yield* tab.press("Tab")
          assert.strictEqual(yield* tab.run(focused, undefined), element)
        }
      }))

    it.effect("shows everything, however narrow the window and however high the price", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const ada = yield* visitor()
        for (const sku of ["honey", "newspaper", "chocolate"]) {
          for (let n = 0; n < 10; n++) yield* ada.ask("POST", `${url}/api/cart/items`, { sku, quantity: 99 })
        }
        const tab = yield* ada.open(url)
        yield* tab.seesCart("honey 990", "newspaper 990", "chocolate 990")
        for (const width of [1280, 900, 600, 390, 320]) {
          yield* Effect.promise(() => tab.page.setViewportSize({ width, height: 800 }))
          assert.deepStrictEqual(yield* tab.run(cutOff, undefined), [], `${width} pixels`)
        }
      }))

    it.effect("has texts with enough contrast, in light and dark mode", () =>
      Effect.gen(function*() {
        const url = yield* Shop
        const wire = yield* Wire.to(url)
        const ada = yield* visitor({
          expects: RegExp(`${cuts.source}|${strange.source}`),
          replaced: 6,
          viewport: { width: 390, height: 800 }
        })
        const tab = yield* ada.open(wire.url)
        const standOut = Effect.forEach(["light", "dark"] as const, (colorScheme) =>
          Effect.andThen(
            Effect.promise(() => tab.page.emulateMedia({ colorScheme })),
            eventually(() => Effect.runPromise(tab.run(paleTexts, 4.5)), [])
          ))
        yield* tab.fill("#user", "linus")
        yield* tab.click("#login button")
        yield* tab.click("#crash")
        yield* tab.sees("#drill-report")
        yield* tab.sees("#devices [data-current]")
        yield* tab.add("tea")
        yield* tab.seesCart("tea 1")
        yield* standOut
        yield* patience(tab, forever)
        wire.cut()
        yield* tab.add("tea")
        yield* tab.sees("#banner-pending", "1 action")
        yield* standOut
        wire.mend()
        yield* tab.click("#try-now")
        yield* tab.seesCart("tea 2")
        yield* tab.click("#leave")
        yield* tab.sees("#door", "Goodbye")
        yield* standOut
      }))
  }
)
