/**
 * A real Chromium, from npm, with the libraries and fonts that it needs; visitors with a cookie jar each, and their tabs.
 */
import { assert, expect } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core"

/** How long something may take on a machine that is busy, in milliseconds: what takes longer hangs. */
const patience = 60_000

/** Waits until it is so. */
export const eventually = <A>(get: () => Promise<A>, expected: A): Effect.Effect<void> =>
  Effect.promise(() => expect.poll(get, { timeout: patience, interval: 25 }).toEqual(expected))

/**
 * Unpacks Chromium into this directory, with the libraries that a bare machine lacks: it brings those when it believes to
 * be in a cloud.
 */
const unpack = async (directory: string): Promise<string> => {
  const before = { ...process.env }
  process.env["TMPDIR"] = directory
  process.env["AWS_EXECUTION_ENV"] = "AWS_Lambda_nodejs24.x"
  try {
    const { default: packed } = await import("@sparticuz/chromium")
    return await packed.executablePath()
  } finally {
    // It also sets variables that are for the browser only.
    for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
    Object.assign(process.env, before)
  }
}

/**
 * The DejaVu fonts, and nothing else: without any font, a page with a text field ends the browser, and with those of the
 * machine it looks as the machine has it.
 */
const writeFontsConf = (directory: string): Promise<void> => {
  const fonts = join(dirname(createRequire(import.meta.url).resolve("dejavu-fonts-ttf/package.json")), "ttf")
  const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
  const families = {
    "sans-serif": "DejaVu Sans",
    serif: "DejaVu Serif",
    monospace: "DejaVu Sans Mono"
  }
  const aliases = Object.entries(families).map(([generic, family]) =>
    `<alias binding="same"><family>${generic}</family><prefer><family>${family}</family></prefer></alias>`
  )
  return writeFile(
    join(directory, "fonts.conf"),
    `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${escape(fonts)}</dir>
  <cachedir>${escape(join(directory, "fonts-cache"))}</cachedir>
  ${aliases.join("\n  ")}
</fontconfig>
`
  )
}

export class Chromium extends Context.Service<Chromium, Browser>()("test/Chromium") {
  /** The one from npm is for Linux on x64; `CHROMIUM` is the path of another one. */
  static readonly layer = Layer.effect(
    this,
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.promise(() => mkdtemp(join(tmpdir(), "chromium-"))),
        (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }))
      )
      return yield* Effect.acquireRelease(
        Effect.promise(async () => {
          await writeFontsConf(directory)
          return chromium.launch({
            executablePath: process.env["CHROMIUM"] ?? await unpack(directory),
            chromiumSandbox: false,
            timeout: patience,
            // Nothing else of the environment: not its language, nor its fonts.
            env: {
              PATH: process.env["PATH"],
              TZ: process.env["TZ"],
              HOME: directory,
              TMPDIR: directory,
              LD_LIBRARY_PATH: join(directory, "al2023", "lib"),
              FONTCONFIG_PATH: directory,
              FONTCONFIG_FILE: join(directory, "fonts.conf")
            }
          })
        }),
        (browser) => Effect.promise(() => browser.close())
      )
    })
  )
}

interface Options extends BrowserContextOptions {
  /** What the browser may complain of. */
  readonly expects?: RegExp
  /** How many requests may come with a cookie that a login has replaced meanwhile: the page sends those again. Default: 0. */
  readonly replaced?: number
}

/** What a browser says of connections that are cut. */
export const cuts = /net::ERR_|WebSocket connection to/

/** What a browser says of a request whose cookie a login has replaced. */
const replaced = /(status of|response code:) 409/

/** Someone with a browser of their own. When they go, their browser must not have complained. */
export const visitor = (options: Options = {}): Effect.Effect<Visitor, never, Chromium | Scope.Scope> =>
  Effect.gen(function*() {
    const browser = yield* Chromium
    const visitor = yield* Effect.acquireRelease(
      Effect.promise(async () => new Visitor(await browser.newContext({ reducedMotion: "reduce", ...options }))),
      ({ context }) => Effect.promise(() => context.close())
    )
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        let left = options.replaced ?? 0
        const unexpected = (text: string) =>
          !(replaced.test(text) && left-- > 0) && options.expects?.test(text) !== true
        assert.deepStrictEqual(visitor.complaints.filter(unexpected), [])
      })
    )
    return visitor
  })

