import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schedule, Schema } from "effect"
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as PostgresServer from "../snapshots/PostgresServer.ts"
import * as RedisServer from "../snapshots/RedisServer.ts"
import * as ShopProcess from "./ShopProcess.ts"

const Cart = Schema.Struct({ state: Schema.Struct({ count: Schema.Int }) })

/** A visitor: adds things, and looks at the cart, with one cookie whatever shop it is. */
const makeVisitor = () => {
  let cookie = ""
  const request = (url: string, path: string, body?: unknown) =>
    Effect.promise(async () => {
      const response = await fetch(`${url}${path}`, {
        method: body === undefined ? "GET" : "POST",
        headers: { cookie, "content-type": "application/json" },
        body: body === undefined ? null : JSON.stringify(body)
      })
      cookie = response.headers.get("set-cookie")?.split(";")[0] ?? cookie
      return response.json() as unknown
    })
  return {
    add: (url: string, quantity: number) => request(url, "/api/cart/items", { sku: "tea", quantity }),
    count: (url: string) =>
      Effect.map(request(url, "/api/session"), (json) => Schema.decodeUnknownSync(Cart)(json).state.count)
  }
}

/** Opens a shop, lets the visitor in, and closes the shop. */
const visit = (
  env: Record<string, string>,
  use: (url: string) => Effect.Effect<unknown>,
  signal: "SIGTERM" | "SIGKILL" = "SIGTERM"
) =>
  Effect.scoped(Effect.gen(function*() {
    const shop = yield* ShopProcess.start(env)
    yield* use(yield* shop.url)
    shop.process.kill(signal)
    const { code, stderr } = yield* shop.ended
    if (signal === "SIGTERM") assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
  }))

const directory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "shop-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

/** Waits until a file of the directory has this in it. */
const written = (path: string, what: RegExp) =>
  Effect.promise(async () => {
    for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const content = await readFile(join(entry.parentPath, entry.name), "utf8").catch(() => "")
      if (what.test(content)) return true
    }
    return false
  }).pipe(Effect.filterOrFail((found) => found), Effect.retry(Schedule.spaced("20 millis")), Effect.orDie)

describe("carts outlive the shop", () => {
  const goesOn = (env: Record<string, string>) =>
    Effect.gen(function*() {
      const ada = makeVisitor()
      yield* visit(env, (url) => ada.add(url, 2))
      yield* visit(env, (url) =>
        Effect.gen(function*() {
          assert.strictEqual(yield* ada.count(url), 2)
          yield* ada.add(url, 1)
        }))
      yield* visit(env, (url) => Effect.map(ada.count(url), (count) => assert.strictEqual(count, 3)))
    })

  it.live("in a SQLite file, also if the shop is killed after they are written", () =>
    Effect.scoped(Effect.gen(function*() {
      const env = { STATE_DIR: yield* directory }
      yield* goesOn(env)
      const bob = makeVisitor()
      yield* visit(
        env,
        (url) => Effect.andThen(bob.add(url, 7), written(env.STATE_DIR, /quantity\W+7\b/)),
        "SIGKILL"
      )
      yield* visit(env, (url) => Effect.map(bob.count(url), (count) => assert.strictEqual(count, 7)))
    })))

  it.live("in PostgreSQL", () =>
    Effect.scoped(Effect.gen(function*() {
      yield* goesOn({ DATABASE_URL: Redacted.value(yield* PostgresServer.start) })
    })))

  it.live("in Redis", () =>
    Effect.scoped(Effect.gen(function*() {
      const { prefix, url } = yield* RedisServer.start
      yield* goesOn({ REDIS_URL: url, REDIS_PREFIX: prefix })
    })), RedisServer.needed)

  it.live("or the shop says in one line why they cannot be stored", () =>
    Effect.scoped(Effect.gen(function*() {
      const shop = yield* ShopProcess.start({ DATABASE_URL: "postgres://nobody@127.0.0.1:1/none" })
      const { code, stderr } = yield* shop.ended
      assert.strictEqual(code, 1)
      assert.match(stderr, /^The corner shop cannot open: visits cannot be kept: .+\n$/)
    })))
})
