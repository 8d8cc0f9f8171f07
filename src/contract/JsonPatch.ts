/**
 * The difference between two JSON values as an RFC 6902 patch, and its application.
 *
 * **When to use:** for states that share structure with their predecessor: parts that are the same by reference are not
 * compared. Unlike `effect/JsonPatch`, `diff` follows the items of an array by their identity, so that an insert, a
 * removal or a move within a list is one operation, and a patch is never (by a rough estimate) larger than the new value.
 *
 * **Details:** a key whose value is `undefined` counts as absent, as for `JSON.stringify`; the order of keys does not
 * matter. Keys such as `__proto__` are data: neither function reads or writes a prototype.
 *
 * @since 0.1.0
 */
import type { JsonPatchOperation } from "effect/JsonPatch"
import { escapeToken, unescapeToken } from "effect/JsonPointer"
import * as Schema from "effect/Schema"
import { taggedError } from "./internal/taggedError.ts"

type Json = Schema.Json
type JsonObject = { readonly [key: string]: Json }
type Items = ReadonlyArray<Json>

/**
 * An operation that {@link diff} makes: `add`, `remove`, `replace` or `move`.
 *
 * @since 0.1.0
 * @category models
 */
export type Operation = JsonPatchOperation | { readonly op: "move"; readonly from: string; readonly path: string }

/**
 * An operation that {@link apply} accepts: all six of RFC 6902.
 *
 * @since 0.1.0
 * @category models
 */
export type AnyOperation =
  | Operation
  | { readonly op: "copy"; readonly from: string; readonly path: string }
  | { readonly op: "test"; readonly path: string; readonly value: Json }

/**
 * The patch does not fit the value: it is malformed, a path does not exist, or a `test` failed. {@link apply} throws it and
 * changes nothing; request the whole value instead. `index` is the index of the operation in the patch.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidPatch
  extends taggedError<InvalidPatch>()("InvalidPatch", { index: Schema.Int }, { status: 400, retrySafe: false })
{}

/**
 * The properties that identify the items of an array when {@link diff} is given no others, in order of preference:
 * `id`, then `key`.
 *
 * @since 0.1.0
 * @category constants
 */
export const identity: ReadonlyArray<string> = ["id", "key"]

const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const own = (object: JsonObject, key: string): Json | undefined => Object.hasOwn(object, key) ? object[key] : undefined

/**
 * `true` if the two values are equal as JSON.
 *
 * @since 0.1.0
 * @category comparing
 */
export const equals = (a: Json | undefined, b: Json | undefined): boolean => {
  if (a === b) return true
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => equals(item, b[index]))
  }
  return isObject(a) && isObject(b) && Object.keys(a).every((key) => equals(a[key], own(b, key))) &&
    Object.keys(b).every((key) => b[key] === undefined || Object.hasOwn(a, key))
}

/** The approximate length of the value as JSON text. Stops counting beyond the limit. */
const sizeOf = (value: Json | undefined, limit: number): number => {
  if (typeof value === "string") return value.length + 2
  if (typeof value !== "object" || value === null) return 4
  let size = 2
  const array = Array.isArray(value)
  for (const key of array ? value.keys() : Object.keys(value)) {
    if (size > limit) break
    size += (array ? 1 : (key as string).length + 4) + sizeOf((value as any)[key], limit - size)
  }
  return size
}

interface Draft {
  /** The properties that identify the items of arrays, in order of preference. */
  readonly identify: ReadonlyArray<string>
  readonly operations: Array<Operation>
  /** The approximate length of the operations as JSON text. */
  size: number
}

const emit = (draft: Draft, operation: Operation): void => {
  draft.operations.push(operation)
  draft.size += 20 + operation.op.length + operation.path.length
  if (operation.op === "move") draft.size += 10 + operation.from.length
  else if (operation.op !== "remove") draft.size += 9 + sizeOf(operation.value, Infinity)
}

/**
 * The operations that turn `from` into `to`. There are none exactly when the two are equal as JSON.
 *
 * Objects are compared by key. Arrays are compared by the property that identifies their items: the first of `identify`
 * that holds a distinct string or number in every item that may have changed. Without such a property, they are compared
 * by index between their common head and tail. Where the operations would be larger than the new value, the result is one
 * `replace`. Neither value is changed; the operations refer to parts of `to`.
 *
 * ```ts
 * JsonPatch.diff([{ sku: "pen" }, { sku: "ink" }], [{ sku: "ink" }, { sku: "pen" }], ["sku"])
 * // [{ op: "move", from: "/0", path: "/1" }]
 * ```
 *
 * @since 0.1.0
 * @category transforming
 */
export const diff = (
  from: Json,
  to: Json,
  identify: ReadonlyArray<string> = identity
): ReadonlyArray<Operation> => {
  const draft: Draft = { identify, operations: [], size: 0 }
  visit(draft, "", from, to)
  return draft.operations
}

