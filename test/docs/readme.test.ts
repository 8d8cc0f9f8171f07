import { assert, describe, it } from "@effect/vitest"
import { SessionError, SessionLogger, SessionMetrics } from "effect-sessions"
import { existsSync, readFileSync } from "node:fs"

const file = (path: string) => new URL(`../../${path}`, import.meta.url)
const read = (path: string) => readFileSync(file(path), "utf8")
const readme = read("README.md")

/** The rows of the table under a heading, as lists of cells. */
const table = (heading: string) =>
  readme.split(`\n## ${heading}\n`)[1]!.split("\n## ")[0]!
    .split("\n").filter((line) => line.startsWith("|")).slice(2)
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))

/** What stands in backticks. */
const names = (cell: string) => Array.from(cell.matchAll(/`([^`]+)`/g), ([, name]) => name!)

describe("README", () => {
  const copies = Array.from(readme.matchAll(/<!-- (examples\/[^ ]+) -->\n+```ts\n([\s\S]*?)```/g))

  it("shows code that is a copy of an example", () => {
    assert.isAtLeast(copies.length, 2)
    for (const [, path, code] of copies) {
      const source = read(path!).split("\n").filter((line) => !line.startsWith("//")).join("\n")
      assert.strictEqual(code!.trim(), source.trim(), path)
    }
    assert.strictEqual(readme.match(/```ts\n/g)?.length, copies.length, "a block of code that no example has")
  })

  it("begins with a program of under fifteen lines", () => {
    assert.isBelow(copies[0]![2]!.split("\n").filter((line) => line.trim() !== "").length, 15)
  })

  it("links to files that exist", () => {
    for (const [, path] of readme.matchAll(/\]\(((?!http|#)[^)]+)\)/g)) assert.isTrue(existsSync(file(path!)), path)
  })

  it("lists every error with its status", () => {
    const rows = new Map(table("Errors").map(([name, status]) => [names(name!)[0], Number(status)]))
    const classes = Object.entries(SessionError).filter(([name]) => /^[A-Z]/.test(name))
    assert.sameMembers(Array.from(rows.keys()), classes.map(([name]) => name))
    for (const [name, errorClass] of classes) {
      const { httpStatus } = Object.create((errorClass as { prototype: object }).prototype)
      assert.strictEqual(rows.get(name), httpStatus, name)
    }
  })

  it("lists every event with its level", () => {
    const rows = table("Events").flatMap(([events, levels]) => {
      const parts = levels!.split(", ")
      return names(events!).map((name, i) => [name, parts[i] ?? parts[0]])
    })
    assert.deepStrictEqual(Object.fromEntries(rows), SessionLogger.defaultLevels)
  })

  it("lists every metric with its type", () => {
    const metrics = Object.values(SessionMetrics).filter((value): value is typeof SessionMetrics.live => "id" in value)
    assert.sameDeepMembers(
      table("Metrics").map(([name, type]) => [names(name!)[0], type]),
      metrics.map(({ id, type }) => [id, type.toLowerCase()])
    )
  })

  it("lists every variable of the environment that is read", () => {
    const read = new Set(readFileSync(file("src/policy/SessionsConfig.ts"), "utf8").match(/SESSIONS_[A-Z_]+/g))
    assert.sameMembers(table("Configuration").flatMap(([, variable]) => names(variable!)[0]!), [...read])
  })
})
