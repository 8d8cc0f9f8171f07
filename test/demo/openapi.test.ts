import { assert, describe, it } from "@effect/vitest"
import { Validator } from "@seriousme/openapi-schema-validator"
import { Effect } from "effect"
import { HttpApi } from "effect/http-api"
import { ShopApi } from "../../examples/demo/ShopApi.ts"
import * as ShopRoom from "./ShopRoom.ts"

interface Endpoint {
  readonly name: string
  readonly group: string
  readonly hasCookie: boolean
}

/** What the API's definition has, by method and path. */
const defined = (): Map<string, Endpoint> => {
  const endpoints = new Map<string, Endpoint>()
  HttpApi.reflect(ShopApi, {
    onGroup: () => {},
    onEndpoint: ({ endpoint: { identifier, method, path }, group, middleware }) => {
      const name = `${method} ${path.replace(/:(\w+)/g, "{$1}")}`
      const hasCookie = Array.from(middleware).some((it) => "security" in it)
      endpoints.set(name, { name: `${group.identifier}.${identifier}`, group: group.identifier, hasCookie })
    }
  })
  return endpoints
}

const document = Effect.gen(function*() {
  const { headers, json, status } = yield* (yield* ShopRoom.open()).visitor().send("GET", "/openapi.json")
  assert.deepStrictEqual([status, headers.get("content-type")], [200, "application/json"])
  return json
})

const operations = (json: any): Array<readonly [name: string, operation: any]> =>
  Object.entries<any>(json.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const)
  )

describe("/openapi.json", () => {
  it.effect("is valid OpenAPI 3.1", () =>
    Effect.gen(function*() {
      const json = yield* document
      assert.match(json.openapi, /^3\.1\./)
      const validator = new Validator()
      const { errors, valid } = yield* Effect.promise(() => validator.validate(structuredClone(json)))
      assert.deepStrictEqual([valid, errors], [true, undefined])
      assert.strictEqual(validator.version, "3.1")
    }))

  it.effect("describes the API", () =>
    Effect.gen(function*() {
      const { info, servers, tags } = yield* document
      assert.deepInclude(info, { title: "Corner shop", version: "0.1.0", license: { name: "MIT", identifier: "MIT" } })
      assert.isAbove(info.description.length, 50)
      assert.deepStrictEqual(servers.map(({ url }: any) => url), ["/"])
      assert.deepStrictEqual(tags.map(({ name }: any) => name), [
        "cart",
        "store",
        "identity",
        "people",
        "counter",
        "shop"
      ])
      for (const { description, name } of tags) assert.isString(description, name)
    }))

  it.effect("lists every endpoint, with a summary, its answers, and the cookie", () =>
    Effect.gen(function*() {
      const json = yield* document
      const listed = operations(json)
      const endpoints = defined()
      assert.isAtLeast(endpoints.size, 20)
      assert.sameMembers(listed.map(([name]) => name), Array.from(endpoints.keys()))
      assert.deepInclude(json.components.securitySchemes.visitor, { type: "apiKey", in: "cookie" })
      for (const [name, { description, operationId, responses, security, summary, tags }] of listed) {
        const endpoint = endpoints.get(name)!
        assert.deepStrictEqual([operationId, tags], [endpoint.name, [endpoint.group]], name)
        assert.match(summary, /^[A-Z].{4,60}[^.]$/, name)
        assert.match(description, /\.$/, name)
        assert.strictEqual(security.some((scheme: object) => "visitor" in scheme), endpoint.hasCookie, name)
        const statuses = Object.keys(responses).map(Number)
        assert.isTrue(statuses.some((status) => status < 300) && statuses.some((status) => status >= 400), name)
      }
      assert.strictEqual(new Set(listed.map(([, { summary }]) => summary)).size, listed.length)
    }))

  it.effect("requires the cookie only where a login is necessary", () =>
    Effect.gen(function*() {
      const required = operations(yield* document).filter(([, { security }]) =>
        security.length > 0 && security.every((scheme: object) => Object.keys(scheme).length > 0)
      )
      assert.sameMembers(required.map(([name]) => name), [
        "GET /api/devices",
        "DELETE /api/devices/{id}",
        "GET /api/notifications",
        "POST /api/notifications/read"
      ])
    }))
})

describe("/docs", () => {
  it.effect("show the API, and load nothing from another host", () =>
    Effect.gen(function*() {
      const { headers, json: html, status } = yield* (yield* ShopRoom.open()).visitor().send("GET", "/docs")
      assert.strictEqual(status, 200)
      assert.match(headers.get("content-type")!, /^text\/html/)
      assert.isNull(headers.get("set-cookie"))
      // The scripts are in the page; what they hold is not markup.
      const markup = (html as string).replace(/(<script\b[^>]*>).*?<\/script>/gs, "$1")
      assert.include(markup, "<title>Corner shop</title>")
      assert.strictEqual(markup.match(/<script/g)?.length, 2)
      assert.notMatch(markup, /<(?:link|img|iframe|object|embed|base)\b|@import|\b(?:src|href|srcset|action)\s*=/i)
      // Scalar's own fonts are elsewhere.
      assert.match(html, /"withDefaultFonts":false/)
    }))
})