const visit = (draft: Draft, path: string, from: Json, to: Json): void => {
  if (from === to) return
  const { operations, size } = draft
  const start = operations.length
  if (Array.isArray(from) && Array.isArray(to)) visitArray(draft, path, from, to)
  else if (isObject(from) && isObject(to)) visitObject(draft, path, from, to)
  else return emit(draft, { op: "replace", path, value: to })
  // A `replace` is shorter if its value fits into `room`. Measuring the value costs no more than the length of the patch.
  const room = draft.size - size - 36 - path.length
  if (operations.length > start && sizeOf(to, room) < room) {
    operations.length = start
    draft.size = size
    emit(draft, { op: "replace", path, value: to })
  }
}

const visitObject = (draft: Draft, path: string, from: JsonObject, to: JsonObject): void => {
  for (const key of Object.keys(from)) {
    if (from[key] !== undefined && own(to, key) === undefined) {
      emit(draft, { op: "remove", path: `${path}/${escapeToken(key)}` })
    }
  }
  for (const key of Object.keys(to)) {
    const before = own(from, key)
    const value = to[key]
    if (value === before || value === undefined) continue
    const at = `${path}/${escapeToken(key)}`
    if (before === undefined) emit(draft, { op: "add", path: at, value })
    else visit(draft, at, before, value)
  }
}

const visitArray = (draft: Draft, path: string, from: Items, to: Items): void => {
  let start = 0
  let fromEnd = from.length
  let toEnd = to.length
  const trim = (same: (a: Json, b: Json) => boolean) => {
    while (start < fromEnd && start < toEnd && same(from[start]!, to[start]!)) start++
    while (start < fromEnd && start < toEnd && same(from[fromEnd - 1]!, to[toEnd - 1]!)) {
      fromEnd--
      toEnd--
    }
  }
  trim((a, b) => a === b)
  // The usual change is in one item.
  if (fromEnd === toEnd && toEnd === start + 1 && isSame(from[start]!, to[start]!, draft.identify)) {
    return visit(draft, `${path}/${start}`, from[start]!, to[start]!)
  }
  if (start < fromEnd && start < toEnd) {
    const before = from.slice(start, fromEnd)
    const after = to.slice(start, toEnd)
    for (const key of draft.identify) {
      const old = indexBy(before, key)
      const now = old && indexBy(after, key)
      if (old && now) return visitItems(draft, path, start, before, after, old, now)
    }
    trim(equals)
  }
  const shared = Math.min(fromEnd, toEnd)
  for (let i = start; i < shared; i++) visit(draft, `${path}/${i}`, from[i]!, to[i]!)
  for (let i = fromEnd - 1; i >= shared; i--) emit(draft, { op: "remove", path: `${path}/${i}` })
  for (let i = shared; i < toEnd; i++) emit(draft, { op: "add", path: `${path}/${i}`, value: to[i]! })
}

/** Whether these are two states of one item. */
const isSame = (before: Json, after: Json, identify: ReadonlyArray<string>): boolean => {
  if (!isObject(before) || !isObject(after)) return false
  const key = identify.find((key) => own(after, key) !== undefined)
  return key !== undefined && own(before, key) === own(after, key)
}

type Index = ReadonlyMap<Json, number>

const indexBy = (items: Items, key: string): Index | undefined => {
  const index = new Map<Json, number>()
  for (let i = 0; i < items.length; i++) {
    const item = items[i]
    const id = isObject(item) ? own(item, key) : undefined
    if ((typeof id !== "string" && typeof id !== "number") || index.has(id)) return undefined
    index.set(id, i)
  }
  return index
}

