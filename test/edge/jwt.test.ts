import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Redacted, References, Schema } from "effect"
import { SessionError } from "effect-sessions"
import { type Claims, InvalidToken, KeysUnavailable, TokenVerifier } from "effect-sessions/auth"
import { JwtKeys, JwtSigner, JwtVerifier, type KeyPairAlgorithm } from "effect-sessions/jwt"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as Jose from "jose"
import { inspect } from "node:util"

const secret = "0123456789abcdef0123456789abcdef"
const otherSecret = "fedcba9876543210fedcba9876543210"
const longSecret = secret + otherSecret

const bytes = (text: string) => new TextEncoder().encode(text)
const base64url = (value: unknown) => Jose.base64url.encode(JSON.stringify(value))

const rsa = await Jose.generateKeyPair("RS256", { extractable: true })
const pss = await Jose.generateKeyPair("PS256", { extractable: true })
const ec = await Jose.generateKeyPair("ES256", { extractable: true })
const ed = await Jose.generateKeyPair("Ed25519", { extractable: true })
const rsaPem = await Jose.exportSPKI(rsa.publicKey)
const privateJwk = await Jose.exportJWK(ec.privateKey)
const weakJwk = { kty: "RSA", e: "AQAB", n: Jose.base64url.encode(new Uint8Array(128).fill(0xc5)) }
const publicJwk = async (pair: { readonly publicKey: Jose.CryptoKey }, more: Jose.JWK) => ({
  ...await Jose.exportJWK(pair.publicKey),
  ...more
})

/** A token as an issuer makes it, with jose itself. At the start of a test it is 1970-01-01T00:00:00Z. */
const issue = (
  claims: Jose.JWTPayload,
  key: Jose.KeyInput = bytes(secret),
  header: Jose.JWTHeaderParameters = { alg: "HS256" }
): Effect.Effect<string> => Effect.promise(() => new Jose.SignJWT(claims).setProtectedHeader(header).sign(key))

const ada = { sub: "ada", exp: 60 }

const verify = (token: string) => TokenVerifier.use((verifier) => verifier.verify(token))

/** Why the token is refused. */
const refused = (token: string) =>
  Effect.map(Effect.flip(verify(token)), (error) => {
    assert.instanceOf(error, InvalidToken)
    return error.reason
  })

const withKeys = <E, R>(keys: Layer.Layer<JwtKeys, E, R>, options?: JwtVerifier.Options) =>
  Effect.provide(JwtVerifier.layer(options).pipe(Layer.provide(keys)))

const withSecret = (options?: JwtVerifier.Options) => withKeys(JwtKeys.layerSecret(Redacted.make(secret)), options)

/** Why the Layer cannot be built. */
const misconfigured = <A, R>(layer: Layer.Layer<A, SessionError.InvalidConfig, R>) =>
  Effect.map(Effect.flip(Effect.scoped(Layer.build(layer))), (error) => {
    assert.instanceOf(error, SessionError.InvalidConfig)
    assert.notInclude(inspect(error), secret)
    return error.setting
  })

