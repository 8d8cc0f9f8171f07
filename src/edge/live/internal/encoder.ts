/**
 * Values as JSON, part by part: what was encoded before, and has not changed since, is found by its reference. So the JSON
 * of two versions of a state shares what the states share, and comparing them costs no more than what changed.
 *
 * What the schema does not name is left out. A part that is JSON as it is, and has nothing to leave out, stays the very
 * same object.
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

type Encode = (value: any) => any

/** How values of a schema become JSON. Throws what does not fit, where the schema transforms it. */
export const encoder = (schema: Schema.Top): Encode => part(Schema.toCodecJson(schema).ast)

const part = (ast: SchemaAST.AST): Encode => {
  switch (ast._tag) {
    case "String":
    case "Number":
    case "Boolean":
    case "Null":
    case "Literal":
      return ast.encoding === undefined ? same : whole(ast)
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

const same: Encode = (value) => value

/** Encodes it as one, by the schema. */
const whole = (ast: SchemaAST.AST): Encode =>
  remembered(Schema.encodeUnknownSync(Schema.make<Schema.Codec<unknown, unknown>>(ast as never)))

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

const isPlain = (ast: SchemaAST.Arrays | SchemaAST.Objects): boolean =>
  ast.encoding === undefined && ast.encodingChecks === undefined

/** One that may be missing on one side only is a matter of the whole object. */
const isPlainProperty = ({ name, type }: SchemaAST.PropertySignature): boolean =>
  typeof name === "string" &&
  (type.encoding === undefined || !(SchemaAST.isOptional(type) || SchemaAST.isOptional(SchemaAST.toEncoded(type))))

const isPlainIndex = ({ parameter }: SchemaAST.IndexSignature, index: number): boolean =>
  index === 0 && parameter._tag === "String" && parameter.encoding === undefined

const items = (encode: Encode): Encode => (value: ReadonlyArray<unknown>) => {
  let encoded: Array<unknown> | undefined
  for (let i = 0; i < value.length; i++) {
    const item = encode(value[i])
    if (item !== value[i]) encoded ??= value.slice(0, i)
    encoded?.push(item)
  }
  return encoded ?? value
}

const properties = ({ indexSignatures, propertySignatures }: SchemaAST.Objects): Encode => {
  const named = new Map(propertySignatures.map(({ name, type }) => [name as string, part(type)]))
  const other = indexSignatures.length === 0 ? undefined : part(indexSignatures[0]!.type)
  const names = Array.from(named.keys())
  const encodes = [...named.values(), ...other === undefined ? [] : [other]]
  const encode: Encode = (value: Readonly<Record<string, unknown>>) => {
    const isPlainObject = Object.getPrototypeOf(value) === Object.prototype
    let entries: Array<[string, unknown]> | undefined
    // What an instance of a class has may be computed, by accessors that it inherits.
    const keys = isPlainObject || other !== undefined ? Object.keys(value) : names.filter((name) => name in value)
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!
      const one = named.get(key) ?? other
      const encoded = one?.(value[key])
      if (encoded !== value[key] || one === undefined || !isPlainObject) {
        entries ??= keys.slice(0, i).map((key) => [key, value[key]])
      }
      if (encoded !== undefined) entries?.push([key, encoded])
    }
    return entries === undefined ? value : Object.fromEntries(entries)
  }
  // To look at a few scalars takes no longer than to remember that it was done.
  return encodes.every((one) => one === same) ? encode : remembered(encode)
}
