import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Option } from "effect"
import { SessionAnalytics, SessionLogger, SessionMetrics, SessionsConfig } from "effect-sessions"
import { ClusterMetrics } from "effect-sessions/cluster"
import { anchors, names, read, table } from "./pages.ts"

const packageJson = JSON.parse(read("package.json")) as {
  readonly exports: Record<string, { readonly source?: string }>
}

const entryPoints = Object.entries(packageJson.exports).flatMap(([path, { source }]) =>
  source === undefined ? [] : [{ name: `effect-sessions${path.slice(1)}`, source }]
)

type ErrorClass = { readonly prototype: object }

const isErrorClass = (value: unknown): value is ErrorClass =>
  typeof value === "function" && value.prototype instanceof Error

/** The classes of errors that an entry point exports, by name. */
const errorsOf = (module: object, into: Map<string, ErrorClass>): void => {
  for (const [name, value] of Object.entries(module)) {
    if (isErrorClass(value)) into.set(name, value)
    else if (Object.prototype.toString.call(value) === "[object Module]") errorsOf(value as object, into)
  }
}

const allErrors = Effect.promise(async () => {
  const errors = new Map<string, ErrorClass>()
  for (const { name } of entryPoints) errorsOf(await import(name), errors)
  return errors
})

/** A member that does not depend on an error's fields; else nothing. */
const constant = ({ prototype }: ErrorClass, member: "httpStatus" | "retrySafe"): unknown => {
  try {
    return Object.create(prototype)[member]
  } catch {
    return undefined
  }
}

describe("tables", () => {
  it.effect("every error has its row, with status and whether a retry is safe", () =>
    Effect.gen(function*() {
      const errors = yield* allErrors
      assert.isAtLeast(errors.size, 40)
      const rows = new Map(
        [
          "Sessions",
          "Live views",
          "HTTP and tokens",
          "Ready-made kinds",
          "Snapshot stores",
          "The cluster",
          "The client"
        ]
          .flatMap((heading) => table("docs/errors.md", heading))
          .map(([name, ...cells]) => [names(name!)[0]!, cells])
      )
      assert.sameMembers([...rows.keys()], [...errors.keys()])
      for (const [name, error] of errors) {
        const [status, retry] = rows.get(name)!
        const httpStatus = constant(error, "httpStatus")
        assert.strictEqual(status, httpStatus === undefined ? "" : String(httpStatus), name)
        const retrySafe = /^(yes|no)/.exec(retry!)?.[0]
        if (retrySafe !== undefined && httpStatus !== undefined) {
          assert.strictEqual(retrySafe === "yes", constant(error, "retrySafe"), name)
        }
      }
    }))

  it.effect("every error has its section in troubleshooting", () =>
    Effect.gen(function*() {
      const sections = anchors("docs/troubleshooting.md")
      for (const [name] of yield* allErrors) assert.isTrue(sections.has(name.toLowerCase()), name)
    }))

  it("every event is there with its level", () => {
    const rows = table("docs/events-and-metrics.md", "Events").flatMap(([events, levels]) => {
      const parts = levels!.split(", ")
      return names(events!).map((name, i) => [name, parts[i] ?? parts[0]])
    })
    assert.deepStrictEqual(Object.fromEntries(rows), SessionLogger.defaultLevels)
  })

  it("every metric is there with its type", () => {
    const metrics = [
      ...Object.values(SessionMetrics),
      ...Object.values(SessionAnalytics),
      ...Object.values(ClusterMetrics)
    ]
      .filter((value): value is typeof SessionMetrics.live => typeof value === "object" && "id" in value)
    assert.sameDeepMembers(
      table("docs/events-and-metrics.md", "Metrics").map(([name, type]) => [names(name!)[0], type]),
      metrics.map(({ id, type }) => [id, type.toLowerCase()])
    )
  })

  it.effect("every setting is there with its variable and its default", () =>
    Effect.gen(function*() {
      const rows = table("docs/configuration.md", "Settings of all sessions")
      const variables = new Set(read("src/policy/SessionsConfig.ts").match(/SESSIONS_[A-Z_]+/g))
      variables.delete("SESSIONS_PRESET") // has a section of its own
      assert.sameMembers(rows.flatMap(([, variable]) => names(variable!)[0]!), [...variables])
      const defaults: Record<string, unknown> = { ...yield* SessionsConfig.make() }
      const shown = new Map(
        rows.flatMap(([setting, , value]) => names(setting!).map((name) => [name, value!] as const))
      )
      assert.sameMembers([...shown.keys()], Object.keys(defaults))
      for (const [name, value] of shown) {
        const expected = defaults[name]
        if (typeof expected === "string") assert.strictEqual(value, `\`${expected}\``, name)
        else if (typeof expected === "object") {
          const { limit, window } = expected as { readonly limit: number; readonly window: number }
          assert.strictEqual(
            value,
            `${limit} in ${Duration.format(Duration.millis(window)).replace("m", " minute")}`,
            name
          )
        } else if (expected === undefined) assert.strictEqual(value, "off", name)
        else {
          const time = Duration.fromInput(value as Duration.Input)
          const number = Option.isSome(time) ? Duration.toMillis(time.value) : Number(value.replaceAll(",", ""))
          assert.strictEqual(number, expected, name)
        }
      }
    }))

  it("every entry point is there", () => {
    assert.sameMembers(
      table("docs/concepts.md", "Entry points").map(([name]) => names(name!)[0]!),
      entryPoints.map(({ name }) => name)
    )
  })

  it("figures of the benchmarks are those of the report", () => {
    const figuresOf = (text: string) => text.match(/\d(?:[\d,.]*\d)?/g) ?? []
    const figures = new Set(figuresOf(read("bench/report.md")))
    const rows = read("docs/benchmarks.md").split("\n").filter((line) => line.startsWith("|"))
    const speed = read("README.md").split("\n## Speed\n")[1]!.split("\n## ")[0]!
    assert.isAtLeast(figuresOf(speed).length, 4)
    for (const text of [...rows, speed]) {
      for (const figure of figuresOf(text)) assert.isTrue(figures.has(figure), `${figure} of ${text}`)
    }
  })
})