describe("JwtVerifier", () => {
  it.effect("gives the claims of a token that is signed with the secret", () =>
    withSecret()(Effect.gen(function*() {
      const claims: Claims = yield* verify(yield* issue({ ...ada, role: "editor", iat: 0, nbf: 0 }))
      assert.deepStrictEqual(claims, { sub: "ada", exp: 60, role: "editor", iat: 0, nbf: 0 })
    })))

  it.effect.each<KeyPairAlgorithm>(["RS256", "RS512", "PS256", "ES256", "Ed25519", "EdDSA"])(
    "verifies %s with the public key as PEM and as JWK",
    (algorithm) =>
      Effect.gen(function*() {
        const { privateKey, publicKey } = yield* Effect.promise(() =>
          Jose.generateKeyPair(algorithm, { extractable: true })
        )
        const token = yield* issue(ada, privateKey, { alg: algorithm, kid: "any" })
        const forms = [
          yield* Effect.promise(() => Jose.exportSPKI(publicKey)),
          yield* Effect.promise(() => Jose.exportJWK(publicKey))
        ]
        for (const key of forms) {
          const keys = JwtKeys.layerPublicKey({ algorithm, key })
          assert.deepStrictEqual(yield* withKeys(keys)(verify(token)), ada)
        }
      })
  )

  it.effect("refuses tokens of other kinds that the same issuer signs with the same key", () =>
    Effect.gen(function*() {
      const typed = (typ: unknown, claims = {}) =>
        issue({ ...ada, ...claims }, bytes(secret), { alg: "HS256", typ } as Jose.JWTHeaderParameters)
      const events = { events: { "http://schemas.openid.net/event/backchannel-logout": {} } }
      yield* withSecret()(Effect.gen(function*() {
        for (const typ of ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"]) {
          assert.strictEqual((yield* verify(yield* typed(typ))).sub, "ada")
        }
        for (
          const typ of [
            "logout+jwt",
            "Application/Logout+JWT",
            "secevent+jwt",
            "dpop+jwt",
            "token-introspection+jwt",
            "",
            "x"
          ]
        ) {
          assert.strictEqual(yield* refused(yield* typed(typ)), "Type", typ)
        }
        for (const typ of [7, null, ["JWT"], {}]) assert.strictEqual(yield* refused(yield* typed(typ)), "Malformed")
        // Issuers that do not type their logout tokens.
        assert.strictEqual(yield* refused(yield* issue({ ...ada, ...events })), "Type")
        assert.strictEqual(yield* refused(yield* typed("JWT", events)), "Type")
      }))
      yield* withSecret({ types: ["logout+jwt"] })(Effect.gen(function*() {
        assert.strictEqual((yield* verify(yield* typed("Logout+JWT", events))).sub, "ada")
        assert.strictEqual(yield* refused(yield* typed("JWT")), "Type")
      }))
    }))

  it.effect("says when a token expires", () =>
    Effect.gen(function*() {
      const expiresAt = (claims: Claims) => Effect.map(TokenVerifier, (verifier) => verifier.expiresAt(claims))
      assert.strictEqual(yield* withSecret()(expiresAt({ sub: "ada", exp: 60 })), 65_000)
      const limited = withSecret({ maxAge: "10 seconds", clockTolerance: 0 })
      assert.strictEqual(yield* limited(expiresAt({ sub: "ada", exp: 60, iat: 7 })), 17_000)
      assert.strictEqual(yield* limited(expiresAt({ sub: "ada", exp: 9, iat: 7 })), 9_000)
    }))

  it.effect("refuses a token of another key of the same kind", () =>
    Effect.gen(function*() {
      const other = yield* Effect.promise(() => Jose.generateKeyPair("RS256"))
      const token = yield* issue(ada, other.privateKey, { alg: "RS256" })
      const keys = JwtKeys.layerPublicKey({ algorithm: "RS256", key: rsaPem })
      assert.strictEqual(yield* withKeys(keys)(refused(token)), "Signature")
    }))

  it.effect("refuses tokens without a signature, however \"none\" is written", () =>
    withSecret()(Effect.gen(function*() {
      for (const alg of ["none", "None", "NONE", "nOnE", ""]) {
        const unsigned = `${base64url({ alg })}.${base64url(ada)}.`
        assert.strictEqual(yield* refused(unsigned), "Algorithm")
        const [, , signature] = (yield* issue(ada)).split(".")
        assert.strictEqual(yield* refused(unsigned + signature), "Algorithm")
      }
    })))

  it.effect("refuses a public key used as a secret", () =>
    Effect.gen(function*() {
      const forged = yield* issue(ada, bytes(rsaPem), { alg: "HS256" })
      const named = yield* issue(ada, bytes(rsaPem), { alg: "HS256", kid: "a" })
      const jwk = yield* Effect.promise(() => publicJwk(rsa, { kid: "a" }))
      const one = JwtKeys.layerPublicKey({ algorithm: "RS256", key: rsaPem })
      const set = JwtKeys.layerJwkSet({ keys: [jwk] }, { algorithms: ["RS256", "PS256"] })
      for (const keys of [one, set]) {
        assert.strictEqual(yield* withKeys(keys)(refused(forged)), "Algorithm")
        assert.strictEqual(yield* withKeys(keys)(refused(named)), "Algorithm")
      }
    }))

  it.effect("refuses other algorithms than the pinned one, even of the same key", () =>
    Effect.gen(function*() {
      const strong = yield* issue(ada, bytes(longSecret), { alg: "HS512" })
      const keys = JwtKeys.layerSecret(Redacted.make(longSecret))
      assert.strictEqual(yield* withKeys(keys)(refused(strong)), "Algorithm")
      const pinned = JwtKeys.layerSecret(Redacted.make(longSecret), { algorithm: "HS512" })
      assert.deepStrictEqual(yield* withKeys(pinned)(verify(strong)), ada)
    }))

  it.effect("looks for no key before the algorithm is known to be pinned", () =>
    Effect.gen(function*() {
      let looked = 0
      const keys = Layer.succeed(JwtKeys, {
        algorithms: ["RS256"],
        find: () => Effect.sync(() => (looked++, []))
      })
      yield* withKeys(keys)(Effect.gen(function*() {
        assert.strictEqual(yield* refused(yield* issue(ada)), "Algorithm")
        assert.strictEqual(looked, 0)
        assert.strictEqual(yield* refused(yield* issue(ada, rsa.privateKey, { alg: "RS256" })), "UnknownKey")
        assert.strictEqual(looked, 1)
      }))
    }))

  it.effect("refuses when the keys it is given cannot be used with the algorithm", () =>
    withKeys(Layer.succeed(JwtKeys, { algorithms: ["HS256"], find: () => Effect.succeed([rsa.publicKey]) }))(
      Effect.gen(function*() {
        assert.strictEqual(yield* refused(yield* issue(ada)), "UnknownKey")
      })
    ))

  it.effect("accepts a token until the second in which it expires", () =>
    withSecret({ clockTolerance: 0 })(Effect.gen(function*() {
      const token = yield* issue(ada)
      yield* TestClock.setTime(59_999)
      assert.deepStrictEqual(yield* verify(token), ada)
      yield* TestClock.setTime(60_000)
      assert.strictEqual(yield* refused(token), "Expired")
    })))

  it.effect("accepts a token from the second in which it becomes valid", () =>
    withSecret({ clockTolerance: 0 })(Effect.gen(function*() {
      const later = yield* issue({ ...ada, nbf: 30 })
      const issuedLater = yield* issue({ ...ada, iat: 30 })
      yield* TestClock.setTime(29_999)
      assert.strictEqual(yield* refused(later), "NotYetValid")
      assert.strictEqual(yield* refused(issuedLater), "NotYetValid")
      yield* TestClock.setTime(30_000)
      assert.strictEqual((yield* verify(later)).sub, "ada")
      assert.strictEqual((yield* verify(issuedLater)).sub, "ada")
    })))

  it.effect("forgives a clock that is off by the tolerance, and no more", () =>
    withSecret({ clockTolerance: "10 seconds" })(Effect.gen(function*() {
      const ends = yield* issue(ada)
      const begins = yield* issue({ sub: "ada", exp: 600, nbf: 100 })
      const issued = yield* issue({ sub: "ada", exp: 600, iat: 100 })
      yield* TestClock.setTime(69_999)
      assert.deepStrictEqual(yield* verify(ends), ada)
      yield* TestClock.setTime(70_000)
      assert.strictEqual(yield* refused(ends), "Expired")
      yield* TestClock.setTime(89_999)
      assert.strictEqual(yield* refused(begins), "NotYetValid")
      assert.strictEqual(yield* refused(issued), "NotYetValid")
      yield* TestClock.setTime(90_000)
      assert.strictEqual((yield* verify(begins)).sub, "ada")
      assert.strictEqual((yield* verify(issued)).sub, "ada")
    })))

  it.effect("refuses tokens that were issued longer ago than the most age, or do not say when", () =>
    withSecret({ maxAge: "30 seconds", clockTolerance: 0 })(Effect.gen(function*() {
      const token = yield* issue({ ...ada, iat: 0 })
      yield* TestClock.setTime(30_000)
      assert.strictEqual((yield* verify(token)).iat, 0)
      assert.strictEqual(yield* refused(yield* issue(ada)), "Claims")
      assert.strictEqual(yield* refused(yield* issue({ ...ada, iat: 31 })), "NotYetValid")
      yield* TestClock.setTime(31_000)
      assert.strictEqual(yield* refused(token), "Expired")
    })))

  it.effect("checks the issuer when one is configured", () =>
    Effect.gen(function*() {
      const token = yield* issue({ ...ada, iss: "https://id.example" })
      assert.strictEqual((yield* withSecret()(verify(token))).sub, "ada")
      assert.strictEqual((yield* withSecret({ issuer: "https://id.example" })(verify(token))).sub, "ada")
      assert.strictEqual((yield* withSecret({ issuer: ["x", "https://id.example"] })(verify(token))).sub, "ada")
      const other = withSecret({ issuer: "https://id.example/" })
      assert.strictEqual(yield* other(refused(token)), "Issuer")
      assert.strictEqual(yield* other(refused(yield* issue(ada))), "Issuer")
    }))

  it.effect("checks the audience when one is configured", () =>
    Effect.gen(function*() {
      const token = yield* issue({ ...ada, aud: ["shop", "blog"] })
      assert.strictEqual((yield* withSecret()(verify(token))).sub, "ada")
      assert.strictEqual((yield* withSecret({ audience: "blog" })(verify(token))).sub, "ada")
      assert.strictEqual((yield* withSecret({ audience: ["bank", "shop"] })(verify(token))).sub, "ada")
      const other = withSecret({ audience: "bank" })
      assert.strictEqual(yield* other(refused(token)), "Audience")
      assert.strictEqual(yield* other(refused(yield* issue({ ...ada, aud: "ban" }))), "Audience")
      assert.strictEqual(yield* other(refused(yield* issue(ada))), "Audience")
    }))

  it.effect("requires a subject and an expiry that mean something", () =>
    withSecret()(Effect.gen(function*() {
      const key = bytes(secret)
      const raw = (payload: string) =>
        Effect.promise(() => new Jose.CompactSign(bytes(payload)).setProtectedHeader({ alg: "HS256" }).sign(key))
      const incomplete = [
        "{}",
        "{\"sub\":\"ada\"}",
        "{\"exp\":60}",
        "{\"sub\":\"\",\"exp\":60}",
        "{\"sub\":7,\"exp\":60}",
        "{\"sub\":null,\"exp\":60}",
        "{\"sub\":\"ada\",\"exp\":null}",
        "{\"sub\":\"ada\",\"exp\":\"60\"}",
        "{\"sub\":\"ada\",\"exp\":1e999}",
        "{\"sub\":\"ada\",\"exp\":60,\"nbf\":\"0\"}",
        "{\"sub\":\"ada\",\"exp\":60,\"iat\":\"0\"}"
      ]
      for (const payload of incomplete) assert.strictEqual(yield* refused(yield* raw(payload)), "Claims", payload)
      for (const payload of ["", "[]", "null", "1", "\"ada\"", "{\"sub\":", "\uFFFE"]) {
        assert.strictEqual(yield* refused(yield* raw(payload)), "Malformed", payload)
      }
    })))

  it.effect("treats claims with reserved names as data", () =>
    withSecret()(Effect.gen(function*() {
      const claims = yield* verify(
        yield* Effect.promise(() =>
          new Jose.CompactSign(bytes("{\"sub\":\"ada\",\"exp\":60,\"__proto__\":{\"admin\":true}}"))
            .setProtectedHeader({ alg: "HS256" }).sign(bytes(secret))
        )
      )
      assert.isUndefined(claims["admin"])
      assert.strictEqual(Object.getPrototypeOf(claims), Object.prototype)
    })))

  it.effect("refuses headers it does not understand", () =>
    withSecret()(Effect.gen(function*() {
      const crit = yield* Effect.promise(() =>
        new Jose.SignJWT(ada).setProtectedHeader({ alg: "HS256", crit: ["x"], x: 1 })
          .sign(bytes(secret), { crit: { x: true } })
      )
      assert.strictEqual(yield* refused(crit), "Malformed")
      const [, payload, signature] = crit.split(".")
      const headers = [{}, { alg: 1 }, { alg: null }, { alg: ["HS256"] }, { alg: "HS256", kid: 1 }, [], null, "HS256"]
      for (const header of headers) {
        assert.strictEqual(yield* refused(`${base64url(header)}.${payload}.${signature}`), "Malformed")
      }
      const flat = yield* Effect.promise(() =>
        new Jose.FlattenedSign(bytes("7")).setProtectedHeader({ alg: "HS256", b64: false, crit: ["b64"] })
          .sign(bytes(secret))
      )
      const unencoded = `${flat.protected}.7.${flat.signature}`
      assert.strictEqual(yield* refused(unencoded), "Malformed")
    })))

  it.effect("refuses an encrypted token", () =>
    withSecret()(Effect.gen(function*() {
      const token = yield* Effect.promise(() =>
        new Jose.EncryptJWT(ada).setProtectedHeader({ alg: "dir", enc: "A256GCM" }).encrypt(bytes(secret))
      )
      assert.strictEqual(yield* refused(token), "Algorithm")
    })))

  it.effect("refuses every beginning and every end of a token", () =>
    withSecret()(Effect.gen(function*() {
      const token = yield* issue(ada)
      for (let at = 0; at < token.length; at++) {
        assert.include(["Malformed", "Signature"], yield* refused(token.slice(0, at)))
        if (at > 0) yield* refused(token.slice(at))
      }
    })))

  it.effect.prop(
    "refuses a token of which any bit is changed",
    [Schema.Number.check(Schema.isBetween({ minimum: 0, maximum: 0.999_999 })), Schema.Literals([0, 1, 2, 3, 4, 5, 6])],
    ([where, bit]) =>
      Effect.gen(function*() {
        const claims = { ...ada, role: "reader" }
        const tokens = [
          [yield* issue(claims), JwtKeys.layerSecret(Redacted.make(secret))],
          [
            yield* issue(claims, ed.privateKey, { alg: "Ed25519" }),
            JwtKeys.layerPublicKey({
              algorithm: "Ed25519",
              key: yield* Effect.promise(() => Jose.exportSPKI(ed.publicKey))
            })
          ]
        ] as const
        for (const [token, keys] of tokens) {
          const at = Math.floor(where * token.length)
          const changed = String.fromCharCode(token.charCodeAt(at) ^ (1 << bit))
          yield* withKeys(keys)(refused(token.slice(0, at) + changed + token.slice(at + 1)))
        }
      }),
    { arbitrary: { runs: 200 } }
  )

  it.effect("knows one spelling of a token only", () =>
    withSecret()(Effect.gen(function*() {
      const token = yield* issue(ada)
      yield* verify(token)
      const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
      // The last character has two bits that decoders ignore.
      for (const last of alphabet) {
        if (!token.endsWith(last)) yield* refused(token.slice(0, -1) + last)
      }
      for (const other of [`${token}=`, `${token} `, ` ${token}`, `${token}\n`, `Bearer ${token}`, `${token}.`]) {
        yield* refused(other)
      }
    })))

  it.effect("refuses a header or a payload taken from another token", () =>
    withSecret()(Effect.gen(function*() {
      const [header, payload, signature] = (yield* issue(ada)).split(".")
      const [otherHeader, otherPayload] =
        (yield* issue({ ...ada, sub: "eve" }, bytes(secret), { alg: "HS256", typ: "JWT" }))
          .split(".")
      assert.strictEqual(yield* refused(`${otherHeader}.${payload}.${signature}`), "Signature")
      assert.strictEqual(yield* refused(`${header}.${otherPayload}.${signature}`), "Signature")
    })))

  it.effect.prop(
    "refuses any text, and never dies of it",
    [Schema.String, Schema.String, Schema.Json],
    ([a, b, c]) =>
      withSecret()(Effect.gen(function*() {
        const header = Jose.base64url.encode(JSON.stringify({ alg: "HS256" }))
        for (const text of [a, `${a}.${b}`, `${a}.${b}.${a}`, `${header}.${a}.${b}`, `${base64url(c)}.${a}.`]) {
          yield* refused(text)
        }
        const signed = yield* Effect.promise(() =>
          new Jose.CompactSign(bytes(JSON.stringify(c))).setProtectedHeader({ alg: "HS256" }).sign(bytes(secret))
        )
        yield* refused(signed)
      }))
  )

  it.effect("refuses longer tokens than allowed before it reads them", () =>
    Effect.gen(function*() {
      const token = yield* issue({ ...ada, much: "x".repeat(200) })
      assert.strictEqual((yield* withSecret({ maxLength: token.length })(verify(token))).sub, "ada")
      const error = yield* Effect.flip(withSecret({ maxLength: token.length - 1 })(verify(token)))
      assert.include(error.message, `longer than ${token.length - 1}`)
      assert.strictEqual(yield* withSecret()(refused("x".repeat(8_193))), "Malformed")
      assert.strictEqual(yield* withSecret()(refused(`${"a.".repeat(4_000_000)}`)), "Malformed")
    }))

  it.effect("shows nothing of a token in its errors", () =>
    Effect.gen(function*() {
      const claims = { sub: "sub-of-ada", iss: "iss-of-ada", aud: "aud-of-ada", email: "ada@example.org", exp: 60 }
      const signed = yield* issue(claims, bytes(secret), { alg: "HS256", kid: "kid-of-ada" })
      const bad = [
        signed,
        signed.slice(0, -5),
        yield* issue({ ...claims, exp: -100 }),
        yield* issue({ ...claims, nbf: 100 }),
        yield* issue({ sub: "sub-of-ada", email: "ada@example.org" }),
        yield* issue(claims, bytes(otherSecret)),
        yield* issue(claims, bytes(longSecret), { alg: "HS384", kid: "kid-of-ada" }),
        `${base64url({ alg: "alg-of-ada", kid: "kid-of-ada" })}.${base64url(claims)}.`,
        "text-of-ada"
      ]
      const seen = new Set<string>()
      for (const options of [{ issuer: "id" }, { audience: "shop" }, { maxAge: "1 second" }, {}] as const) {
        for (const token of bad) {
          const exit = yield* Effect.exit(withSecret(options)(verify(token)))
          if (Exit.isSuccess(exit)) continue
          const error = Cause.squash(exit.cause) as InvalidToken
          seen.add(error.reason)
          const shown = [
            inspect(error, { depth: null, showHidden: true }),
            JSON.stringify(error),
            Cause.pretty(exit.cause)
          ]
          for (const text of shown) {
            assert.notInclude(text, "ada")
            assert.notInclude(text, secret)
            for (const part of token.split(".")) if (part !== "") assert.notInclude(text, part)
          }
        }
      }
      assert.sameMembers(
        [...seen],
        "Malformed Algorithm Signature Expired NotYetValid Audience Issuer Claims".split(" ")
      )
    }))

  it("has errors that say what to do", () => {
    const invalid: SessionError.SessionErrorLike = InvalidToken.of("Expired")
    assert.deepStrictEqual([invalid.httpStatus, invalid.retrySafe], [401, true])
    const unavailable: SessionError.SessionErrorLike = KeysUnavailable.of(1_500)
    assert.deepStrictEqual([unavailable.httpStatus, unavailable.retrySafe], [503, true])
    assert.include(unavailable.message, "in 2 s")
    for (const error of [InvalidToken.of("Expired"), KeysUnavailable.of(1)]) assert.notInclude(error.stack, "\n    at ")
  })

  it.effect("refuses options that mean nothing", () =>
    Effect.gen(function*() {
      const keys = JwtKeys.layerSecret(Redacted.make(secret))
      const build = (options: JwtVerifier.Options) =>
        misconfigured(JwtVerifier.layer(options).pipe(Layer.provide(keys)))
      assert.strictEqual(yield* build({ maxLength: 0 }), "maxLength")
      assert.strictEqual(yield* build({ maxAge: 0 }), "maxAge")
      for (const clockTolerance of [-1, "Infinity", "soon" as "1 second"] as const) {
        assert.strictEqual(yield* build({ clockTolerance }), "clockTolerance")
      }
    }))

  it.effect("refuses keys that are for secrets and for key pairs at once, or for anything else", () =>
    Effect.gen(function*() {
      for (const algorithms of [["HS256", "RS256"], [], ["none"], ["RS256", "none"], ["toString"]] as Array<[]>) {
        const keys = Layer.succeed(JwtKeys, { algorithms, find: () => Effect.succeed([]) })
        assert.strictEqual(yield* misconfigured(JwtVerifier.layer().pipe(Layer.provide(keys))), "algorithms")
      }
    }))
})

