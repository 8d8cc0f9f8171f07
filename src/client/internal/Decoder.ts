/**
 * Decodes JSON of which only parts change. A part that is the same JSON as before keeps its decoded value by reference. A
 * part that the schema must see as a whole (a class, a check of a list, a union of objects, …) is decoded again as a whole
 * if anything in it has changed, so the result always equals a complete decoding.
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { equals } from "../../contract/JsonPatch.ts"

type Json = any

/** Decodes JSON, given the previous JSON and its value (`undefined` if there was none). Throws if the JSON does not fit. */
type Decode = (json: Json, before: Json, value: any) => any

export class Decoder {
  private readonly decode: Decode
  private readonly all: (json: Json) => unknown
  private before: Json = undefined
  private value: unknown = undefined

  constructor(schema: Schema.Top) {
    const { ast } = Schema.toCodecJson(schema)
    this.decode = part(ast)
    this.all = parser(ast)
  }

  /** Decodes the next JSON. Throws if it does not fit the schema. */
  next(json: Json): unknown {
    let value: unknown
    try {
      value = this.decode(json, this.before, this.value)
    } catch {
      // A complete decoding gives the better error: it says where the JSON does not fit.
      value = this.all(json)
    }
    this.before = json
    return this.value = value
  }
}

const parser = (ast: SchemaAST.AST) =>
  Schema.decodeUnknownSync(Schema.make<Schema.Codec<unknown, unknown>>(ast as never))

const whole = (ast: SchemaAST.AST): Decode => {
  const decode = parser(ast)
  return (json, before, value) => before !== undefined && equals(json, before) ? value : decode(json)
}

const part = (ast: SchemaAST.AST): Decode => {
  const all = whole(ast)
  if (ast.encoding !== undefined || ast.checks !== undefined) return all
  switch (ast._tag) {
    case "Arrays": {
      const { elements, rest } = ast
      if (ast.encodingChecks !== undefined || rest.length > 1 || elements.some(SchemaAST.isOptional)) return all
      if (elements.length === 0) return rest.length === 0 ? all : list(part(rest[0]!), all)
      return tuple(elements.map(part), rest.length === 0 ? undefined : part(rest[0]!), all)
    }
    case "Objects": {
      const { indexSignatures, propertySignatures } = ast
      if (ast.encodingChecks !== undefined) return all
      if (indexSignatures.length === 0) {
        return propertySignatures.length > 0 && propertySignatures.every(isPlain)
          ? struct(propertySignatures, all)
          : all
      }
      const { parameter, type } = indexSignatures[0]!
      const isRecord = indexSignatures.length === 1 && propertySignatures.length === 0 && parameter._tag === "String" &&
        parameter.encoding === undefined && parameter.checks === undefined && !isOptional(type)
      if (!isRecord) return all
      const one = part(type)
      return fields(Object.keys, () => one, noKeys, all)
    }
    case "Union": {
      if (ast.encodingChecks !== undefined) return all
      const members = new Map(ast.types.map((type) => [kindOfSchema(type), part(type)]))
      // The union can be decoded by parts only if the type of the JSON determines the member.
      return members.has(undefined) || members.size < ast.types.length ? all : union(members, all)
    }
    default:
      return all
  }
}

const isOptional = (type: SchemaAST.AST): boolean =>
  SchemaAST.isOptional(type) || SchemaAST.isOptional(SchemaAST.toEncoded(type))

/**
 * Whether a property can be decoded alone. It cannot if it is optional on one side only, or if its name is also a property
 * of `Object.prototype`, which every object seems to have.
 */
const isPlain = ({ name, type }: SchemaAST.PropertySignature): boolean =>
  typeof name === "string" && !(name in Object.prototype) && (type.encoding === undefined || !isOptional(type))

const noKeys: ReadonlySet<unknown> = new Set()

/** Whether the JSON is an object without the key `__proto__`. */
const isObject = (json: Json): boolean => kindOf(json) === "object" && !Object.hasOwn(json, "__proto__")

