/**
 * The id under which a session is addressed within its kind.
 *
 * An id is chosen by the caller (a user id, the name of a chat) or made at random with {@link make}. It is URL-safe and of
 * bounded length, so that a path, a header, a cookie or a database key can contain it without escaping. An id that
 * authenticates its bearer must be random: use {@link make}.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { InvalidSessionId } from "./SessionError.ts"

/**
 * The most characters an id may have.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxLength = 128

const pattern = /^[A-Za-z0-9._~:@-]{1,128}$/

/**
 * `true` if the value is a well-formed id: 1 to 128 characters, each a letter, a digit or one of
 * `. _ ~ : @ -`.
 *
 * @since 0.1.0
 * @category guards
 */
export const isValid = (id: unknown): id is string => typeof id === "string" && pattern.test(id)

/**
 * The schema of well-formed ids, for ids from outside the program.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SessionId = Schema.String.check(
  Schema.makeFilter((id: string) => isValid(id) || "a session id (1 to 128 URL-safe characters)")
)

/**
 * Checks an id from outside the program.
 *
 * Fails with `InvalidSessionId`, whose message says what is wrong with the id.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromString = (id: string): Effect.Effect<string, InvalidSessionId> =>
  isValid(id) ? Effect.succeed(id) : Effect.fail(InvalidSessionId.of(id))

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/**
 * Makes an unguessable id: 192 bits from the platform's cryptographic random source, as 32
 * characters of base64url. Use it wherever knowing the id grants access to the session.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<string> = Effect.sync(() => {
  const bytes = globalThis.crypto.getRandomValues(new Uint8Array(24))
  let id = ""
  for (let i = 0; i < 24; i += 3) {
    const group = bytes[i]! << 16 | bytes[i + 1]! << 8 | bytes[i + 2]!
    id += alphabet[group >> 18]! + alphabet[group >> 12 & 63]! + alphabet[group >> 6 & 63]! + alphabet[group & 63]!
  }
  return id
})
