import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"

const root = new URL("../../", import.meta.url)
const files = globSync("src/**/*.ts", { cwd: root }).filter((path) => !path.includes("internal/"))

/** What each exported declaration of a file is preceded by. */
const exportsOf = (path: string) => {
  const lines = readFileSync(new URL(path, root), "utf8").split("\n")
  return lines.flatMap((line, i) => {
    const name = /^export (?:declare )?(?:const|class|interface|type|function) (\w+)/.exec(line)?.[1]
    if (name === undefined) return []
    const start = lines.lastIndexOf("/**", i)
    const end = lines.indexOf(" */", start)
    return [{ name, doc: end === i - 1 ? lines.slice(start, end).join("\n") : "" }]
  })
}

describe("documentation", () => {
  it("finds the public modules", () => assert.isAtLeast(files.length, 20))

  for (const path of files) {
    it(`${path} says what it and each of its exports is for`, () => {
      const text = readFileSync(new URL(path, root), "utf8")
      assert.match(text, /^\/\*\*\n \* [^@]{20}/, "a module begins by saying what it is")
      assert.match(text.slice(0, text.indexOf("*/")), /@since/)
      for (const { doc, name } of exportsOf(path)) {
        assert.match(doc, /^\/\*\*\n \* \S.*\S/, `${name} has no description`)
        assert.include(doc, "@since", name)
        assert.include(doc, "@category", name)
      }
    })
  }
})
