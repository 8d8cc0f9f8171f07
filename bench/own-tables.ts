/**
 * What do the figures of the suites that only this library runs say? Tables of the figures, each beside its baseline and its
 * target.
 */
import type { Figures } from "./Subject.ts"
import { count, table } from "./tables.ts"

/** The section of the sleep suite. */
export const sleepSection = (figures: Figures): string => {
  const of = (name: string) => figures[`sleep_${name}`]!
  return table(["Sessions that hibernate", "figure", "aim"], [
    ["bytes of one, its state (a number) and its place among others included", count(of("bytes")), "400 or less"],
    ["fall asleep a second", count(of("hibernate")), "100,000 or more"],
    ["wake up for a call a second", count(of("wake")), "100,000 or more"]
  ])
}

/** The section of the store suite. */
export const storeSection = (figures: Figures): string => {
  const of = (name: string) => figures[`store_${name}`]!
  return table(["Stores", "figure", "aim"], [
    ["casts a second to a plain session, as Effects", count(of("cast")), "-"],
    ["dispatches a second through one reducer", count(of("dispatch")), "-"],
    ["dispatches over casts", (of("dispatch") / of("cast")).toFixed(2), "0.70 or more"],
    [
      "what history takes of the dispatch rate",
      `${Math.round(100 * (1 - of("history") / of("dispatch")))} %`,
      "under 25 %"
    ],
    ["ns a dispatch for each watcher whose selection stays", of("watcher_ns").toFixed(0), "under 1,000"],
    ["bytes a session with 20 items, without history", count(of("bytes")), "-"],
    ["the same with a history of 100 steps", count(of("bytes_history")), "-"],
    ["how many times more", (of("bytes_history") / of("bytes")).toFixed(1), "under 3.0"]
  ])
}

/** The section of the realtime suite. */
export const realtimeSection = (figures: Figures): string => {
  const of = (name: string) => figures[name]!
  const micros = (name: string) => of(name).toFixed(1)
  return table(["Presence, groups and inboxes", "figure", "aim"], [
    ["a topic of 10,000 keys: bytes a key, with the Scope that holds it", count(of("present_bytes")), "1,024 or less"],
    [
      "µs until one has joined: median, 99th percentile",
      `${micros("present_join_p50_us")}, ${micros("present_join_p99_us")}`,
      "-"
    ],
    [
      "µs until one has left: median, 99th percentile",
      `${micros("present_leave_p50_us")}, ${micros("present_leave_p99_us")}`,
      "-"
    ],
    ["ns of a change for each who follows a topic of 100 keys", count(of("present_small_ns")), "-"],
    ["the same, of 10,000", count(of("present_large_ns")), "about as many"],
    ["a broadcast to a group of 10,000 sessions: deliveries a second", count(of("groups_group")), "1,000,000 or more"],
    ["the same, to all sessions of a kind", count(of("groups_all")), "1,000,000 or more"],
    ["casts a second to plain sessions", count(of("inbox_cast")), "-"],
    ["pushes a second into full inboxes", count(of("inbox_push")), "-"],
    ["pushes over casts", of("inbox_ratio").toFixed(2), "0.50 or more"]
  ])
}

/** The section of the edge suite. */
export const edgeSection = (figures: Figures): string => {
  const of = (name: string) => figures[`edge_${name}`]!
  const storm = figures["edge_storm_served"]
  const idle = figures["edge_idle"]
  const beyond = (name: "heap" | "rss") => count(of(`idle_${name}`) - of(`idle_bare_${name}`))
  return table(["HTTP and WebSockets", "figure", "beside it", "aim"], [
    [
      "µs that a session's cookie adds to a request, beside a bare one",
      of("cookie_us").toFixed(1),
      of("bare_us").toFixed(1),
      "5 or less"
    ],
    [
      "the same when the cookie is seen for the first time",
      of("cookie_first_us").toFixed(1),
      of("bare_us").toFixed(1),
      "-"
    ],
    ...(storm === undefined ? [["sockets: in full runs, if enough files may be open (ulimit -n)", "-", "-", "-"]] : [
      [`of ${count(of("storm_size"))} sockets opened at once, served`, count(storm), "-", "all"],
      ["ms until all have their first state, beside ws", count(of("storm_ms")), count(of("storm_bare_ms")), "-"],
      [
        "ms of one handshake with a token, median, beside ws",
        of("handshake_p50_ms").toFixed(2),
        of("handshake_bare_p50_ms").toFixed(2),
        "-"
      ],
      ["the same, 99th percentile", of("handshake_p99_ms").toFixed(2), of("handshake_bare_p99_ms").toFixed(2), "-"]
    ]),
    ...(storm === undefined ?
      [] :
      idle === undefined ?
      [["idle sockets: if enough files may be open (ulimit -n)", "-", "-", "-"]] :
      [
        [
          `bytes of each of ${count(idle)} idle sockets with a session, heap, beside ws`,
          count(of("idle_heap")),
          count(of("idle_bare_heap")),
          "-"
        ],
        ["beyond those of ws", beyond("heap"), "-", "15,360 or less"],
        ["the same, resident", count(of("idle_rss")), count(of("idle_bare_rss")), "-"],
        ["beyond those of ws, resident", beyond("rss"), "-", "15,360 or less"]
      ])
  ])
}