class Visitor {
  readonly context: BrowserContext
  readonly complaints: Array<string> = []

  constructor(context: BrowserContext) {
    this.context = context
    context.on("weberror", (event) => this.complaints.push(String(event.error())))
    context.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") this.complaints.push(message.text())
    })
  }

  /** Opens the shop in a tab. */
  readonly open = (url: string): Effect.Effect<Tab> =>
    Effect.promise(async () => {
      const tab = new Tab(await this.context.newPage())
      await tab.page.goto(url)
      return tab
    }).pipe(Effect.tap((tab) => tab.sees("#status[data-status=Open]")))

  /** Asks the shop, with the visitor's cookie but without a page. */
  readonly ask = (method: string, url: string, data?: unknown): Effect.Effect<any> =>
    Effect.promise(async () => {
      const response = await this.context.request.fetch(url, { method, ...(data === undefined ? {} : { data }) })
      assert.isTrue(response.ok(), `${method} ${url}: ${response.status()}`)
      const text = await response.text()
      return text === "" ? undefined : JSON.parse(text)
    })
}

export type { Visitor }

/** `tea 2`, for each product in the cart. */
const lines = (items: ReadonlyArray<{ readonly sku: string; readonly quantity: number }>): ReadonlyArray<string> =>
  items.map(({ quantity, sku }) => `${sku} ${quantity}`)

/** The cart as the shop has it. */
export const cartOf = (visitor: Visitor, url: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(visitor.ask("GET", `${url}/api/session`), ({ state }) => lines(state.items))

export class Tab {
  readonly page: Page
  /** How many WebSockets it has opened, by path. */
  readonly sockets = new Map<string, number>()

  constructor(page: Page) {
    this.page = page
    page.setDefaultTimeout(patience)
    page.on("websocket", (socket) => {
      const { pathname } = new URL(socket.url())
      this.sockets.set(pathname, (this.sockets.get(pathname) ?? 0) + 1)
    })
  }

  readonly click = (selector: string) => Effect.promise(() => this.page.click(selector))

  readonly fill = (selector: string, text: string) => Effect.promise(() => this.page.fill(selector, text))

  readonly press = (key: string) => Effect.promise(() => this.page.keyboard.press(key))

  /** Puts a product into the cart. */
  readonly add = (sku: string) => this.click(`[data-sku=${sku}] [data-do=add]`)

  /** Waits until there is something to see at this selector; with this text, if any is given. */
  readonly sees = (selector: string, text?: string | RegExp) => this.seen(selector, text, true)

  readonly seesNo = (selector: string) => this.seen(selector, undefined, false)

  private seen(selector: string, text: string | RegExp | undefined, expected: boolean) {
    const wanted = this.page.locator(selector).filter({
      visible: true,
      ...(text === undefined ? {} : { hasText: text })
    })
    const what = `${selector} ${text ?? ""}`
    return eventually(async () => ({ what, isSeen: await wanted.count() > 0 }), { what, isSeen: expected })
  }

  /** Waits until the cart is this: `tea 2` for what the shop has confirmed, `tea 2?` for what it has not. */
  readonly seesCart = (...expected: ReadonlyArray<string>) =>
    eventually(() =>
      this.page.locator("#items > li").evaluateAll((rows: ReadonlyArray<any>) =>
        rows.map((row) => {
          const quantity = Number.parseInt(row.querySelector("[data-show=quantity]").textContent)
          return `${row.dataset.key} ${quantity}${"unconfirmed" in row.dataset ? "?" : ""}`
        })
      ), expected as Array<string>)

  readonly run = <A, B>(inPage: (argument: B) => A, argument: B) =>
    Effect.promise(() => this.page.evaluate(inPage as any, argument) as Promise<A>)
}