describe("JwtKeys.layerSecret", () => {
  it.effect("verifies with each of several secrets, so that they can be changed", () =>
    Effect.gen(function*() {
      const old = yield* issue(ada, bytes(secret))
      const current = yield* issue(ada, bytes(otherSecret))
      const expired = yield* issue({ sub: "ada", exp: -60 }, bytes(otherSecret))
      const secrets = [Redacted.make(otherSecret), Redacted.make(secret)]
      const both = withKeys(JwtKeys.layerSecret(secrets))
      assert.deepStrictEqual(yield* both(verify(old)), ada)
      assert.deepStrictEqual(yield* both(verify(current)), ada)
      assert.strictEqual(yield* both(refused(expired)), "Expired")
      assert.strictEqual(yield* both(refused(yield* issue(ada, bytes(longSecret)))), "Signature")
      assert.strictEqual(yield* withKeys(JwtKeys.layerSecret(secrets.slice(0, 1)))(refused(old)), "Signature")
    }))

  it.effect("refuses secrets shorter than the algorithm's hash, none at all, and keys of pairs", () =>
    Effect.gen(function*() {
      const build = (text: string, algorithm?: "HS256" | "HS384" | "HS512") =>
        misconfigured(JwtKeys.layerSecret(Redacted.make(text), { algorithm }))
      assert.strictEqual(yield* build(secret.slice(1)), "secret")
      assert.strictEqual(yield* build(longSecret.slice(17), "HS384"), "secret")
      assert.strictEqual(yield* build(longSecret.slice(1), "HS512"), "secret")
      assert.strictEqual(yield* build(""), "secret")
      assert.strictEqual(yield* build(rsaPem), "secret")
      assert.strictEqual(yield* build(secret, "RS256" as "HS256"), "algorithm")
      assert.strictEqual(yield* misconfigured(JwtKeys.layerSecret([])), "secret")
      assert.strictEqual(
        yield* misconfigured(JwtKeys.layerSecret([Redacted.make(secret), Redacted.make("short")])),
        "secret"
      )
      // Bytes count, not characters.
      yield* Layer.build(JwtKeys.layerSecret(Redacted.make("é".repeat(16))))
    }))
})