const list = (item: Decode, all: Decode): Decode => (json, before, value) => {
  if (!Array.isArray(json)) return all(json, before, value)
  if (!Array.isArray(before)) return json.map((one) => item(one, undefined, undefined))
  const { length } = json
  const most = Math.min(length, before.length)
  let start = 0
  while (start < most && json[start] === before[start]) start++
  if (start === length && length === before.length) return value
  let end = 0
  while (end < most - start && json[length - 1 - end] === before[before.length - 1 - end]) end++
  // Items between the unchanged start and end may have moved.
  const moved = length - end - start > 1 ? placesOf(json, before, start, end) : undefined
  const next = value.slice(0, start)
  let isSame = length === before.length
  for (let i = start; i < length - end; i++) {
    const at = moved?.get(json[i]) ?? (i < before.length - end ? i : -1)
    next.push(json[i] === before[at] ? value[at] : item(json[i], before[at], value[at]))
    isSame &&= Object.is(next[i], value[i])
  }
  if (isSame) return value
  return end === 0 ? next : next.concat(value.slice(before.length - end))
}

/** The old indices of the objects that are not at their old places, between the unchanged start and end. */
const placesOf = (
  json: ReadonlyArray<Json>,
  before: ReadonlyArray<Json>,
  start: number,
  end: number
): ReadonlyMap<Json, number> => {
  const places = new Map<Json, number>()
  for (let i = start; i < before.length - end; i++) {
    if (before[i] !== json[i] && typeof before[i] === "object") places.set(before[i], i)
  }
  return places
}

const tuple =
  (elements: ReadonlyArray<Decode>, rest: Decode | undefined, all: Decode): Decode => (json, before, value) => {
    const fits = Array.isArray(json) &&
      (rest === undefined ? json.length === elements.length : json.length >= elements.length)
    if (!fits) return all(json, before, value)
    const known = Array.isArray(before) ? before : []
    const next = json.map((one, i) =>
      i < known.length && one === known[i] ? value[i] : (elements[i] ?? rest!)(one, known[i], value?.[i])
    )
    return next.length === known.length && next.every((one, i) => Object.is(one, value[i])) ? value : next
  }

const struct = (properties: ReadonlyArray<SchemaAST.PropertySignature>, all: Decode): Decode => {
  const parts = new Map(properties.map(({ name, type }) => [name as string, part(type)]))
  const optional = new Set<unknown>(properties.filter(({ type }) => SchemaAST.isOptional(type)).map(({ name }) => name))
  return fields(() => parts.keys(), (key) => parts.get(key)!, optional, all)
}

const fields = (
  keys: (json: Json) => Iterable<string>,
  partOf: (key: string) => Decode,
  optional: ReadonlySet<unknown>,
  all: Decode
): Decode =>
(json, before, value) => {
  if (!isObject(json)) return all(json, before, value)
  const known = isObject(before) ? before : {}
  const next: Record<string, unknown> = {}
  let isSame = isObject(before)
  let count = 0
  for (const key of keys(json)) {
    if (Object.hasOwn(json, key)) {
      count++
      const isKnown = Object.hasOwn(known, key)
      next[key] = isKnown && json[key] === known[key]
        ? value[key]
        : partOf(key)(json[key], isKnown ? known[key] : undefined, isKnown ? value[key] : undefined)
      isSame &&= isKnown && Object.is(next[key], value[key])
    } else if (!optional.has(key)) return all(json, before, value)
  }
  return isSame && count === Object.keys(value).length ? value : next
}

const union = (members: ReadonlyMap<string | undefined, Decode>, all: Decode): Decode => (json, before, value) => {
  const kind = kindOf(json)
  const member = members.get(kind)
  if (member === undefined) return all(json, before, value)
  return kindOf(before) === kind ? member(json, before, value) : member(json, undefined, undefined)
}

const kindOf = (json: Json): string => json === null ? "Null" : Array.isArray(json) ? "Arrays" : typeof json

/** The only type of JSON that fits the schema; `undefined` if several do. */
const kindOfSchema = (ast: SchemaAST.AST): string | undefined => {
  const { _tag } = ast
  if (ast.encoding !== undefined) return undefined
  switch (_tag) {
    case "Null":
    case "Arrays":
      return _tag
    case "String":
    case "Number":
    case "Boolean":
      return _tag.toLowerCase()
    case "Objects":
      return ast.propertySignatures.length + ast.indexSignatures.length > 0 ? "object" : undefined
    default:
      return undefined
  }
}
