/**
 * Formats numbers and times for people.
 */

/** Cents. */
export const money = (cents: number): string => `€${(cents / 100).toFixed(2)}`

export const count = (n: number, one: string, more = `${one}s`): string => `${n} ${n === 1 ? one : more}`

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" })

const clockface = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" })

/** For times of which the seconds do not matter. */
export const hour = (date: Date): string => clockface.format(date)

export const timeOfDay = (date: Date): string => clock.format(date)

/** Milliseconds as `4 min` or, when they are few, as `1:42`. */
export const remaining = (millis: number): string => {
  const seconds = Math.max(0, Math.ceil(millis / 1_000))
  if (seconds >= 3_600) return `${Math.floor(seconds / 3_600)} h ${Math.floor(seconds % 3_600 / 60)} min`
  if (seconds >= 120) return `${Math.floor(seconds / 60)} min`
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`
}
