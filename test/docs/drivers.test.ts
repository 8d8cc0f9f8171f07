/**
 * Which drivers the entry points of the package reach: as modules that Node loads, and as types that a program sees.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll } from "vitest"

const root = fileURLToPath(new URL("../../", import.meta.url))
const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly exports: Readonly<Record<string, { readonly source: string } | string>>
}

/** The drivers that each entry point may reach. Routes for WebSockets load theirs when they are served. */
const drivers: Readonly<Record<string, ReadonlyArray<string>>> = {
  ".": [],
  "./testing": [],
  "./http": [],
  "./auth": [],
  "./jwt": ["jose"],
  "./live": [],
  "./socket": ["jose"],
  "./snapshots": [],
  "./cluster": [],
  "./client": []
}

/** Tells the packages that are resolved while an entry point is loaded, besides Effect. */
const load = (entry: string): ReadonlyArray<string> => {
  const program = `
    import { registerHooks } from "node:module"
    const seen = new Set()
    registerHooks({
      resolve(specifier, context, next) {
        const name = /^(@[^/]+\\/)?[^./][^/:]*(?=\\/|$)/.exec(specifier)?.[0]
        const isOurs = context.parentURL === undefined || !context.parentURL.includes("/node_modules/")
        if (isOurs && name !== undefined && name !== "effect" && name !== "effect-sessions") seen.add(name)
        return next(specifier, context)
      }
    })
    await import(${JSON.stringify(join("effect-sessions", entry))})
    console.log(JSON.stringify([...seen]))`
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--conditions=source", "--input-type=module", "--eval", program],
    { cwd: root, encoding: "utf8" }
  )
  assert.strictEqual(status, 0, stderr)
  return JSON.parse(stdout)
}

describe("an entry point", () => {
  let declarations = ""
  beforeAll(() => {
    declarations = mkdtempSync(join(tmpdir(), "declarations-"))
    const { status, stdout } = spawnSync(
      process.execPath,
      [
        join(root, "node_modules/typescript/bin/tsc"),
        "-p",
        "tsconfig.build.json",
        "--emitDeclarationOnly",
        "--declarationMap",
        "false",
        "--outDir",
        declarations
      ],
      { cwd: root, encoding: "utf8" }
    )
    assert.strictEqual(status, 0, stdout)
  })
  afterAll(() => rmSync(declarations, { recursive: true, force: true }))

  /** What the declarations of a file import. */
  const importsOf = (file: string): ReadonlyArray<string> =>
    Array.from(
      readFileSync(file, "utf8").matchAll(/(?:from|import\()\s*"([^"]+)"/g),
      ([, specifier]) => specifier!
    )

  /** The packages that the types of an entry point name, besides Effect. */
  const typesOf = (entry: string): ReadonlyArray<string> => {
    const packages = new Set<string>()
    const files = new Set([entry])
    for (const file of files) {
      for (const specifier of importsOf(file)) {
        if (specifier.startsWith(".")) files.add(resolve(dirname(file), specifier).replace(/(\.d)?\.[jt]s$/, ".d.ts"))
        else packages.add(/^(@[^/]+\/)?[^/]+/.exec(specifier)![0])
      }
    }
    packages.delete("effect")
    return Array.from(packages)
  }

  it("is one of those below", () => {
    assert.sameMembers(Object.keys(drivers), Object.keys(exports).filter((entry) => entry !== "./package.json"))
  })

  for (const [entry, expected] of Object.entries(drivers)) {
    it(`${entry} loads ${expected.join() || "no driver"}, and names no other in its types`, () => {
      assert.deepStrictEqual(load(entry), expected)
      const { source } = exports[entry] as { readonly source: string }
      const declared = join(declarations, relative("src", source)).replace(/\.ts$/, ".d.ts")
      assert.isTrue(existsSync(declared))
      for (const name of typesOf(declared)) assert.include(expected, name)
    })
  }

  it("of the edge names no type of an internal folder", () => {
    const named = globSync("edge/**/*.d.ts", { cwd: declarations })
      .filter((file) => !file.includes("internal/") && !file.startsWith("edge/snapshots/"))
      .flatMap((file) =>
        importsOf(join(declarations, file)).filter((specifier) => specifier.includes("internal/"))
          .map((specifier) => `${file} names ${specifier}`)
      )
    assert.deepStrictEqual(named, [])
  })
})