/** Compares items by identity: first removes, then moves and adds, then the changes within each item at its new index. */
const visitItems = (
  draft: Draft,
  path: string,
  offset: number,
  from: Items,
  to: Items,
  old: Index,
  now: Index
): void => {
  const at = (index: number) => `${path}/${offset + index}`
  // The new indices of the items that remain, in their old order, and the old item at each new index.
  const kept: Array<number> = []
  const previous = new Array<Json | undefined>(to.length).fill(undefined)
  for (const [id, i] of old) {
    const place = now.get(id)
    if (place === undefined) continue
    kept.push(place)
    previous[place] = from[i]!
  }
  const ids = [...old.keys()]
  for (let i = ids.length - 1; i >= 0; i--) if (!now.has(ids[i]!)) emit(draft, { op: "remove", path: at(i) })
  const stays = longestIncreasing(kept)
  if (stays.size < to.length) {
    // A fixed order of slots. Each item has two slots, one for its old and one for its new place: the items that move to
    // the place after an item that stays come first, then those that leave that place. An item's index is the number of
    // taken slots before its own.
    const home: Array<number> = []
    const goal: Array<number> = []
    let slots = 0
    let k = 0
    const leavers = () => {
      while (k < kept.length && !stays.has(kept[k]!)) home[kept[k++]!] = slots++
    }
    for (let place = 0; place < to.length; place++) {
      if (stays.has(place)) {
        leavers()
        home[place] = slots
        k++
      }
      goal[place] = slots++
    }
    leavers()
    const taken = new Int32Array(slots + 1) // a Fenwick tree
    const take = (slot: number, by: number) => {
      for (let i = slot + 1; i <= slots; i += i & -i) taken[i]! += by
    }
    const before = (slot: number) => {
      let count = 0
      for (let i = slot; i > 0; i -= i & -i) count += taken[i]!
      return count
    }
    for (const place of kept) take(home[place]!, 1)
    for (let place = 0; place < to.length; place++) {
      if (stays.has(place)) continue
      const moves = previous[place] !== undefined
      const index = moves ? before(home[place]!) : -1
      if (moves) take(home[place]!, -1)
      const target = before(goal[place]!)
      take(goal[place]!, 1)
      if (!moves) emit(draft, { op: "add", path: at(target), value: to[place]! })
      else if (index !== target) emit(draft, { op: "move", from: at(index), path: at(target) })
    }
  }
  for (let place = 0; place < to.length; place++) {
    const item = previous[place]
    if (item !== undefined && item !== to[place]) visit(draft, at(place), item, to[place]!)
  }
}

/** The members of a longest increasing subsequence of distinct numbers; linear when all increase. */
const longestIncreasing = (values: ReadonlyArray<number>): ReadonlySet<number> => {
  const tails: Array<number> = []
  const links = new Map<number, number | undefined>()
  for (const value of values) {
    let low = tails.length
    if (low > 0 && tails[low - 1]! > value) {
      let high = low - 1
      low = 0
      while (low < high) {
        const middle = (low + high) >> 1
        if (tails[middle]! < value) low = middle + 1
        else high = middle
      }
    }
    tails[low] = value
    links.set(value, tails[low - 1])
  }
  const members = new Set<number>()
  for (let value = tails.at(-1); value !== undefined; value = links.get(value)) members.add(value)
  return members
}

/** A list of at least this length is edited in blocks, after this many edits. */
const longList = 1_024
const manyEdits = 32

/** A list in blocks: an insert or a removal moves the items of one block only, not all items after it. */
class Blocks {
  length: number
  private readonly blocks: Array<Array<unknown>> = []

  constructor(items: ReadonlyArray<unknown>) {
    this.length = items.length
    for (let i = 0; i < items.length; i += longList / 2) this.blocks.push(items.slice(i, i + longList / 2))
  }

  /** The block that contains the index (which may be the length of the list), and the index within the block. */
  private find(index: number): readonly [block: Array<unknown>, place: number] {
    const { blocks } = this
    let i = 0
    while (i < blocks.length - 1 && index >= blocks[i]!.length) index -= blocks[i++]!.length
    return [blocks[i]!, index]
  }

  get(index: number): unknown {
    const [block, place] = this.find(index)
    return block[place]
  }

  splice(index: number, removed: number, ...added: ReadonlyArray<unknown>): void {
    const [block, place] = this.find(index)
    block.splice(place, removed, ...added)
    this.length += added.length - removed
    if (block.length > longList) {
      this.blocks.splice(this.blocks.indexOf(block), 1, block.slice(0, longList / 2), block.slice(longList / 2))
    }
  }

  writeTo(list: Array<unknown>): void {
    list.length = 0
    for (const block of this.blocks) for (const item of block) list.push(item)
  }
}

/**
 * Applies a patch and gives the new value. The old value is not changed, and parts that the patch does not touch keep their
 * reference.
 *
 * **Details:** the patch may come from outside the program. Throws {@link InvalidPatch} if it is malformed or does not fit;
 * then no part of it is applied. The root cannot be removed. `copy` shares the copied value and does not clone it.
 *
 * ```ts
 * JsonPatch.apply([{ op: "add", path: "/items/-", value: "pen" }], { items: ["ink"] })
 * // { items: ["ink", "pen"] }
 * ```
 *
 * @since 0.1.0
 * @category transforming
 */
