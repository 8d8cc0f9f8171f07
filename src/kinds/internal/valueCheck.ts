/**
 * Checks values that are to be kept, or shown, against their schema: quickly where that is simple, as with structs of texts,
 * numbers and booleans.
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { findUnfit } from "../../internal/jsonValue.ts"

type Check = (value: unknown) => boolean

export interface Guard {
  /** Does the value fit its schema, and, where that is asked for, will it come back from JSON? */
  readonly fits: Check
  /** Why it does not. */
  readonly explain: (value: unknown) => string
}

export const guard = (schema: Schema.Top, options?: { readonly json: boolean }): Guard => {
  const is = Schema.is(schema)
  const toJson = options?.json !== true || isJson(schema.ast) ? undefined : Schema.encodeUnknownResult(
    Schema.toCodecJson(schema) as unknown as Schema.Codec<unknown, unknown>
  )
  const isSurely = toJson === undefined ? quick(SchemaAST.toType(schema.ast)) : undefined
  const unkept = (value: unknown): string | undefined => {
    const encoded = toJson?.(value)
    if (encoded === undefined) return undefined
    if (encoded._tag === "Failure") return encoded.failure.message
    const unfit = findUnfit(encoded.success, "value")
    return unfit === undefined ? undefined : `${unfit.path} is ${unfit.what}`
  }
  return {
    // What is not simple, and what does not fit, the schema decides.
    fits: (value) => isSurely?.(value) === true || (is(value) && unkept(value) === undefined),
    explain: (value) => {
      const result = Schema.decodeUnknownResult(Schema.toType(schema) as unknown as Schema.Codec<unknown>)(value)
      const why = result._tag === "Failure" ? result.failure.message : unkept(value) ?? "it is not valid"
      return why.replace(/\s+/g, " ")
    }
  }
}

/** Has all that fits a JSON form? Of what transforms, or says little, each value is to be tried. */
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

/** Does a value fit for sure? There is none of these for a schema that asks for more than types. */
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