/** The section of the live suite. */
export const liveSection = (figures: Figures): string => {
  const of = (name: string) => figures[`live_${name}`]!
  const beside = (label: string, name: string, aim: string, show: (value: number) => string = count) => {
    const [row, figure] = [name.slice(0, name.indexOf("_")), name.slice(name.indexOf("_") + 1)]
    const value = of(`${row}_live_${figure}`)
    const other = of(`${row}_wire_${figure}`)
    return [label, show(value), `${show(other)} (${(value / other).toFixed(2)})`, aim]
  }
  const millis = (micros: number) => (micros / 1_000).toFixed(1)
  const ahead = "less than beside it"
  return table(["Live views over WebSockets", "figure", "Socket.IO (ours over it)", "aim"], [
    beside("µs from a change to the patch at one client, median", "one_p50_us", ahead),
    beside("the same, 99th percentile", "one_p99_us", ahead),
    [
      "of Socket.IO with its own client: median, 99th percentile",
      "-",
      `${count(of("one_io_p50_us"))}, ${count(of("one_io_p99_us"))}`,
      "-"
    ],
    beside("µs of the server's processor for a change", "one_cpu_us", "-"),
    beside("ms until all of 1,000 clients of one session have a change, median", "crowd_p50_us", ahead, millis),
    beside("the same, 99th percentile", "crowd_p99_us", ahead, millis),
    beside("ms of the server's processor for a change, acknowledgements included", "crowd_cpu_us", "-", millis),
    beside("1,000 sessions with a client each: patches delivered a second", "carts_delivered_per_s", "-"),
    beside("µs from a change to the patch, median", "carts_p50_us", ahead),
    beside("the same, 99th percentile", "carts_p99_us", ahead),
    beside("µs of the server's processor for a change", "carts_cpu_us", "-"),
    ["ns of a message to a session that nobody watches", count(of("bare_ns")), "-", "-"],
    ["added by a view: what changed, as JSON", count(of("viewed_ns")), "-", "-"],
    [
      "added by a view that a socket is told of",
      count(of("watched_ns")),
      "-",
      "-"
    ],
    ["bytes on the wire of a random edit of a cart of 20 items", count(of("patch_bytes")), "-", "-"],
    [
      "the same, when the whole cart is sent",
      `${count(of("whole_bytes"))} (${(of("whole_bytes") / of("patch_bytes")).toFixed(1)} times as many)`,
      "-",
      "-"
    ]
  ])
}

/** The section of the million suite. */
export const millionSection = (figures: Figures): string => {
  const of = (name: string) => figures[`million_${name}`]!
  const all = of("count")
  const mega = (bytes: number) => count(bytes / 2 ** 20)
  const micros = (value: number) => value.toFixed(1)
  const beside = (label: string, name: string) => {
    const [kind, figure] = [name.slice(0, name.indexOf("_")), name.slice(name.indexOf("_") + 1)]
    const [value, alone] = [of(name), of(`${kind}_alone_${figure}`)]
    return [label, micros(value), `${micros(alone)} (${(value / alone).toFixed(1)})`]
  }
  return table([`${count(all)} sessions, ${count(of("active"))} of them active`, "figure", "these alone (over them)"], [
    ["starts a second, all the way", count(of("create")), "-"],
    [
      `the same, of the first and the last ${count(all / 10)}`,
      `${count(of(`create@${all / 10}`))}, ${count(of(`create@${all}`))}`,
      "-"
    ],
    ["all awake: MB of heap, resident", `${mega(of("awake_heap"))}, ${mega(of("awake_rss"))}`, "-"],
    ["bytes of heap a session", count(of("awake_heap") / all), "-"],
    ["how many fall asleep", count(of("asleep")), "-"],
    ["ms until they have, in passes every 100 ms", count(of("rest_ms")), "-"],
    ["the longest pass, ms", of("rest_longest_ms").toFixed(1), "-"],
    ["µs of a pass when there is nobody to put to sleep", micros(of("rest_idle_us")), "-"],
    ["the others asleep: MB of heap, resident", `${mega(of("asleep_heap"))}, ${mega(of("asleep_rss"))}`, "-"],
    ["bytes of heap a session, awake or not", count(of("asleep_heap") / all), "-"],
    beside("µs of a call to an active one, median", "call_p50_us"),
    beside("the same, 99th percentile", "call_p99_us"),
    beside("the same, 99.9th percentile", "call_p999_us"),
    beside("the same, the longest", "call_max_us"),
    beside("µs of a call that wakes one, median", "wake_p50_us"),
    beside("the same, 99th percentile", "wake_p99_us"),
    beside("the same, the longest", "wake_max_us"),
    ["µs of a sweep when none has expired", micros(of("sweep_empty_us")), micros(of("alone_sweep_empty_us"))],
    [
      `ms of a sweep when ${count(of("active"))} have`,
      of("sweep_ms").toFixed(1),
      `${of("alone_sweep_ms").toFixed(1)} (${(of("sweep_ms") / of("alone_sweep_ms")).toFixed(1)})`
    ]
  ])
}

