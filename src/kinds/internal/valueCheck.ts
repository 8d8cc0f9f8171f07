/**
 * Checks values that are stored or shown against their schema: notifications, the `meta` of a device, the state of an
 * agent. The compiler checks their types; this catches what untyped code passes, before it spoils a session that others
 * use too.
 *
 * `Schema.is` decides. For structs of strings, numbers and booleans a faster check runs before it, which answers "valid"
 * or nothing: it is on the path of every push. CPU time on Node 24, lowest of 6 runs, for `{ from: string, text: string }`:
 * the check takes 15 ns, `Schema.is` 67 ns; a push outside Effect takes 217 ns with the fast check and 338 ns without it,
 * a push that waits for its reply 589 ns and 732 ns.
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { jsonCodec } from "../../internal/jsonCodec.ts"
import { findUnfit } from "../../internal/jsonValue.ts"

type Check = (value: unknown) => boolean

export interface ValueCheck {
  /** Does the value fit its schema and, with `json`, come back from JSON as it was? */
  readonly fits: Check
  /** Says why a value does not fit. */
  readonly explain: (value: unknown) => string
}

export const makeValueCheck = (schema: Schema.Top, options?: { readonly json: boolean }): ValueCheck => {
  const is = Schema.is(schema)
  const toJson = options?.json !== true || isJson(schema.ast)
    ? undefined
    : Schema.encodeUnknownResult(jsonCodec(schema))
  const isSurely = toJson === undefined ? quick(SchemaAST.toType(schema.ast)) : undefined
  const notJson = (value: unknown): string | undefined => {
    const encoded = toJson?.(value)
    if (encoded === undefined) return undefined
    if (encoded._tag === "Failure") return encoded.failure.message
    const unfit = findUnfit(encoded.success, "value")
    return unfit === undefined ? undefined : `${unfit.path} is ${unfit.what}`
  }
  return {
    fits: (value) => isSurely?.(value) === true || (is(value) && notJson(value) === undefined),
    explain: (value) => {
      const result = Schema.decodeUnknownResult(Schema.toType(schema) as unknown as Schema.Codec<unknown>)(value)
      const why = result._tag === "Failure" ? result.failure.message : notJson(value) ?? "it is not valid"
      return why.replace(/\s+/g, " ")
    }
  }
}

/** `true` when all values of the schema have a JSON form. Otherwise each value is encoded to find out. */
const isJson = (ast: SchemaAST.AST): boolean => {
  if (ast.encoding !== undefined) return false
  switch (ast._tag) {
    case "String":
    case "Number":
    case "Boolean":
    case "Null":
    case "Literal":
    case "TemplateLiteral":
    case "Enum":
      return true
    case "Arrays":
      return ast.elements.every(isJson) && ast.rest.every(isJson)
    case "Objects":
      return ast.propertySignatures.every(({ type }) => isJson(type)) &&
        ast.indexSignatures.every(({ type }) => isJson(type))
    case "Union":
      return ast.types.every(isJson)
    default:
      return false
  }
}

/** A fast check for the simplest schemas: `true` means that the value fits. `undefined` for all other schemas. */
const quick = (ast: SchemaAST.AST): Check | undefined => {
  if (ast.checks !== undefined) return undefined
  switch (ast._tag) {
    case "String":
      return (value) => typeof value === "string"
    case "Number":
      return (value) => typeof value === "number"
    case "Boolean":
      return (value) => typeof value === "boolean"
    case "Objects":
      return ast.indexSignatures.length === 0 ? ofProperties(ast.propertySignatures) : undefined
    default:
      return undefined
  }
}

/** A property that has no fast check is left to its schema. */
const ofProperties = (properties: ReadonlyArray<SchemaAST.PropertySignature>): Check | undefined => {
  const checks: Array<(value: Record<PropertyKey, unknown>) => boolean> = []
  for (const { name, type } of properties) {
    if (SchemaAST.isOptional(type)) return undefined
    const isSurely = quick(type)
    if (isSurely !== undefined) checks.push((value) => isSurely(value[name]))
    else {
      const is = Schema.is(Schema.make(type))
      checks.push((value) => name in value && is(value[name]))
    }
  }
  return (value) => {
    if (typeof value !== "object" || value === null) return false
    for (const fits of checks) if (!fits(value as Record<PropertyKey, unknown>)) return false
    return true
  }
}
