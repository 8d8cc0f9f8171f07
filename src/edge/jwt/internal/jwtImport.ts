/**
 * Checks and imports the secrets and keys for tokens, once.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Jose from "jose"
import { InvalidConfig } from "../../../contract/SessionError.ts"
import {
  type Algorithm,
  type KeyPairAlgorithm,
  keyPairAlgorithms,
  type SecretAlgorithm,
  secretAlgorithms
} from "../JwtAlgorithm.ts"
import type { Secrets } from "../JwtKeys.ts"

export const invalid = (setting: string, expected: string): InvalidConfig =>
  new InvalidConfig({ setting, message: `${setting} must be ${expected}` })

export const isOneOf = <const A>(known: ReadonlyArray<A>) => (value: unknown): value is A =>
  known.some((one) => one === value)

/** Checks that there are algorithms, all of one family: a public key must never be used as an HMAC secret. */
export const pin = <const A extends Algorithm>(
  setting: string,
  algorithms: ReadonlyArray<A>,
  ...families: ReadonlyArray<ReadonlyArray<Algorithm>>
): Effect.Effect<ReadonlyArray<A>, InvalidConfig> =>
  algorithms.length > 0 && families.some((family) => algorithms.every(isOneOf(family)))
    ? Effect.succeed(algorithms)
    : Effect.fail(invalid(setting, `one or more of ${families.map((family) => family.join(", ")).join(", or of ")}`))

/** Imports secrets. */
export const importSecrets = Effect.fnUntraced(function*(secret: Secrets, algorithm: SecretAlgorithm) {
  yield* pin("algorithm", [algorithm], secretAlgorithms)
  const bits = Number(algorithm.slice(2))
  const hmac = { name: "HMAC", hash: `SHA-${bits}` }
  const importOne = Effect.fnUntraced(function*(secret: Redacted.Redacted<string>) {
    const text = Redacted.value(secret)
    const bytes = new TextEncoder().encode(text)
    if (bytes.length * 8 < bits) return yield* invalid("secret", `at least ${bits / 8} bytes long for ${algorithm}`)
    if (text.includes("-----BEGIN ")) return yield* invalid("secret", "a secret, not a PEM key")
    return yield* Effect.promise(() => crypto.subtle.importKey("raw", bytes, hmac, false, ["sign", "verify"]))
  })
  const [first, ...others] = Redacted.isRedacted(secret) ? [secret] : secret
  if (first === undefined) return yield* invalid("secret", "one secret or more")
  return [yield* importOne(first), ...(yield* Effect.forEach(others, importOne))] as const
})

/** Imports one key of a pair. */
export const importKey = Effect.fnUntraced(function*(
  type: "public" | "private",
  algorithm: KeyPairAlgorithm,
  key: string | Jose.JWK
) {
  yield* pin("algorithm", [algorithm], keyPairAlgorithms)
  const pem = typeof key === "string" ? key.trim() : ""
  const declared = typeof key === "string" ? algorithm : key.alg ?? algorithm
  // jose checks these only when the key is used, or not at all.
  const fits = (imported: Jose.CryptoKey | Uint8Array): imported is Jose.CryptoKey =>
    "algorithm" in imported && imported.type === type && declared === algorithm &&
    !("modulusLength" in imported.algorithm && Number(imported.algorithm.modulusLength) < 2048)
  const forms = type === "public" ? "SPKI or a certificate" : "PKCS#8"
  return yield* Effect.tryPromise(() =>
    typeof key !== "string"
      ? Jose.importJWK(key, algorithm)
      : type === "private"
      ? Jose.importPKCS8(pem, algorithm)
      : pem.startsWith("-----BEGIN CERTIFICATE")
      ? Jose.importX509(pem, algorithm)
      : Jose.importSPKI(pem, algorithm)
  ).pipe(
    Effect.filterOrFail(fits),
    Effect.mapError(() =>
      invalid("key", `a ${type} key for ${algorithm}, as PEM (${forms}) or JWK; RSA from 2,048 bits`)
    )
  )
})

export const list = (value: string | ReadonlyArray<string>): Array<string> =>
  typeof value === "string" ? [value] : [...value]