export const apply = (patch: ReadonlyArray<AnyOperation>, value: Json): Json => {
  // A box holds the root, so that the root has a parent like every other value. Containers in `fresh` are copies made here,
  // which may be changed.
  const box: Array<any> = [value]
  let fresh = new Set<unknown>([box])
  /** Long lists, with the number of their edits, or their items in blocks, which `settle` writes back to the list. */
  const edited = new Map<unknown, number | Blocks>()
  let index = 0
  const fail = (why: string): never => {
    throw new InvalidPatch({ index, message: `operation ${index} of the patch: ${why}` })
  }
  const parse = (pointer: unknown): Array<string> => {
    if (typeof pointer !== "string" || (pointer !== "" && pointer[0] !== "/") || /~(?![01])/.test(pointer)) {
      return fail("it needs a JSON pointer")
    }
    return ["0", ...pointer.split("/").slice(1).map(unescapeToken)]
  }
  const blocksOf = (parent: unknown): Blocks | undefined => {
    if (edited.size === 0) return undefined
    const blocks = edited.get(parent)
    return typeof blocks === "object" ? blocks : undefined
  }
  const settle = () => {
    for (const [list, blocks] of edited) if (typeof blocks === "object") blocks.writeTo(list as Array<unknown>)
    edited.clear()
  }
  /** Inserts a value, or without one removes the item. */
  const edit = (list: Array<unknown>, key: number, ...value: ReadonlyArray<unknown>) => {
    let blocks = edited.size === 0 ? undefined : edited.get(list)
    if (typeof blocks !== "object" && list.length >= longList) {
      blocks = blocks === manyEdits ? new Blocks(list) : (blocks ?? 0) + 1
      edited.set(list, blocks)
    }
    const target = typeof blocks === "object" ? blocks : list
    target.splice(key, 1 - value.length, ...value)
  }
  /** The key in `parent` that the token names. It must exist, unless it may be `free` for an insert. */
  const keyOf = (parent: any, token: string, free = false): any => {
    if (Array.isArray(parent)) {
      const { length } = blocksOf(parent) ?? parent
      if (token === "-" && free) return length
      const key = /^(0|[1-9]\d*)$/.test(token) ? Number(token) : Infinity
      if (key < length + (free ? 1 : 0)) return key
    } else if (isObject(parent) && (free || Object.hasOwn(parent, token))) return token
    return fail(`${JSON.stringify(token.slice(0, 40))} does not exist`)
  }
  const get = (parent: any, key: any): any => {
    const blocks = blocksOf(parent)
    return blocks === undefined ? parent[key] : blocks.get(key)
  }
  const put = (parent: any, key: any, value: unknown) => {
    const blocks = blocksOf(parent)
    if (blocks !== undefined) blocks.splice(key, 1, value)
    else if (key !== "__proto__") parent[key] = value
    else Object.defineProperty(parent, key, { value, configurable: true, enumerable: true, writable: true })
  }
  const read = (tokens: ReadonlyArray<string>): any =>
    tokens.reduce((parent: any, token) => get(parent, keyOf(parent, token)), box)
  /** The container that the path leads to, without its last token. Containers on the way are copied. */
  const open = (tokens: ReadonlyArray<string>): any => {
    let parent: any = box
    for (const token of tokens.slice(0, -1)) {
      const key = keyOf(parent, token)
      let child = get(parent, key)
      if (!fresh.has(child)) {
        child = Array.isArray(child)
          ? child.slice()
          : isObject(child)
          ? { ...child }
          : fail("a path leads into a scalar")
        fresh.add(child)
        put(parent, key, child)
      }
      parent = child
    }
    return parent
  }
  const add = (tokens: ReadonlyArray<string>, value: unknown) => {
    const parent = open(tokens)
    const key = keyOf(parent, tokens.at(-1)!, parent !== box)
    if (Array.isArray(parent) && parent !== box) edit(parent, key, value)
    else put(parent, key, value)
  }
  const remove = (tokens: ReadonlyArray<string>) => {
    if (tokens.length === 1) fail("the root cannot be removed")
    const parent = open(tokens)
    const key = keyOf(parent, tokens.at(-1)!)
    if (Array.isArray(parent)) edit(parent, key)
    else delete parent[key]
  }
  if (!Array.isArray(patch)) fail("a patch is an array")
  for (; index < patch.length; index++) {
    const operation: any = isObject(patch[index]) ? patch[index] : fail("it is not an object")
    const { from, op, path, value } = operation
    const tokens = parse(path)
    if ((op === "add" || op === "replace" || op === "test") && value === undefined) fail("it needs a value")
    if (op === "add") add(tokens, value)
    else if (op === "remove") remove(tokens)
    else if (op === "replace") {
      const parent = open(tokens)
      put(parent, keyOf(parent, tokens.at(-1)!), value)
    } else if (op === "test") {
      settle()
      if (!equals(read(tokens), value)) fail("the test failed")
    } else if (op === "copy") {
      settle()
      const copied = read(parse(from))
      fresh = new Set([box]) // the copied value is in two places now, so it must not be changed
      add(tokens, copied)
    } else if (op === "move") {
      const source = parse(from)
      const moved = read(source)
      if (from === path) continue
      if (path.startsWith(`${from}/`)) fail("a value cannot move into itself")
      remove(source)
      add(tokens, moved)
    } else fail("its op is unknown")
  }
  settle()
  return box[0]
}
