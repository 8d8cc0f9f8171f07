/**
 * The shop's page: one plain HTML file, into which the products are written when the program starts.
 */
import { Effect, FileSystem, type Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { createHash } from "node:crypto"
import { fileURLToPath } from "node:url"
import * as Catalogue from "./Catalogue.ts"

const file = fileURLToPath(new URL("page.html", import.meta.url))

const product = ([sku, { name, price, unit }]: (typeof Catalogue.all)[number]): string =>
  `<li data-sku="${sku}"><div><strong>${name}</strong><small>${unit}</small></div>`
  + `<data>€${(price / 100).toFixed(2)}</data><button disabled aria-label="Add ${name}">Add</button></li>`

/** Lets the page run its own script and style, and nothing else. */
const contentSecurityPolicy = (html: string): string => {
  const hashes = (tag: "script" | "style") =>
    Array.from(
      html.matchAll(new RegExp(`<${tag}>(.*?)</${tag}>`, "gs")),
      ([, text = ""]) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`
    ).join(" ")
  return [
    "default-src 'none'",
    "connect-src 'self'",
    "img-src data:",
    `script-src ${hashes("script")}`,
    `style-src ${hashes("style")}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join("; ")
}

export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | FileSystem.FileSystem> = HttpRouter.use(
  Effect.fnUntraced(function*(router) {
    const fs = yield* FileSystem.FileSystem
    const template = yield* Effect.orDie(fs.readFileString(file))
    const html = template.replace("<!-- products -->", () => Catalogue.all.map(product).join("\n    "))
    const page = HttpServerResponse.html(html).pipe(
      HttpServerResponse.setHeader("content-security-policy", contentSecurityPolicy(html))
    )
    yield* router.add("GET", "/", page)
  })
)