/** The stores of the snapshots suite, by the name of their figures. */
export const stores = [["sqlite", "SQLite"], ["postgres", "PostgreSQL"], ["redis", "Redis"]] as const

/** The section of the snapshots suite, and of the writeBehind suite. */
export const snapshotsSection = (figures: Figures): string => {
  const throughput = stores.map(([name, title]) => {
    const of = (suffix: string) => figures[`snapshots_${name}${suffix}`]
    const label = `snapshots a second: ${title}`
    return of("") === undefined
      ? [label, "not installed", "-", "0.50 or more"]
      : [label, count(of("")!), `${count(of("_raw")!)} (${of("_ratio")!.toFixed(2)})`, "0.50 or more"]
  })
  const of = (name: string) => figures[`behind_${name}`]!
  const behind = (["memory", "sqlite"] as const).flatMap((name) => [
    [`casts a second, saved behind in ${name}`, count(of(name)), count(of("plain")), "-"],
    [
      "what that takes of the rate of those that are not saved",
      `${Math.round(100 * of(`${name}_takes`))} %`,
      "-",
      "20 % or less"
    ],
    [
      "a turn for others and a call, 99th percentile",
      `${Math.round(of(`${name}_p99_us`))} µs`,
      `${Math.round(of("plain_p99_us"))} µs (${(of(`${name}_p99_us`) / of("plain_p99_us")).toFixed(2)})`,
      "1.5 times or less"
    ],
    ["snapshots written a second meanwhile", count(of(`${name}_written`)), "-", "-"]
  ])
  return table(["Snapshots", "figure", "beside it (ours over it)", "aim"], [...throughput, ...behind])
}

/** The section of the cluster suite. */
export const clusterSection = (figures: Figures): string => {
  const of = (name: string) => figures[`cluster_${name}`]!
  const beside = (label: string, name: string, baseline: string, aim: string) => [
    label,
    count(of(name)),
    count(of(baseline)),
    `${(of(name) / of(baseline)).toPrecision(3)}×`,
    aim
  ]
  const inFlight = [["1", "one at a time"], ["100", "100 in flight"]] as const
  const millis = (label: string, name: string, aim: string) => [label, `${count(of(name))} ms`, "-", "-", aim]
  return table(["Sessions on several nodes", "figure", "beside it", "ratio", "aim"], [
    ...inFlight.map(([n, text]) =>
      beside(
        `local calls a second, ${text}, beside one process without a cluster`,
        `local@${n}`,
        `plain@${n}`,
        "0.95 or more"
      )
    ),
    ...inFlight.map(([n, text]) =>
      beside(`the same, beside entities of effect/cluster, ${text}`, `local@${n}`, `local_entity@${n}`, "50 or more")
    ),
    ...inFlight.map(([n, text]) =>
      beside(
        `calls a second to another node, ${text}, beside entities`,
        `remote@${n}`,
        `remote_entity@${n}`,
        n === "1" ? "2.5 or more" : "5 or more"
      )
    ),
    beside("bytes a session, beside an entity", "bytes", "bytes_entity", "0.15 or less"),
    ...(figures["cluster_move_ms"] === undefined ? [] : [
      millis(`SIGTERM: ${count(of("moved"))} changed sessions handed over`, "move_ms", "under 1,500"),
      millis("until all of them were reached again, by 100 clients", "reach_ms", "under 3,000"),
      millis("the longest pause of a caller", "term_pause_ms", "under 1,000"),
      millis("SIGKILL: the longest pause of a caller", "kill_pause_ms", "under 5,000")
    ])
  ])
}
