/**
 * The plots of a report, as SVG on white, readable on light and dark pages.
 */
import { BarChart, LineChart } from "echarts/charts"
import { GridComponent, LegendComponent, TitleComponent } from "echarts/components"
import { type EChartsCoreOption, init, use } from "echarts/core"
import { SVGRenderer } from "echarts/renderers"
import { stores } from "./own-tables.ts"
import type { Results } from "./report.ts"
import type { Figures } from "./Subject.ts"

use([BarChart, LineChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer])

export interface Plot {
  /** The name of its file. */
  readonly name: string
  readonly title: string
  /** The section of the report that it belongs to. */
  readonly section: string
  readonly svg: string
}

interface Series {
  readonly name: string
  readonly data: ReadonlyArray<readonly [x: number, y: number]>
}

interface Drawing extends Omit<Plot, "svg"> {
  readonly option: EChartsCoreOption
}

const [width, height] = [760, 380]

const render = ({ name, option, section, title }: Drawing): Plot => {
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height })
  chart.setOption({
    animation: false,
    backgroundColor: "#ffffff",
    title: { text: title, left: "center", top: 8, textStyle: { fontSize: 15 } },
    // Without a browser, the width of a text is unknown.
    legend: { top: 36, itemGap: 36 },
    grid: { left: 80, right: 40, top: 84, bottom: 52 },
    ...option
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return { name, section, title, svg: `${svg.trimEnd()}\n` }
}

const short = (value: number): string =>
  value >= 1_000_000 ? `${value / 1_000_000}M` : value >= 1_000 ? `${value / 1_000}k` : String(value)

const lines = (all: ReadonlyArray<Series>) =>
  all.filter(({ data }) => data.length > 0).map((one) => ({ ...one, type: "line", symbolSize: 7 }))

const sessionsAxis = (type: "log" | "value") => ({
  type,
  name: "sessions",
  nameLocation: "middle",
  nameGap: 30,
  axisLabel: { formatter: short }
})

const valueAxis = (name: string) => ({
  type: "value",
  name,
  nameTextStyle: { align: "left" },
  axisLabel: { formatter: short }
})

/** A figure of the growth suite at each size, for all subjects that have it. */
const bySize = ({ columns, plan }: Results, figure: string): ReadonlyArray<Series> =>
  columns.map(({ figures, name }) => ({
    name,
    data: plan.sizes.flatMap((size) => {
      const value = figures?.[`${figure}@${size}`]
      return value === undefined ? [] : [[size, value] as const]
    })
  }))

const growth = (results: Results): ReadonlyArray<Drawing> => {
  const { figures } = results.columns[0]
  const total = figures["million_count"]
  const resting: ReadonlyArray<Series> = total === undefined
    ? []
    : [{ name: "99 % asleep", data: [[total, figures["million_asleep_heap"]! / total]] }]
  return [
    {
      name: "creates-by-size",
      title: "Creates a second, by how many are created",
      section: "By size",
      option: {
        xAxis: sessionsAxis("log"),
        yAxis: valueAxis("a second"),
        series: lines(bySize(results, "create"))
      }
    },
    {
      name: "heap-by-size",
      title: "Bytes of heap a session, by their number",
      section: "By size",
      option: {
        xAxis: sessionsAxis("log"),
        yAxis: valueAxis("bytes"),
        series: lines([...bySize(results, "bytes"), ...resting])
      }
    }
  ]
}

const creates = (figures: Figures): ReadonlyArray<Drawing> => {
  const total = figures["million_count"]
  if (total === undefined) return []
  const steps = Array.from({ length: 10 }, (_, i) => (i + 1) * total / 10)
  return [{
    name: "creates-to-a-million",
    title: "Creates a second on the way to a million sessions",
    section: "A million sessions",
    option: {
      legend: { show: false },
      xAxis: sessionsAxis("value"),
      yAxis: valueAxis("a second, of the last 100k"),
      series: lines([{
        name: "effect-sessions",
        data: steps.map((step) => [step, figures[`million_create@${step}`]!])
      }])
    }
  }]
}

const percentiles = [["p50", "median"], ["p90", "90 %"], ["p99", "99 %"], ["p999", "99.9 %"], [
  "max",
  "longest"
]] as const

const latencies = (figures: Figures): ReadonlyArray<Drawing> => {
  if (figures["million_call_p50_us"] === undefined) return []
  const bars = (name: string, prefix: string) => ({
    name,
    type: "bar",
    data: percentiles.map(([share]) => figures[`million_${prefix}_${share}_us`]!),
    label: {
      show: true,
      position: "top",
      fontSize: 9,
      formatter: ({ value }: { readonly value: number }) =>
        value >= 1_000 ? `${Math.round(value / 1_000)}k` : value >= 100 ? String(Math.round(value)) : value.toFixed(1)
    }
  })
  return [{
    name: "latency-among-a-million",
    title: "Calls to the active 1 % of a million sessions, and to the same alone",
    section: "A million sessions",
    option: {
      xAxis: { type: "category", data: percentiles.map(([, label]) => label) },
      yAxis: { ...valueAxis("µs"), type: "log", min: 0.1, startValue: 0.1 },
      series: [
        bars("call", "call"),
        bars("call, alone", "call_alone"),
        bars("call that wakes", "wake"),
        bars("call that wakes, alone", "wake_alone")
      ]
    }
  }]
}

const snapshots = (figures: Figures): ReadonlyArray<Drawing> => {
  const there = stores.filter(([name]) => figures[`snapshots_${name}`] !== undefined)
  if (there.length === 0) return []
  const bars = (title: string, suffix: string) => ({
    name: title,
    type: "bar",
    data: there.map(([name]) => Math.round(figures[`snapshots_${name}${suffix}`]!)),
    label: {
      show: true,
      position: "top",
      formatter: ({ value }: { readonly value: number }) => value.toLocaleString("en-US")
    }
  })
  return [{
    name: "snapshots",
    title: "Snapshots a second in batches of 256",
    section: "Snapshots",
    option: {
      xAxis: { type: "category", data: there.map(([, title]) => title) },
      yAxis: valueAxis("a second"),
      series: [bars("through the store", ""), bars("the same bytes, bare", "_raw")]
    }
  }]
}

/** The plots of the measured figures. */
export const draw = (results: Results): ReadonlyArray<Plot> => {
  const { figures } = results.columns[0]
  return [...creates(figures), ...latencies(figures), ...snapshots(figures), ...growth(results)].map(render)
}
