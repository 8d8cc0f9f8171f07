import * as Redis from "effect/persistence/Redis"
import type { Key, Snapshot } from "../../../contract/SnapshotStore.ts"
import { escape } from "./text.ts"

/**
 * The layout in Redis. Each name follows the prefix:
 *
 * - `s/KIND/ID`, a hash: `e` epoch, `x` whether the epoch was ended, `t` term (missing: 0), and of the snapshot `n` epoch, `v` version, `f` format,
 *   `b` body, `s` saved, `d` expiry and `a` alarm (empty: none), `u` user (`=NAME`, empty: nobody);
 * - `ids/KIND`, a sorted set of the ids that have a snapshot;
 * - `users/KIND/NAME`, a sorted set of the ids that belong to a user;
 * - `alarms/KIND`, a sorted set of ids by alarm;
 * - `expiries`, a sorted set of `KIND/ID` by expiry;
 * - `empty`, a sorted set of `KIND/ID` without a snapshot, by the time they were touched;
 * - `floor`, the highest epoch that was forgotten;
 * - `quarantine`, a hash of the entries of the quarantine as JSON, by their identity.
 */
const shared = `
local prefix = KEYS[1]
local function keyOf(kind, id) return prefix .. "s/" .. kind .. "/" .. id end
local function own(kind, id, from, to)
  if from == to then return end
  if from ~= "" then redis.call("ZREM", prefix .. "users/" .. kind .. "/" .. string.sub(from, 2), id) end
  if to ~= "" then redis.call("ZADD", prefix .. "users/" .. kind .. "/" .. string.sub(to, 2), 0, id) end
end
local function drop(kind, id, now)
  own(kind, id, redis.call("HGET", keyOf(kind, id), "u") or "", "")
  redis.call("HDEL", keyOf(kind, id), "n", "v", "f", "b", "s", "d", "a", "u")
  redis.call("ZREM", prefix .. "ids/" .. kind, id)
  redis.call("ZREM", prefix .. "alarms/" .. kind, id)
  redis.call("ZREM", prefix .. "expiries", kind .. "/" .. id)
  redis.call("ZADD", prefix .. "empty", now, kind .. "/" .. id)
end
local function split(name)
  local at = string.find(name, "/", 1, true)
  return string.sub(name, 1, at - 1), string.sub(name, at + 1)
end
`

/** The fields of a snapshot, in the order of `fieldsOf`. */
export const fields = ["n", "v", "f", "s", "d", "a", "u", "b"] as const

/** A user as it is stored. */
export const userText = (user: string | null): string => user === null ? "" : `=${escape(user)}`

const fieldsOf = (snapshot: Snapshot): ReadonlyArray<string> => [
  String(snapshot.epoch),
  String(snapshot.version),
  String(snapshot.format),
  String(snapshot.savedAt),
  snapshot.expiresAt === null ? "" : String(snapshot.expiresAt),
  snapshot.alarmAt === null ? "" : String(snapshot.alarmAt),
  userText(snapshot.user),
  escape(snapshot.body)
]

const define = <Params extends ReadonlyArray<unknown>>(
  parameters: (...parameters: Params) => ReadonlyArray<string>,
  lua: string
) =>
  Redis.script((prefix: string, ...rest: Params) => [prefix, ...parameters(...rest)], {
    lua: shared + lua,
    numberOfKeys: 1
  })

/** Returns the epoch and the fields of the snapshot; if the claim is refused, `null` and the higher term. */
export const claim = define(
  (now: number, key: Key, atLeast: number, term: number | undefined) => [
    String(now),
    key.kind,
    key.id,
    String(atLeast),
    term === undefined ? "" : String(term)
  ],
  `
local now, kind, id, atLeast, term = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local key = keyOf(kind, id)
if term ~= "" then
  local known = redis.call("HGET", key, "t")
  if known and tonumber(term) < tonumber(known) then return { false, known } end
  redis.call("HSET", key, "t", term)
end
local stored = redis.call("HMGET", key, "e", "n", "v", "f", "s", "d", "a", "u", "b")
local floor = tonumber(redis.call("GET", prefix .. "floor") or "0")
local epoch = string.format("%.0f", math.max(atLeast, floor + 1, tonumber(stored[1] or "0") + 1))
redis.call("HSET", key, "e", epoch, "x", "0")
if not stored[2] then redis.call("ZADD", prefix .. "empty", now, kind .. "/" .. id) end
stored[1] = epoch
return stored`
).withReturnType<ReadonlyArray<string | null>>()