/** Of an Ed25519 key, with a token that it signed for `ada`. */
const certificate = `
-----BEGIN CERTIFICATE-----
MIIBLjCB4aADAgECAhQYYsJ4EN3NM+9h1EkNZe0Aqx4AxTAFBgMrZXAwDDEKMAgG
A1UEAwwBdDAgFw0yNjExMjExNDIxMTBaGA8yMTI2MTAyODE0MjExMFowDDEKMAgG
A1UEAwwBdDAqMAUGAytlcAMhADcnPuIYrrNK+fgDmp34NOCb+xPMkLy+TRWkdrVi
QQNRo1MwUTAdBgNVHQ4EFgQU4ZCktRNRCvHVKVBKpw8/s4EW/OAwHwYDVR0jBBgw
FoAU4ZCktRNRCvHVKVBKpw8/s4EW/OAwDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXAD
QQDyIZajIhDfkP7aBH6BC3hXE6RiWA1/xMSHXP+0FiHH4wfahRAaSdku/KVOwNdl
U2c2GWUCYzlTkOFS/KvH8kYJ
-----END CERTIFICATE-----
`
const certified = "eyJhbGciOiJFZDI1NTE5In0.eyJzdWIiOiJhZGEiLCJleHAiOjYwfQ."
  + "bC8IhKM2jwpH59FN_iT2LnvpfwNoVxmIXN8-LpinbK5RAlphHAtjeah-vMVb952TGelhCvGa8JQFS1WTMf2mCQ"

