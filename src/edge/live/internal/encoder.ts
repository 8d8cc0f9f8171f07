/**
 * Encodes values as JSON, part by part, and remembers the JSON of each part by its reference. So the JSON of two versions of a
 * state shares what the states share, and the cost of comparing them is proportional to what has changed.
 *
 * Fields that the schema does not name are left out. A part that is JSON already, and has nothing to leave out, is its own
 * JSON: the same object.
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

type Encode = (value: any) => any

/**
 * Makes the encoder of a schema. It throws for a value that does not have the form of the schema, because its client could not
 * decode it. Checks (`Schema.isMinLength`, …) are not applied.
 */
export const encoder = (schema: Schema.Top): Encode => part(Schema.toCodecJson(schema).ast)

const part = (ast: SchemaAST.AST): Encode => {
  switch (ast._tag) {
    case "String":
    case "Number":
    case "Boolean":
    case "Null":
    case "Literal":
      return ast.encoding === undefined ? scalar(ast) : whole(ast)
    case "Any":
      return any
    case "Arrays":
      return isPlain(ast) && ast.elements.length === 0 && ast.rest.length === 1
        ? remembered(items(part(ast.rest[0]!)))
        : whole(ast)
    case "Objects":
      return isPlain(ast) && ast.propertySignatures.every(isPlainProperty) && ast.indexSignatures.every(isPlainIndex)
        ? properties(ast)
        : whole(ast)
    default:
      return whole(ast)
  }
}

// ---------------------------------------------------------------------------------------------------------
// scalars
// ---------------------------------------------------------------------------------------------------------

const string: Encode = (value) => typeof value === "string" ? value : unfit("a string", value)

const number: Encode = (value) => Number.isFinite(value) ? value : unfit("a finite number", value)

const boolean: Encode = (value) => typeof value === "boolean" ? value : unfit("a boolean", value)

const literal = (one: SchemaAST.LiteralValue | null): Encode => (value) =>
  value === one ? value : unfit(JSON.stringify(one), value)

const scalar = (
  ast: SchemaAST.String | SchemaAST.Number | SchemaAST.Boolean | SchemaAST.Null | SchemaAST.Literal
): Encode => {
  switch (ast._tag) {
    case "String":
      return string
    case "Number":
      return number
    case "Boolean":
      return boolean
    case "Null":
      return literal(null)
    case "Literal":
      return literal(ast.literal)
  }
}

/** The error names only the type of the value: the value may be a secret, and reading it may throw. */
const unfit = (wanted: string, value: unknown): never => {
  const is = typeof value === "number" ? String(value) : value === null ? "null" : typeof value
  throw new TypeError(`${wanted} is expected, but it is ${is}`)
}

// ---------------------------------------------------------------------------------------------------------
// values that are encoded as a whole
// ---------------------------------------------------------------------------------------------------------

/** Encodes a value as a whole, by its schema; parts of it may be of any form. */
const whole = (ast: SchemaAST.AST): Encode => {
  const encode = Schema.encodeUnknownSync(Schema.make<Schema.Codec<unknown, unknown>>(ast as never))
  return remembered((value) => any(encode(value)))
}

/** A value without a schema: what `JSON.stringify` makes of it. */
const any: Encode = (value) => {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value
    case "number":
      return Number.isFinite(value) ? value : null
    case "object":
      return value === null ? null : anyObject(value)
    default:
      return unfit("JSON", value)
  }
}

const remembered = (encode: Encode): Encode => {
  const known = new WeakMap<object, unknown>()
  return (value) => {
    if (typeof value !== "object" || value === null) return encode(value)
    let json = known.get(value)
    if (json === undefined) {
      json = encode(value)
      known.set(value, json)
    }
    return json
  }
}

const anyObject = remembered((value: object) =>
  "toJSON" in value && typeof value.toJSON === "function"
    ? JSON.parse(JSON.stringify(value))
    : Array.isArray(value)
    ? anyItems(value)
    : anyProperties(value as Readonly<Record<string, unknown>>)
)