/** Returns 1 for each snapshot that was written, and 0 for the others. */
export const save = define(
  (snapshots: ReadonlyArray<Snapshot>) =>
    snapshots.flatMap((snapshot) => [snapshot.kind, snapshot.id, ...fieldsOf(snapshot)]),
  `
local written = {}
for i = 1, #ARGV, 10 do
  local kind, id, epoch, version = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local expiresAt, alarmAt, user = ARGV[i + 6], ARGV[i + 7], ARGV[i + 8]
  local key = keyOf(kind, id)
  local stored = redis.call("HMGET", key, "e", "x", "n", "v", "d", "a", "u")
  local accepted = true
  if stored[1] then
    local own, other = tonumber(epoch), tonumber(stored[1])
    accepted = own > other or (own == other and stored[2] == "0" and
      (not stored[3] or tonumber(stored[3]) < own or tonumber(stored[4]) <= tonumber(version)))
  end
  if accepted then
    redis.call("HSET", key, "e", epoch, "x", "0", "n", epoch, "v", version, "f", ARGV[i + 4], "s", ARGV[i + 5],
      "d", expiresAt, "a", alarmAt, "u", user, "b", ARGV[i + 9])
    own(kind, id, stored[7] or "", user)
    if not stored[3] then
      redis.call("ZADD", prefix .. "ids/" .. kind, 0, id)
      if stored[1] then redis.call("ZREM", prefix .. "empty", kind .. "/" .. id) end
    end
    if expiresAt ~= (stored[5] or "") then
      if expiresAt == "" then redis.call("ZREM", prefix .. "expiries", kind .. "/" .. id)
      else redis.call("ZADD", prefix .. "expiries", expiresAt, kind .. "/" .. id) end
    end
    if alarmAt ~= (stored[6] or "") then
      if alarmAt == "" then redis.call("ZREM", prefix .. "alarms/" .. kind, id)
      else redis.call("ZADD", prefix .. "alarms/" .. kind, alarmAt, id) end
    end
  end
  written[#written + 1] = accepted and 1 or 0
end
return written`
).withReturnType<ReadonlyArray<number>>()

/** Returns 1 for each key that is gone, and 0 for the others. */
export const remove = define(
  (now: number, keys: ReadonlyArray<Key & { readonly epoch: number }>) => [
    String(now),
    ...keys.flatMap(({ epoch, id, kind }) => [kind, id, String(epoch)])
  ],
  `
local gone = {}
for i = 2, #ARGV, 3 do
  local kind, id, epoch = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local stored = redis.call("HGET", keyOf(kind, id), "e")
  local accepted = not stored or tonumber(epoch) >= tonumber(stored)
  if accepted then
    redis.call("HSET", keyOf(kind, id), "e", epoch, "x", "1")
    drop(kind, id, ARGV[1])
  end
  gone[#gone + 1] = accepted and 1 or 0
end
return gone`
).withReturnType<ReadonlyArray<number>>()

/** Adds an entry to the quarantine, and deletes the snapshot if it is still the one that is stored. */
export const quarantine = define(
  (now: number, snapshot: Snapshot, name: string, text: string) => [
    String(now),
    snapshot.kind,
    snapshot.id,
    String(snapshot.epoch),
    String(snapshot.version),
    name,
    text
  ],
  `
local kind, id = ARGV[2], ARGV[3]
redis.call("HSETNX", prefix .. "quarantine", ARGV[6], ARGV[7])
local stored = redis.call("HMGET", keyOf(kind, id), "n", "v")
if stored[1] and tonumber(stored[1]) == tonumber(ARGV[4]) and tonumber(stored[2]) == tonumber(ARGV[5]) then
  drop(kind, id, ARGV[1])
end
return 1`
).withReturnType<number>()

/** Returns ids and times, alternating. */
export const alarms = define(
  (kind: string, until: number, limit: number) => [kind, until === Infinity ? "+inf" : String(until), String(limit)],
  `return redis.call("ZRANGEBYSCORE", prefix .. "alarms/" .. ARGV[1], "-inf", ARGV[2], "WITHSCORES", "LIMIT", 0, ARGV[3])`
).withReturnType<ReadonlyArray<string>>()

/** Returns ids, each followed by the fields of its head. `user` as it is stored; empty: of all users. */
export const list = define(
  (
    kind: string,
    user: string,
    from: string,
    before: string,
    limit: number
  ) => [kind, user, from, before, String(limit)],
  `
local kind, user = ARGV[1], ARGV[2]
local set = prefix .. "ids/" .. kind
if user ~= "" then set = prefix .. "users/" .. kind .. "/" .. string.sub(user, 2) end
local found = {}
for _, id in ipairs(redis.call("ZRANGEBYLEX", set, ARGV[3], ARGV[4], "LIMIT", 0, ARGV[5])) do
  found[#found + 1] = id
  for _, value in ipairs(redis.call("HMGET", keyOf(kind, id), "n", "v", "f", "s", "d", "a", "u")) do
    found[#found + 1] = value
  end
end
return found`
).withReturnType<ReadonlyArray<string>>()

/** Deletes at most `limit` snapshots that have expired, and returns their number. */
export const sweep = define(
  (now: number, limit: number) => [String(now), String(limit)],
  `
local expired = redis.call("ZRANGEBYSCORE", prefix .. "expiries", "-inf", "(" .. ARGV[1], "LIMIT", 0, ARGV[2])
for _, name in ipairs(expired) do
  local kind, id = split(name)
  drop(kind, id, ARGV[1])
end
return #expired`
).withReturnType<number>()

/** Forgets at most `limit` epochs, and returns their number. */
export const forget = define(
  (before: number, limit: number) => [String(before), String(limit)],
  `
local names = redis.call("ZRANGEBYSCORE", prefix .. "empty", "-inf", ARGV[1], "LIMIT", 0, ARGV[2])
local floor = tonumber(redis.call("GET", prefix .. "floor") or "0")
for _, name in ipairs(names) do
  local key = keyOf(split(name))
  floor = math.max(floor, tonumber(redis.call("HGET", key, "e") or "0"))
  redis.call("DEL", key)
  redis.call("ZREM", prefix .. "empty", name)
end
if #names > 0 then redis.call("SET", prefix .. "floor", string.format("%.0f", floor)) end
return #names`
).withReturnType<number>()