describe("JwtKeys.layerPublicKey", () => {
  it.effect("verifies with the key of a certificate", () =>
    withKeys(JwtKeys.layerPublicKey({ algorithm: "Ed25519", key: certificate }))(Effect.gen(function*() {
      assert.deepStrictEqual(yield* verify(certified), ada)
    })))

  it.effect("refuses keys that are not public keys for the algorithm", () =>
    Effect.gen(function*() {
      const build = (algorithm: KeyPairAlgorithm, key: string | Jose.JWK) =>
        misconfigured(JwtKeys.layerPublicKey({ algorithm, key }))
      assert.strictEqual(yield* build("ES256", rsaPem), "key")
      assert.strictEqual(yield* build("RS256", ""), "key")
      assert.strictEqual(yield* build("RS256", secret), "key")
      assert.strictEqual(yield* build("RS256", weakJwk), "key")
      assert.strictEqual(yield* build("ES256", privateJwk), "key")
      assert.strictEqual(yield* build("ES256", yield* Effect.promise(() => Jose.exportPKCS8(ec.privateKey))), "key")
      assert.strictEqual(yield* build("RS256", { kty: "oct", k: Jose.base64url.encode(secret) }), "key")
      assert.strictEqual(
        yield* build("PS256", yield* Effect.promise(() => publicJwk(rsa, { alg: "RS256" }))),
        "key"
      )
      assert.strictEqual(yield* build("HS256" as "RS256", rsaPem), "algorithm")
    }))
})

