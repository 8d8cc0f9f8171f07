/**
 * What do the figures say? Tables (in Markdown, which is also readable in a terminal) with the measured subject first, each
 * baseline beside it with the factor between them, and verdicts. Figures that only this library has are in `own-tables.ts`.
 */
import { isCost } from "./children.ts"
import type { Figures } from "./Subject.ts"

/** A column: a subject and its figures. */
export interface Column {
  readonly name: string
  /** `undefined` if the subject is not installed. */
  readonly figures: Figures | undefined
}

/** A whole number. */
export const count = (value: number): string => Math.round(value).toLocaleString("en-US")

const digits = (value: number): string => value >= 100 ? count(value) : value.toPrecision(2)

const show = (figure: string, value: number): string => figure.startsWith("sweep_ms") ? value.toFixed(2) : count(value)

const factor = (value: number): string => value >= 10 ? count(value) : value.toPrecision(2)

/** The factor by which the subject is better than the baseline; below 1, it is worse. */
const ratio = (figure: string, value: number, baseline: number): number =>
  isCost(figure) ? baseline / value : value / baseline

/** A table whose columns are as wide as they need to be. */
export const table = (header: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = header.map((title, column) => Math.max(3, title.length, ...rows.map((row) => row[column]!.length)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${cells.map((cell, at) => at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)).join(" | ")} |`
  const rule = widths.map((width, at) => at === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)
  return [line(header), `| ${rule.join(" | ")} |`, ...rows.map(line)].join("\n")
}

const cell = (figure: string, column: Column, subject: Column | undefined): string => {
  if (column.figures === undefined) return "not installed"
  const value = column.figures[figure]
  if (value === undefined) return "-"
  const own = subject?.figures?.[figure]
  return own === undefined
    ? show(figure, value)
    : `${show(figure, value)} (${factor(ratio(figure, own, value))}×)`
}

const compare = (
  title: string,
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<readonly [figure: string, label: string]>
): string =>
  table(
    [title, ...columns.map(({ name }) => name)],
    rows.filter(([figure]) => columns[0]!.figures?.[figure] !== undefined).map(([figure, label]) => [
      label,
      ...columns.map((column, at) => cell(figure, column, at === 0 ? undefined : columns[0]))
    ])
  )

/** The section of the workload suite. */
export const workloadSection = (columns: ReadonlyArray<Column>, sessions: number): string =>
  compare(`${count(sessions)} sessions, per second`, columns, [
    ["creates_per_s", "creates"],
    ["bytes_per_session", "bytes a session"],
    ["calls_seq_per_s", "calls, one at a time"],
    ["calls_conc_per_s", "calls, 100 clients"],
    ["casts_per_s", "casts"],
    ["casts_effect_per_s", "casts, as Effects"],
    ["calls_handler_per_s", "calls, handler an Effect"],
    ["casts_handler_per_s", "casts, handler an Effect"],
    ["lookups_per_s", "lookups"],
    ["lookups_effect_per_s", "lookups, as Effects"],
    ["terminates_per_s", "ends, by id"]
  ])

/** The section of the paths suite. */
export const pathsSection = (columns: ReadonlyArray<Column>, sessions: number): string =>
  compare(`${count(sessions)} sessions, per second`, columns, [
    ["calls@10", "calls, 10 clients"],
    ["calls@50", "calls, 50 clients"],
    ["calls@100", "calls, 100 clients"],
    ["batch_start", "starts, as a batch"],
    ["batch_end", "ends, as a batch"],
    ["broadcast", "messages of a broadcast, handled"],
    ["cleanup", "expired sessions swept"],
    ["call_missing", "calls that find no session"],
    ["start_refused", "starts that are refused"]
  ])

const growthTables = [
  ["create", "Creates per second"],
  ["bytes", "Bytes a session"],
  ["lookup", "Lookups per second"],
  ["end", "Ends per second"],
  ["sweep_ms", "Milliseconds of a sweep with nothing expired"]
] as const

/** The section of the growth suite: a table for each figure, with a row for each size. */
export const growthSection = (columns: ReadonlyArray<Column>, sizes: ReadonlyArray<number>): string =>
  growthTables.map(([figure, title]) =>
    compare(title, columns, sizes.map((size) => [`${figure}@${size}`, `${count(size)} sessions`]))
  ).join("\n\n")

/** The growth curve of one subject: what one operation costs at each size. */
export const growthCurve = (figures: Figures, sizes: ReadonlyArray<number>): string => {
  const micros = (figure: string) => {
    const value = figures[figure]
    return value === undefined ? "-" : digits(1e6 / value)
  }
  return table(
    ["sessions", "create, µs", "touch, µs", "lookup, µs", "end, µs", "bytes", "empty sweep, ms"],
    sizes.map((size) => [
      count(size),
      ...["create", "touch", "lookup", "end"].map((name) => micros(`${name}@${size}`)),
      figures[`bytes@${size}`] === undefined ? "-" : count(figures[`bytes@${size}`]!),
      figures[`sweep_ms@${size}`] === undefined ? "-" : figures[`sweep_ms@${size}`]!.toFixed(2)
    ])
  )
}

type Grade = "good" | "fair" | "warning"

const grade = (value: number, good: number, warning: number): Grade =>
  good > warning
    ? value > good ? "good" : value < warning ? "warning" : "fair"
    : value < good
    ? "good"
    : value > warning
    ? "warning"
    : "fair"

/** The smallest size that counts for the curve. Below it, fixed costs and the compiler's warm-up dominate. */
const leastOfCurve = 1_000

/** The verdicts. Their thresholds do not depend on the speed of the machine. */
export const verdicts = (figures: Figures, sizes: ReadonlyArray<number>): ReadonlyArray<string> => {
  const value = (name: string) => figures[name] ?? NaN
  const curve = sizes.filter((size) => size >= leastOfCurve)
  const first = curve[0]!
  const last = curve[curve.length - 1]!
  // The cost of starting, touching, finding and ending one session.
  const life = (size: number) =>
    ["create", "touch", "lookup", "end"].reduce((sum, name) => sum + 1e6 / value(`${name}@${size}`), 0)
  const bytes = curve.map((size) => value(`bytes@${size}`))
  const spread = Math.max(...bytes) / Math.min(...bytes)
  const lookup = 1000 / value(`lookup@${last}`)
  const sweep = value(`sweep_ms@${last}`)
  const growth = last / first
  const line = (grade: Grade, text: string) => `${grade}: ${text}`
  return [
    line(
      grade(value("creates_per_s"), 10_000, 1_000),
      `${count(value("creates_per_s"))} creates a second (good: over 10,000, warning: under 1,000)`
    ),
    line(
      grade(lookup, 1, 10),
      `${lookup.toPrecision(2)} ms a lookup among ${count(last)} sessions (good: under 1, warning: over 10)`
    ),
    line(
      grade(value("bytes_per_session"), 10_240, 102_400),
      `${count(value("bytes_per_session"))} bytes a session (good: under 10 KB, warning: over 100 KB)`
    ),
    line(
      grade(spread, 1.5, 3),
      `memory from ${count(first)} to ${count(last)} sessions is linear to a factor of ${spread.toFixed(2)} ` +
        "(good: under 1.5, warning: over 3)"
    ),
    line(
      grade(life(last) / life(first), Math.cbrt(growth), growth / 2),
      `to start, touch, find and end one takes ${life(first).toFixed(1)} µs among ${count(first)} sessions and ` +
        `${life(last).toFixed(1)} µs among ${count(last)}, ${(life(last) / life(first)).toFixed(1)} times as long ` +
        `(good: under ${digits(Math.cbrt(growth))}, warning: over ${digits(growth / 2)})`
    ),
    line(
      grade(sweep, 10, 100),
      `${sweep.toFixed(2)} ms for a sweep with nothing expired among ${
        count(last)
      } sessions (good: under 10, warning: ` +
        "over 100)"
    )
  ]
}
