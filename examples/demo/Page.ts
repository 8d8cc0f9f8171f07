/**
 * The shop's page: the files of page/, bundled when the program starts. The products are written into the HTML, so that
 * they are there before any script runs.
 */
import { Data, Effect, FileSystem, Layer } from "effect"
import { HttpRouter, type HttpServerRequest, HttpServerResponse } from "effect/http"
import { createHash } from "node:crypto"
import { fileURLToPath } from "node:url"
import { stripVTControlCharacters } from "node:util"
import { gzipSync } from "node:zlib"
import * as Catalogue from "./Catalogue.ts"

/** The page cannot be built; the message says why, in one line. */
export class PageError extends Data.TaggedError("PageError")<{ readonly message: string }> {}

const fail = (error: unknown) => {
  const text = stripVTControlCharacters(String(error)).replace(/[\s\u2500-\u257f]+/g, " ")
  return new PageError({ message: `the page cannot be built: ${text.slice(0, 300)}` })
}

const file = (name: string) => fileURLToPath(new URL(`page/${name}`, import.meta.url))

/** The script with all its imports, from the TypeScript sources where they exist. */
const bundle = async (): Promise<string> => {
  const { rolldown } = await import("rolldown")
  const bundle = await rolldown({
    input: file("main.ts"),
    platform: "browser",
    resolve: { conditionNames: ["source", "browser", "import", "default"] },
    transform: { target: "es2022" },
    logLevel: "silent"
  })
  const { output } = await bundle.generate({ format: "esm", minify: true })
  await bundle.close()
  return output[0].code
}

let bundled: Promise<string> | undefined

/** Bundled once per process, however often a shop is opened. */
const script = Effect.tryPromise({ try: () => bundled ??= bundle(), catch: fail })

const read = (name: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => Effect.mapError(fs.readFileString(file(name)), fail))

const product = ([sku, { name, price, unit }]: (typeof Catalogue.all)[number]): string =>
  `<li class="product" data-sku="${sku}">
        <span class="picture"><svg aria-hidden="true"><use href="#${sku}"/></svg><b class="badge" hidden></b></span>
        <div class="what"><strong>${name}</strong><small>${unit}</small></div>
        <data value="${price / 100}">€${(price / 100).toFixed(2)}</data>
        <div class="stock"><button class="link" type="button" data-do="check">In stock?</button>
          <progress max="100" value="0" aria-label="Checking the stock of ${name}"></progress></div>
        <button type="button" data-do="add" aria-label="Add ${name}">Add</button>
      </li>`

const option = ([sku, { name }]: (typeof Catalogue.all)[number]): string => `<option value="${sku}">${name}</option>`

/** Allows the page its own script and style, and connections to the shop, and nothing else. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "connect-src 'self'",
  "img-src data:",
  "script-src 'self'",
  "style-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join("; ")

/** A file that browsers may cache, and must revalidate each time. */
const asset = (path: `/${string}`, contentType: string, text: string, more: Record<string, string> = {}) => {
  const etag = `"${createHash("sha256").update(text).digest("base64url")}"`
  const headers = { ...more, etag, "cache-control": "no-cache", vary: "accept-encoding" }
  const full = HttpServerResponse.text(text, { contentType, headers })
  const zipped = HttpServerResponse.uint8Array(gzipSync(text), {
    contentType,
    headers: { ...headers, "content-encoding": "gzip" }
  })
  const same = HttpServerResponse.empty({ status: 304, headers })
  return HttpRouter.add("GET", path, ({ headers }: HttpServerRequest.HttpServerRequest) =>
    Effect.succeed(
      headers["if-none-match"]?.includes(etag) === true
        ? same
        : /\bgzip\b/.test(headers["accept-encoding"] ?? "")
        ? zipped
        : full
    ))
}

export const layer = Layer.unwrap(Effect.gen(function*() {
  const files = [script, read("index.html"), read("style.css"), read("people.css")]
  const [code = "", template = "", ...styles] = yield* Effect.all(files, { concurrency: "unbounded" })
  const html = template
    .replace("<!-- products -->", () => Catalogue.all.map(product).join("\n      "))
    .replace("<!-- options -->", () => Catalogue.all.map(option).join("\n            "))
  return Layer.mergeAll(
    asset("/", "text/html; charset=utf-8", html, { "content-security-policy": contentSecurityPolicy }),
    asset("/app.js", "text/javascript; charset=utf-8", code),
    asset("/style.css", "text/css; charset=utf-8", styles.join("\n"))
  )
}))