describe("JwtKeys.layerJwkSet", () => {
  it.effect("chooses among keys by their id and algorithm, and tries all that fit", () =>
    Effect.gen(function*() {
      const keys = yield* Effect.promise(async () => [
        await publicJwk(rsa, { kid: "a", use: "sig" }),
        await publicJwk(pss, { kid: "b" }),
        await publicJwk(ec, { kid: "c", alg: "ES256" }),
        await publicJwk(ed, { kid: "enc", use: "enc" }),
        { ...weakJwk, kid: "weak" },
        { kty: "unheard-of", kid: "d" },
        { kty: "EC", crv: "P-256", kid: "broken", x: "AA", y: "AA" }
      ])
      const set = JwtKeys.layerJwkSet({ keys }, { algorithms: ["RS256", "ES256", "Ed25519"] })
      yield* withKeys(set)(Effect.gen(function*() {
        const signed = (key: Jose.CryptoKey, alg: string, kid?: string) =>
          issue(ada, key, kid === undefined ? { alg } : { alg, kid })
        assert.deepStrictEqual(yield* verify(yield* signed(rsa.privateKey, "RS256", "a")), ada)
        assert.deepStrictEqual(yield* verify(yield* signed(rsa.privateKey, "RS256")), ada)
        assert.deepStrictEqual(yield* verify(yield* signed(ec.privateKey, "ES256")), ada)
        assert.strictEqual(yield* refused(yield* signed(rsa.privateKey, "RS256", "b")), "Signature")
        assert.strictEqual(yield* refused(yield* signed(rsa.privateKey, "RS256", "c")), "UnknownKey")
        assert.strictEqual(yield* refused(yield* signed(rsa.privateKey, "RS256", "x")), "UnknownKey")
        assert.strictEqual(yield* refused(yield* signed(pss.privateKey, "PS256", "b")), "Algorithm")
        assert.strictEqual(yield* refused(yield* signed(ed.privateKey, "Ed25519", "enc")), "UnknownKey")
        assert.strictEqual(yield* refused(yield* signed(rsa.privateKey, "RS256", "weak")), "UnknownKey")
        assert.strictEqual(yield* refused(yield* signed(ec.privateKey, "ES256", "broken")), "UnknownKey")
      }))
    }))

  it.effect("refuses sets without a usable public key, and algorithms with secrets", () =>
    Effect.gen(function*() {
      const jwk = yield* Effect.promise(() => publicJwk(rsa, {}))
      const build = (keys: unknown, algorithms: ReadonlyArray<string> = ["RS256"]) =>
        misconfigured(JwtKeys.layerJwkSet({ keys } as Jose.JSONWebKeySet, { algorithms: algorithms as [] }))
      assert.strictEqual(yield* build([]), "set")
      assert.strictEqual(yield* build("keys"), "set")
      assert.strictEqual(yield* build([{ kty: "oct", k: Jose.base64url.encode(secret) }]), "set")
      assert.strictEqual(yield* build([privateJwk], ["ES256"]), "set")
      assert.strictEqual(yield* build([jwk], ["ES256"]), "set")
      for (const algorithms of [["RS256", "HS256"], ["HS256"], ["none"], []]) {
        assert.strictEqual(yield* build([jwk], algorithms), "algorithms")
      }
    }))
})

const url = "https://id.example/.well-known/jwks.json"

/** An identity provider whose answer can be changed, and which counts how often it is asked. */
class Provider extends Context.Service<Provider, {
  asked: number
  answer: Effect.Effect<Response>
}>()("test/Provider") {
  static readonly layer = Layer.effect(
    Provider,
    Effect.map(Effect.promise(() => publicJwk(rsa, { kid: "a" })), (a) => ({
      asked: 0,
      answer: Effect.sync(() => Response.json({ keys: [a] }))
    }))
  )
  static readonly layerClient = Layer.effect(
    HttpClient.HttpClient,
    Effect.map(Provider, (provider) =>
      HttpClient.make((request) =>
        Effect.suspend(() => {
          assert.strictEqual(request.url, url)
          provider.asked++
          return Effect.map(provider.answer, (response) => HttpClientResponse.fromWeb(request, response))
        })
      ))
  )
}

const down = Effect.sync(() => new Response("oops", { status: 500 }))

type UrlOptions = Partial<Parameters<typeof JwtKeys.layerJwksUrl>[1]>

const withProvider = (options?: UrlOptions) =>
  Effect.provide(
    JwtVerifier.layer().pipe(
      Layer.provide(JwtKeys.layerJwksUrl(url, { algorithms: ["RS256", "ES256"], ...options })),
      Layer.provide(Provider.layerClient),
      Layer.provideMerge(Provider.layer)
    )
  )

