/**
 * Checks values against a schema, quickly where that is simple: structs of texts, numbers and booleans.
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

type Check = (value: unknown) => boolean

export const guard = (schema: Schema.Top): Check => {
  const is = Schema.is(schema)
  const isSurely = quick(SchemaAST.toType(schema.ast))
  // What is not simple, and what does not fit, the schema decides.
  return isSurely === undefined ? is : (value) => isSurely(value) || is(value)
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
