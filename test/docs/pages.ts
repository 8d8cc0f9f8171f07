import { globSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** The text of a file of the project. */
export const read = (path: string): string => readFileSync(join(root, path), "utf8")

/** The files that match, as paths from the root of the project. */
export const files = (pattern: string): Array<string> => globSync(pattern, { cwd: root }).sort()

/** README and the pages of `docs`, as paths from the root of the project. */
export const pages: ReadonlyArray<string> = ["README.md", ...files("docs/*.md")]

/** A block of code, with its language and the comment right above it. */
export interface Block {
  readonly page: string
  readonly language: string
  readonly comment: string
  readonly code: string
}

/** The blocks of code of a page. */
export const blocks = (page: string): ReadonlyArray<Block> =>
  Array.from(
    read(page).matchAll(/(?:<!-- (examples[^\n]*) -->\n+)?(?:<!-- dprint-ignore -->\n+)?^```(\w*)\n([\s\S]*?)^```$/gm),
    ([, comment = "", language, code]) => ({ page, language: language!, comment, code: code! })
  )

/** What a page says besides its blocks of code. */
export const prose = (page: string): string => read(page).replaceAll(/^```\w*\n[\s\S]*?^```$/gm, "")

/** What stands in backticks. */
export const names = (text: string): ReadonlyArray<string> => Array.from(text.matchAll(/`([^`]+)`/g), ([, it]) => it!)

/** The rows of a table, as lists of cells. */
export type Rows = ReadonlyArray<ReadonlyArray<string>>

const rows = (text: string): Rows =>
  text.split("\n").filter((line) => line.startsWith("|")).slice(2)
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()))

/** The rows of the table under a heading, or of the first of a page. */
export const table = (page: string, heading?: string): Rows => {
  const text = read(page)
  const section = heading === undefined ? text : text.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0]
  if (section === undefined) throw new Error(`${page} has no section "${heading}"`)
  return rows(section.slice(section.indexOf("|")).split("\n\n")[0]!)
}

/** The tables that list the fields of an interface, under a comment that names its file and itself. */
export const fieldTables = (page: string) =>
  Array.from(
    read(page).matchAll(/<!-- fields: (\S+) (\w+) -->\n+((?:\|.*\n)+)/g),
    ([, path, name, text]) => ({ path: path!, name: name!, rows: rows(text!) })
  )

/** The names of the fields that an interface declares itself. */
export const fieldsOf = (path: string, name: string): ReadonlyArray<string> => {
  const source = read(path)
  const start = source.search(new RegExp(`^export interface ${name}\\b`, "m"))
  if (start < 0) throw new Error(`${path} has no interface ${name}`)
  const body = source.slice(start, source.indexOf("\n}", start))
  return Array.from(body.matchAll(/^ {2}readonly (\w+)\??:/gm), ([, field]) => field!)
}

/** The anchors of the headings of a page, as GitHub makes them. */
export const anchors = (page: string): ReadonlySet<string> =>
  new Set(Array.from(
    prose(page).matchAll(/^#+ (.+)$/gm),
    ([, heading]) => heading!.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-")
  ))

/** The links of a page to files of the project: their paths from its root, and their anchors. */
export const links = (page: string) =>
  Array.from(prose(page).matchAll(/\]\(((?!https?:)[^)]+)\)/g), ([, link]) => {
    const [path = "", anchor] = link!.split("#")
    return { link: link!, path: path === "" ? page : join(dirname(page), path), anchor }
  })

/** Is the code a run of lines of the source, indented as a whole perhaps? */
export const isPartOf = (source: string, code: string): boolean => {
  const lines = source.split("\n")
  const wanted = code.trimEnd().split("\n")
  return lines.some((_, start) => {
    const indent = lines[start]!.length - lines[start]!.trimStart().length
    return wanted.every((line, i) => lines[start + i] === (line === "" ? "" : " ".repeat(indent) + line))
  })
}
