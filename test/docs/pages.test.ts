import { assert, describe, it } from "@effect/vitest"
import { existsSync } from "node:fs"
import { dirname, relative } from "node:path"
import { fileURLToPath } from "node:url"
import {
  anchors,
  blocks,
  fieldsOf,
  fieldTables,
  files,
  isPartOf,
  links,
  names,
  pages,
  prose,
  read,
  table
} from "./pages.ts"

const exists = (path: string) => existsSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)))

/** The files that `npm run examples` runs. */
const run = files("examples/{[0-9][0-9]-*,docs/*}.ts")

/** Does it run, or does one that runs import it? */
const isRun = (path: string) =>
  run.includes(path) || run.some((file) => read(file).includes(`"./${relative(dirname(file), path)}"`))

/** Code without its comments, which say words that no name has. */
const withoutComments = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "")

/** All words of the code that users see or run, and of the paths of its files. */
const words = new Set([
  ...files("{src,examples,bench}/**/*.{ts,html}").flatMap((path) => [path, withoutComments(read(path))]),
  ...files("test/**"),
  ...files("docs/**/*.{json,mjs}").filter((path) => !path.includes("node_modules")),
  ...["package.json", ".ci/run", "bench/report.md"].map(read)
].flatMap((text) => text.match(/\w+/g) ?? []))

/** Words of the Web, of databases and of Effect that the code does not use. */
const foreign = new Set(
  ("CSRF Entity EventSource Fetch Forwarded HttpOnly Lax Origin SameSite Secure Site After Retry nbf noeviction " +
    "synchronous_commit").split(" ")
)

/** Words of former names, or that mean nothing to the reader; `docs` says what the field says. */
const avoided = /\b(behaviour|aside|doorkeeper|seats?|respite|rouse|hurry|relaunch\w*|asleep|kept)\b/i

/** What a page names: in its text, in its drawings, or only in the column that is about this library. */
const namedBy = (page: string): ReadonlyArray<string> => {
  if (page === "docs/comparison.md") return []
  if (page === "docs/migrating-from-phoenix-session-process.md") {
    return table(page, "Names").flatMap(([, ours]) => names(ours!)).flatMap((name) =>
      name.match(/\b\w+\.\w+|^\w+$/g) ?? []
    )
  }
  const drawings = blocks(page).filter(({ language }) => language === "text")
  return [...names(prose(page)), ...drawings.flatMap(({ code }) => code.match(/\b[A-Z]\w{3,}\b|\b\w+\.ts\b/g) ?? [])]
}

describe("pages", () => {
  it("finds README and the pages of docs", () => assert.isAtLeast(pages.length, 3))

  it("README has at most 180 lines", () => assert.isAtMost(read("README.md").trimEnd().split("\n").length, 180))

  it("README begins with a program of under fifteen lines", () => {
    assert.isBelow(blocks("README.md")[0]!.code.split("\n").filter((line) => line.trim() !== "").length, 15)
  })

  it("README leads to every page", () => {
    const linked = new Set(links("README.md").map(({ path }) => path))
    assert.deepStrictEqual(pages.filter((page) => page !== "README.md" && !linked.has(page)), [])
  })

  for (const page of pages) {
    it(`${page} shows code that runs`, () => {
      for (const { code, comment, language } of blocks(page)) {
        if (language === "sh" || language === "text") continue
        assert.strictEqual(language, "ts", `a block of ${page} that nothing checks: ${code}`)
        assert.isTrue(isRun(comment), `a block of ${page} that no example has: ${code}`)
        assert.isTrue(isPartOf(read(comment), code), `${comment} has not the lines that ${page} shows:\n${code}`)
      }
    })

    it(`${page} links to what exists`, () => {
      for (const { anchor, link, path } of links(page)) {
        assert.isTrue(exists(path), link)
        if (anchor !== undefined && path.endsWith(".md")) assert.isTrue(anchors(path).has(anchor), link)
      }
    })

    it(`${page} uses the words of the field`, () => assert.notMatch(read(page), avoided))

    it(`${page} lists the fields that an interface has`, () => {
      for (const { name, path, rows } of fieldTables(page)) {
        assert.sameMembers(rows.flatMap(([field]) => names(field!)), [...fieldsOf(path, name)], `${path} ${name}`)
      }
    })

    it(`${page} names only what exists`, () => {
      const unknown = namedBy(page).flatMap((name) => name.replace(/\.ts$/, "").match(/\w{3,}/g) ?? [])
        .filter((word) => !words.has(word) && !foreign.has(word) && !/^\d+$/.test(word))
      assert.deepStrictEqual([...new Set(unknown)], [])
    })
  }
})