describe("JwtKeys.layerJwksUrl", () => {
  const hour = { sub: "ada", exp: 86_400 }
  const tokenA = issue(hour, rsa.privateKey, { alg: "RS256", kid: "a" })
  const tokenB = issue(hour, ec.privateKey, { alg: "ES256", kid: "b" })

  const rotated = Effect.promise(async () => ({
    keys: [await publicJwk(rsa, { kid: "a" }), await publicJwk(ec, { kid: "b" })]
  }))

  it.effect("fetches the keys with the first token, and again when they are old", () =>
    withProvider()(Effect.gen(function*() {
      const provider = yield* Provider
      assert.strictEqual(provider.asked, 0)
      const token = yield* tokenA
      for (let i = 0; i < 3; i++) assert.deepStrictEqual(yield* verify(token), hour)
      assert.strictEqual(provider.asked, 1)
      yield* TestClock.adjust("599 seconds")
      yield* verify(token)
      assert.strictEqual(provider.asked, 1)
      yield* TestClock.adjust("1 second")
      yield* verify(token)
      assert.strictEqual(provider.asked, 2)
    })))

  it.effect("notices that a key was withdrawn when the keys are old", () =>
    withProvider()(Effect.gen(function*() {
      const provider = yield* Provider
      const token = yield* tokenA
      yield* verify(token)
      provider.answer = Effect.sync(() => Response.json({ keys: [] }))
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* refused(token), "UnknownKey")
      assert.strictEqual(provider.asked, 2)
    })))

  it.effect("asks again for a key it does not know, at most once in a cooldown", () =>
    withProvider()(Effect.gen(function*() {
      const provider = yield* Provider
      const set = yield* rotated
      const [a, b] = [yield* tokenA, yield* tokenB]
      yield* verify(a)
      provider.answer = Effect.sync(() => Response.json(set))
      assert.strictEqual(yield* refused(b), "UnknownKey")
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(yield* refused(b), "UnknownKey")
      assert.strictEqual(provider.asked, 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* verify(b), hour)
      assert.deepStrictEqual(yield* verify(a), hour)
      assert.strictEqual(provider.asked, 2)
      for (let i = 0; i < 20; i++) {
        yield* refused(yield* issue(hour, rsa.privateKey, { alg: "RS256", kid: `forged-${i}` }))
      }
      assert.strictEqual(provider.asked, 2)
    })))

  it.effect("makes one fetch for all verifications that wait for it", () =>
    withProvider()(Effect.gen(function*() {
      const provider = yield* Provider
      const arrived = yield* Deferred.make<void>()
      const gate = yield* Deferred.make<void>()
      const { answer } = provider
      provider.answer = Effect.andThen(
        Deferred.succeed(arrived, undefined),
        Effect.andThen(Deferred.await(gate), answer)
      )
      const token = yield* tokenA
      const all = yield* Effect.forkChild(
        Effect.forEach(new Array(50).fill(token), verify, { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* Deferred.await(arrived)
      yield* Deferred.succeed(gate, undefined)
      assert.lengthOf(yield* Fiber.join(all), 50)
      assert.strictEqual(provider.asked, 1)
    })))

  it.effect("verifies with the keys it has while it asks for another", () =>
    withProvider()(Effect.gen(function*() {
      const provider = yield* Provider
      const [a, b] = [yield* tokenA, yield* tokenB]
      yield* verify(a)
      yield* TestClock.adjust("30 seconds")
      const arrived = yield* Deferred.make<void>()
      provider.answer = Effect.andThen(Deferred.succeed(arrived, undefined), Effect.never)
      const waiting = yield* Effect.forkChild(verify(b))
      yield* Deferred.await(arrived)
      assert.deepStrictEqual(yield* verify(a), hour)
      yield* Fiber.interrupt(waiting)
    })))

  it.effect("continues a fetch whose first verification is interrupted", () =>
    withProvider()(Effect.gen(function*() {
      const provider = yield* Provider
      const gate = yield* Deferred.make<void>()
      provider.answer = Effect.andThen(Deferred.await(gate), provider.answer)
      const token = yield* tokenA
      const first = yield* Effect.forkChild(verify(token), { startImmediately: true })
      const second = yield* Effect.forkChild(verify(token), { startImmediately: true })
      yield* Fiber.interrupt(first)
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* Fiber.join(second), hour)
      assert.strictEqual(provider.asked, 1)
    })))

  it.effect("fails with KeysUnavailable while there are no keys, and recovers after the cooldown", () =>
    withProvider()(Effect.gen(function*() {
      const provider = yield* Provider
      const { answer } = provider
      const token = yield* tokenA
      provider.answer = down
      const error = yield* Effect.flip(verify(token))
      assert.instanceOf(error, KeysUnavailable)
      assert.strictEqual(error.retryAfter, 30_000)
      assert.notInclude(inspect(error, { depth: null }), "id.example")
      yield* TestClock.adjust("10 seconds")
      provider.answer = answer
      const again = yield* Effect.flip(verify(token))
      assert.instanceOf(again, KeysUnavailable)
      assert.strictEqual(again.retryAfter, 20_000)
      assert.strictEqual(provider.asked, 1)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* verify(token), hour)
      assert.strictEqual(provider.asked, 2)
    })))

  it.effect("uses the keys it has while they cannot be fetched, until they are too old", () =>
    withProvider()(Effect.gen(function*() {
      const provider = yield* Provider
      const { answer } = provider
      const [a, b] = [yield* tokenA, yield* tokenB]
      yield* verify(a)
      provider.answer = down
      yield* TestClock.adjust("59 minutes")
      assert.deepStrictEqual(yield* verify(a), hour)
      assert.strictEqual(provider.asked, 2)
      // Whether this key is trusted by now cannot be said.
      assert.instanceOf(yield* Effect.flip(verify(b)), KeysUnavailable)
      yield* TestClock.adjust("1 minute")
      assert.instanceOf(yield* Effect.flip(verify(a)), KeysUnavailable)
      assert.strictEqual(provider.asked, 3)
      provider.answer = answer
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* verify(a), hour)
    })))

  it.effect("logs each fetch that fails", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel} ${message}`)
    })
    return withProvider()(Effect.gen(function*() {
      const provider = yield* Provider
      const token = yield* tokenA
      yield* verify(token)
      provider.answer = down
      yield* TestClock.adjust("10 minutes")
      yield* verify(token)
      yield* verify(token)
      assert.lengthOf(lines, 1)
      assert.match(lines[0]!, /^Warn .*could not be fetched/)
    })).pipe(
      Effect.provide(Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Info")))
    )
  })

  it.effect("does not wait for an answer longer than the timeout", () =>
    withProvider({ timeout: "2 seconds" })(Effect.gen(function*() {
      const provider = yield* Provider
      provider.answer = Effect.never
      const waiting = yield* Effect.forkChild(verify(yield* tokenA), { startImmediately: true })
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.instanceOf(yield* Effect.flip(Fiber.join(waiting)), KeysUnavailable)
    })))

  const malformed: ReadonlyArray<readonly [string, () => Response]> = [
    ["text", () => new Response("<html>")],
    ["nothing", () => new Response("")],
    ["null", () => Response.json(null)],
    ["an object without keys", () => Response.json({})],
    ["keys that are no list", () => Response.json({ keys: { kid: "a" } })],
    ["keys that are no keys", () => Response.json({ keys: ["a"] })],
    ["a key without a type", () => Response.json({ keys: [{ kid: "a" }] })],
    ["a key whose id is no text", () => Response.json({ keys: [{ kty: "RSA", kid: 1 }] })],
    ["another status", () => new Response("{\"keys\":[]}", { status: 404 })]
  ]

  it.effect.each(malformed)(
    "does not take %s for a set of keys",
    ([, answer]) =>
      withProvider()(Effect.gen(function*() {
        const provider = yield* Provider
        provider.answer = Effect.sync(answer)
        assert.instanceOf(yield* Effect.flip(verify(yield* tokenA)), KeysUnavailable)
      }))
  )

  it.effect("survives a client that dies", () =>
    withProvider()(Effect.gen(function*() {
      const provider = yield* Provider
      provider.answer = Effect.die(new Error("bug"))
      assert.instanceOf(yield* Effect.flip(verify(yield* tokenA)), KeysUnavailable)
    })))

  it.effect("never takes secrets and private keys from the set", () =>
    withProvider()(Effect.gen(function*() {
      const provider = yield* Provider
      const k = Jose.base64url.encode(secret)
      provider.answer = Effect.sync(() =>
        Response.json({ keys: [{ kty: "oct", k, kid: "a" }, { ...privateJwk, kid: "b" }] })
      )
      assert.strictEqual(yield* refused(yield* issue(hour, bytes(secret), { alg: "HS256", kid: "a" })), "Algorithm")
      assert.strictEqual(provider.asked, 0)
      assert.strictEqual(yield* refused(yield* tokenA), "UnknownKey")
      assert.strictEqual(yield* refused(yield* tokenB), "UnknownKey")
    })))

  it.effect("ends its fetch with the Layer", () =>
    Effect.gen(function*() {
      const ended = yield* Deferred.make<void>()
      yield* withProvider()(Effect.gen(function*() {
        const provider = yield* Provider
        provider.answer = Effect.onInterrupt(Effect.never, () => Deferred.succeed(ended, undefined))
        yield* Effect.forkChild(verify(yield* tokenA), { startImmediately: true })
        assert.strictEqual(provider.asked, 1)
      }))
      yield* Deferred.await(ended)
    }))

  it.effect("refuses options that mean nothing", () =>
    Effect.gen(function*() {
      const build = (address: string, options: UrlOptions) =>
        misconfigured(
          JwtKeys.layerJwksUrl(address, { algorithms: ["RS256"], ...options }).pipe(
            Layer.provide(Provider.layerClient),
            Layer.provide(Provider.layer)
          )
        )
      for (const address of ["", "id.example", "/jwks.json", "ftp://id.example", "https://"]) {
        assert.strictEqual(yield* build(address, {}), "url")
      }
      for (const setting of ["cacheFor", "cooldown", "keepFor", "timeout"]) {
        assert.strictEqual(yield* build(url, { [setting]: 0 }), setting)
      }
      assert.strictEqual(yield* build(url, { algorithms: ["HS256", "RS256"] as unknown as ["RS256"] }), "algorithms")
    }))
})

describe("JwtSigner", () => {
  const sign = (claims: { readonly sub: string; readonly [name: string]: unknown }, expiresIn?: "1 minute") =>
    JwtSigner.use((signer) => signer.sign(claims, { expiresIn }))

  it.effect("signs with the first secret what a verifier with it accepts", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_500)
      const secrets = [Redacted.make(otherSecret), Redacted.make(secret)]
      const signer = JwtSigner.layerSecret(secrets, { issuer: "shop", audience: ["web"], expiresIn: "1 hour" })
      const token = yield* Effect.provide(sign({ sub: "ada", role: "editor" }), signer)
      const first = withKeys(JwtKeys.layerSecret(Redacted.make(otherSecret)), { issuer: "shop", audience: "web" })
      assert.deepStrictEqual(yield* first(verify(token)), {
        sub: "ada",
        role: "editor",
        iss: "shop",
        aud: ["web"],
        iat: 1,
        exp: 3_601
      })
      assert.strictEqual(yield* withSecret()(refused(token)), "Signature")
      yield* TestClock.setTime(3_606_000)
      assert.strictEqual(yield* first(refused(token)), "Expired")
    }))

  it.effect.each<KeyPairAlgorithm>(["RS256", "ES256", "Ed25519"])(
    "signs %s with a private key as PEM and as JWK",
    (algorithm) =>
      Effect.gen(function*() {
        const { privateKey, publicKey } = yield* Effect.promise(() =>
          Jose.generateKeyPair(algorithm, { extractable: true })
        )
        const jwk = yield* Effect.promise(() => Jose.exportJWK(publicKey))
        const set = JwtKeys.layerJwkSet({ keys: [{ ...jwk, kid: "a" }] }, { algorithms: [algorithm] })
        const pem = JwtSigner.layerPrivateKey({
          algorithm,
          key: Redacted.make(yield* Effect.promise(() => Jose.exportPKCS8(privateKey))),
          keyId: "a"
        })
        const exported = yield* Effect.promise(() => Jose.exportJWK(privateKey))
        const named = JwtSigner.layerPrivateKey({ algorithm, key: Redacted.make({ ...exported, kid: "a" }) })
        for (const signer of [pem, named]) {
          const token = yield* Effect.provide(sign({ sub: "ada" }, "1 minute"), signer)
          assert.deepStrictEqual(Jose.decodeProtectedHeader(token), { alg: algorithm, typ: "JWT", kid: "a" })
          assert.deepStrictEqual(yield* withKeys(set)(verify(token)), { sub: "ada", iat: 0, exp: 60 })
        }
      })
  )

  it.effect("sets the times itself", () =>
    Effect.gen(function*() {
      const signer = JwtSigner.layerSecret(Redacted.make(secret))
      const token = yield* Effect.provide(sign({ sub: "ada", exp: 9e9, iat: -1 }), signer)
      assert.deepStrictEqual(yield* withSecret()(verify(token)), { sub: "ada", iat: 0, exp: 900 })
    }))

  it.effect("refuses keys that are not private keys for the algorithm", () =>
    Effect.gen(function*() {
      const build = (algorithm: KeyPairAlgorithm, key: string | Jose.JWK) =>
        misconfigured(JwtSigner.layerPrivateKey({ algorithm, key: Redacted.make(key) }))
      assert.strictEqual(yield* build("RS256", rsaPem), "key")
      assert.strictEqual(yield* build("RS256", privateJwk), "key")
      assert.strictEqual(yield* build("ES256", yield* Effect.promise(() => publicJwk(ec, {}))), "key")
      assert.strictEqual(yield* build("HS256" as "RS256", privateJwk), "algorithm")
      assert.strictEqual(yield* misconfigured(JwtSigner.layerSecret(Redacted.make("short"))), "secret")
      assert.strictEqual(
        yield* misconfigured(JwtSigner.layerSecret(Redacted.make(secret), { expiresIn: "Infinity" })),
        "expiresIn"
      )
    }))

  it.effect("dies of claims that are not JSON", () =>
    Effect.gen(function*() {
      const signer = JwtSigner.layerSecret(Redacted.make(secret))
      for (const value of [1n, () => 1]) {
        const exit = yield* Effect.exit(Effect.provide(sign({ sub: "ada", value }), signer))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      }
    }))
})