/** A value that JSON leaves out of an object, and writes as `null` in an array. */
const isNothing = (value: unknown): boolean =>
  value === undefined || typeof value === "function" || typeof value === "symbol"

// ---------------------------------------------------------------------------------------------------------
// arrays and objects
// ---------------------------------------------------------------------------------------------------------

const isPlain = (ast: SchemaAST.Arrays | SchemaAST.Objects): boolean =>
  ast.encoding === undefined && ast.encodingChecks === undefined

/** A property that may be missing on one side only needs the schema of the whole object. */
const isPlainProperty = ({ name, type }: SchemaAST.PropertySignature): boolean =>
  typeof name === "string" &&
  (type.encoding === undefined || !(SchemaAST.isOptional(type) || SchemaAST.isOptional(SchemaAST.toEncoded(type))))

const isPlainIndex = ({ parameter }: SchemaAST.IndexSignature, index: number): boolean =>
  index === 0 && parameter._tag === "String" && parameter.encoding === undefined

const items = (encode: Encode): Encode => (value: ReadonlyArray<unknown>) => {
  if (!Array.isArray(value)) return unfit("an array", value)
  let encoded: Array<unknown> | undefined
  for (let i = 0; i < value.length; i++) {
    const item = encode(value[i])
    if (item !== value[i]) encoded ??= value.slice(0, i)
    encoded?.push(item)
  }
  return encoded ?? value
}

const anyItems = items((value) => isNothing(value) ? null : any(value))

const anyProperties = (value: Readonly<Record<string, unknown>>): unknown => {
  let entries: Array<[string, unknown]> | undefined = Object.getPrototypeOf(value) === Object.prototype ? undefined : []
  const keys = Object.keys(value)
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!
    const own = value[key]
    const encoded = isNothing(own) ? undefined : any(own)
    if (encoded !== own || encoded === undefined) entries ??= keys.slice(0, i).map((key) => [key, value[key]])
    if (encoded !== undefined) entries?.push([key, encoded])
  }
  return entries === undefined ? value : Object.fromEntries(entries)
}

const properties = ({ indexSignatures, propertySignatures }: SchemaAST.Objects): Encode => {
  const named = new Map(propertySignatures.map(({ name, type }) => [
    name as string,
    mayBeAbsent(type) ? orAbsent(part(type)) : part(type)
  ]))
  const required = propertySignatures.flatMap(({ name, type }) => SchemaAST.isOptional(type) ? [] : [name as string])
  const other = indexSignatures.length === 0 ? undefined : part(indexSignatures[0]!.type)
  const names = Array.from(named.keys())
  const encode: Encode = (value: Readonly<Record<string, unknown>>) => {
    if (typeof value !== "object" || value === null) return unfit("an object", value)
    for (const name of required) if (!(name in value)) throw new TypeError(`${JSON.stringify(name)} is missing`)
    const isPlainObject = Object.getPrototypeOf(value) === Object.prototype
    let entries: Array<[string, unknown]> | undefined
    // The properties of a class instance may be inherited accessors.
    const keys = isPlainObject || other !== undefined ? Object.keys(value) : names.filter((name) => name in value)
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!
      const one = named.get(key) ?? other
      const encoded = one?.(value[key])
      if (encoded !== value[key] || encoded === undefined || !isPlainObject) {
        entries ??= keys.slice(0, i).map((key) => [key, value[key]])
      }
      if (encoded !== undefined) entries?.push([key, encoded])
    }
    return entries === undefined ? value : Object.fromEntries(entries)
  }
  return remembered(encode)
}

/** A union encodes `undefined` itself. */
const mayBeAbsent = (ast: SchemaAST.AST): boolean =>
  SchemaAST.isOptional(ast) && ast.encoding === undefined && ast._tag !== "Union"

/** A key whose value is `undefined` is left out. */
const orAbsent = (encode: Encode): Encode => (value) => value === undefined ? undefined : encode(value)
