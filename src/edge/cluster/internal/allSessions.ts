/**
 * `Sessions` for all nodes of a cluster, and the part that each node does of it.
 */
import * as Effect from "effect/Effect"
import type * as SessionRef from "../../../contract/SessionRef.ts"
import type { Count, Health, Sessions, Stats } from "../../../runtime/Sessions.ts"
import type { ClusterSessions } from "./ClusterSessions.ts"
import { endOptionsOf, type Everywhere } from "./Everywhere.ts"
import type { Json } from "./peers/model.ts"
import type { ServedKind, ServeNode } from "./Server.ts"

type Service = Sessions["Service"]

const add = (counts: ReadonlyArray<Count>): Count => {
  const kinds: Record<string, number> = {}
  let count = 0
  let limit = 0
  for (const one of counts) {
    count += one.count
    limit += one.limit
    for (const [kind, n] of Object.entries(one.kinds)) kinds[kind] = (kinds[kind] ?? 0) + n
  }
  return { count, limit, utilisation: 100 * count / limit, kinds }
}

/** Adds numbers, and those of nested records. */
const sumOf = (one: any, other: any): any => {
  if (typeof one === "number") return one + (typeof other === "number" ? other : 0)
  const all: Record<string, unknown> = { ...one }
  for (const [key, value] of Object.entries(other ?? {})) all[key] = key in all ? sumOf(all[key], value) : value
  return all
}

const addStats = (all: ReadonlyArray<Stats>): Stats => {
  const counted = add(all)
  const heaps = all.map(({ heapBytes }) => heapBytes ?? undefined).filter((bytes) => bytes !== undefined)
  const measured = all.filter(({ averageBytes, count }) => typeof averageBytes === "number" && count > 0)
  const sessions = measured.reduce((sum, { count }) => sum + count, 0)
  return {
    ...counted,
    totals: all.reduce((sum, { totals }) => sumOf(sum, totals), {}),
    heapBytes: heaps.length === 0 ? undefined : heaps.reduce((sum, bytes) => sum + bytes, 0),
    averageBytes: sessions === 0
      ? undefined
      : Math.round(measured.reduce((sum, { averageBytes, count }) => sum + averageBytes! * count, 0) / sessions)
  }
}

export const allSessions = (
  here: Service,
  kinds: ReadonlyMap<string, ServedKind>,
  everywhere: Everywhere
): Service => ({
  ...here,
  count: Effect.map(everywhere.gather(here.count, "counts"), add),
  stats: Effect.map(everywhere.gather(here.stats, "stats"), addStats),
  health: Effect.map(
    everywhere.gather(here.health, "health"),
    (all) => all.reduce<Health>(sumOf, { total: 0, healthy: 0, crashed: 0 })
  ),
  sweep: Effect.map(everywhere.gather(here.sweep, "sweep"), (counts) => counts.reduce((sum, count) => sum + count, 0)),
  liveOfUser: (user) =>
    Effect.map(everywhere.gather(addressesOf(here, user), "ofUser", user), (live) => refsOf(kinds, live.flat())),
  // Sessions of kinds that are not stored are found where they are, the others also where they are stored.
  ofUser: (user) =>
    Effect.gen(function*() {
      const stored = yield* here.ofUser(user)
      const live = yield* everywhere.gather(addressesOf(here, user), "ofUser", user)
      const refs = new Map<string, SessionRef.Any>(stored.map((ref) => [`${ref.kind}/${ref.id}`, ref]))
      for (const ref of refsOf(kinds, live.flat())) {
        const key = `${ref.kind}/${ref.id}`
        if (!refs.has(key)) refs.set(key, ref)
      }
      return Array.from(refs.values())
    })
})

interface Address {
  readonly kind: string
  readonly id: string
}

/** Without those of kinds that the program of this node does not have. */
const refsOf = (kinds: ReadonlyMap<string, ServedKind>, addresses: ReadonlyArray<Address>): Array<SessionRef.Any> =>
  addresses.flatMap(({ id, kind }) => {
    const served = kinds.get(kind)
    return served === undefined ? [] : [served.local.ref(id)]
  })

const addressesOf = (here: Service, user: string) =>
  Effect.map(here.liveOfUser(user), (refs) => refs.map(({ id, kind }) => ({ id, kind })))

/** Does the part of this node. */
export const serveNode = (kinds: ReadonlyMap<string, ServedKind>, here: () => Service): ServeNode => (op, rest) =>
  Effect.suspend((): Effect.Effect<Json, unknown> => {
    switch (op) {
      case "counts":
        return here().count
      case "stats":
        return here().stats
      case "health":
        return here().health
      case "sweep":
        return here().sweep
      case "ofUser":
        return addressesOf(here(), rest[0] as string)
    }
    const served = kinds.get(rest[0] as string)
    // A node of another version may not have the kind, and has none of its sessions then.
    if (served === undefined) return Effect.succeed(nothing[op] ?? null)
    const { codec } = served
    const local = served.local as ClusterSessions
    switch (op) {
      case "list":
        return local.idsHere
      case "count":
        return local.countHere
      case "match": {
        const pattern = rest[1] as string | [source: string, flags: string]
        return local.matchHere(typeof pattern === "string" ? pattern : new RegExp(...pattern))
      }
      case "broadcast": {
        const message = codec.message(rest[1] as string)
        return message === undefined
          ? Effect.succeed(0)
          : Effect.suspend(() => local.broadcastHere(rest[1] as string, message.decodePayload(rest[2])))
      }
      case "endAll":
        return Effect.map(local.endAllHere(endOptionsOf(rest[1], rest[2])), (ends) => Array.from(ends))
      default:
        return Effect.die(new Error(`there is no operation ${op}`))
    }
  })

const nothing: Readonly<Record<string, Json>> = { list: [], match: [], endAll: [], count: 0, broadcast: 0 }
