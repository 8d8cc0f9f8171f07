/**
 * One short line about anything that was thrown, failed with or given as a reason. Never throws.
 */
export const describe = (value: unknown): string => {
  const text = rawText(value).replace(/\s+/g, " ").trim()
  return text.length > 200 ? `${text.slice(0, 200)}…` : text
}

const rawText = (value: unknown): string => {
  try {
    if (typeof value === "string") return value === "" ? "an empty text" : value
    if (value instanceof Error) {
      const name = "_tag" in value && typeof value._tag === "string" ? value._tag : value.name
      return value.message === "" ? name : `${name}: ${value.message}`
    }
    if (typeof value === "object" && value !== null) return JSON.stringify(value) ?? "an object"
    return String(value)
  } catch {
    // It cannot be turned into text.
    return typeof value === "object" ? "an object" : typeof value
  }
}
