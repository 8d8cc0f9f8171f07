/**
 * Encrypts the bodies and users of snapshots, with `effect/crypto` on Web Crypto.
 *
 * An encrypted text is `e1.KEY.SALT.DATA`: the id of the key, the salt of the key that was derived from it, and the
 * nonce followed by the output of AES-256-GCM, all in base64url. AES-GCM with random nonces is safe for about 2^32 texts
 * under one key, which a busy server writes within days. So the keys from the configuration encrypt no texts: each process
 * derives its own key with a random salt, and a new one after 2^30 texts.
 *
 * An encrypted user is `u1.KEY.DATA`. It is the same text for the same user of the same kind, so that the store can look it
 * up: its nonce is a keyed hash of the kind and the user, as in AES-SIV.
 */
import * as Cache from "effect/Cache"
import * as Aead from "effect/crypto/Aead"
import * as Kdf from "effect/crypto/Kdf"
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Head } from "../../../contract/SnapshotStore.ts"
import { escape, unescape } from "./text.ts"

/** Encrypts with the first of its keys, and decrypts with all of them. */
export interface Encryption {
  /** Encrypts a text so that it is readable only as this part of this snapshot. */
  readonly encrypt: (text: string, head: Head, part: string) => Effect.Effect<string>
  /** Fails with the reason, as a text. */
  readonly decrypt: (text: string, head: Head, part: string) => Effect.Effect<string, string>
  readonly encryptUser: (kind: string, user: string) => Effect.Effect<string>
  /** The user as each of the keys encrypts it, in the order of the keys. */
  readonly encryptUserWithAll: (kind: string, user: string) => Effect.Effect<ReadonlyArray<string>>
  /** Gives a text that it cannot decrypt back as it is. */
  readonly decryptUser: (kind: string, text: string) => Effect.Effect<string>
}

/** What is derived from a key of the configuration. */
interface MasterKey {
  /** Reveals nothing of the key. */
  readonly id: string
  readonly userHash: Mac.Key
  readonly userKey: Aead.Key
  readonly bodyKey: (salt: Uint8Array) => Effect.Effect<Aead.Key>
}

const keyLength = 32
const idLength = 8
const saltLength = 16
const textsPerSalt = 2 ** 30
const cachedKeys = 1000
const { nonceLength } = Aead.aes256Gcm
const encoder = new TextEncoder()
const decoder = new TextDecoder()

const toText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url")
const toBytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"))

const makeMasterKey = (bytes: Uint8Array): Effect.Effect<MasterKey, never, Kdf.Kdf> =>
  Effect.gen(function*() {
    const kdf = yield* Kdf.Kdf
    const derive = (purpose: string, salt: Uint8Array, length: number) =>
      kdf.derive(Kdf.hkdfSha256, bytes, { salt, length, info: encoder.encode(`effect-sessions/snapshots ${purpose}`) })
    const unsalted = new Uint8Array()
    const aesKey = (bytes: Uint8Array) => Aead.key(Aead.aes256Gcm, bytes)
    return {
      id: toText(yield* derive("id", unsalted, idLength)),
      userHash: yield* Mac.key(Mac.hmacSha256, yield* derive("user hash", unsalted, keyLength)),
      userKey: yield* aesKey(yield* derive("user", unsalted, keyLength)),
      bodyKey: (salt: Uint8Array) => Effect.orDie(Effect.flatMap(derive("body", salt, keyLength), aesKey))
    }
  }).pipe(Effect.orDie)

/** What a text belongs to: it cannot be decrypted as part of anything else. */
const contextOf = ({ epoch, format, id, kind, user, version }: Head, part: string): Uint8Array =>
  encoder.encode(JSON.stringify([part, kind, id, epoch, version, format, ...user === null ? [] : [user]]))

const parse = (text: string) => {
  const [mark, keyId, salt, data, ...more] = text.split(".")
  return mark !== "e1" || keyId === undefined || salt === undefined || data === undefined || more.length > 0
    ? undefined
    : { keyId, salt, data: toBytes(data) }
}

const make = Effect.fnUntraced(function*(
  keys: ReadonlyArray<Uint8Array>
): Effect.fn.Return<Encryption, never, Aead.Aead | Kdf.Kdf | Mac.Mac> {
  const aead = yield* Aead.Aead
  const mac = yield* Mac.Mac
  const masters = yield* Effect.forEach(keys, makeMasterKey)
  const first = masters[0]!
  const masterOf = (keyId: string | undefined) => masters.find(({ id }) => id === keyId)

  const bodyKeys = yield* Cache.make({
    capacity: cachedKeys,
    lookup: (name: string) => {
      const [keyId, salt] = name.split(".")
      return masterOf(keyId)!.bodyKey(toBytes(salt!))
    }
  })

  const seal = (key: Aead.Key, nonce: Uint8Array, text: string, aad: Uint8Array) =>
    Effect.orDie(Effect.map(
      aead.encrypt(key, encoder.encode(escape(text)), { nonce, aad }),
      (sealed) => toText(Buffer.concat([nonce, sealed]))
    ))

  const open = (key: Aead.Key, data: Uint8Array, aad: Uint8Array) =>
    Effect.map(
      aead.decrypt(key, data.subarray(nonceLength), { nonce: data.subarray(0, nonceLength), aad }),
      (opened) => unescape(decoder.decode(opened))
    )

  let salt = ""
  let textsLeft = 0
  const currentSalt = (): string => {
    if (textsLeft-- <= 0) {
      textsLeft = textsPerSalt
      salt = toText(SecureRandom.randomBytesUnsafe(saltLength))
    }
    return salt
  }

  const sealUser = (kind: string, user: string) => ({ id, userHash, userKey }: MasterKey) =>
    Effect.gen(function*() {
      const hash = yield* Effect.orDie(mac.sign(userHash, encoder.encode(JSON.stringify([kind, user]))))
      return `u1.${id}.${yield* seal(userKey, hash.slice(0, nonceLength), user, encoder.encode(kind))}`
    })

  return {
    encrypt: (text, head, part) =>
      Effect.gen(function*() {
        const name = `${first.id}.${currentSalt()}`
        const key = yield* Cache.get(bodyKeys, name)
        const nonce = SecureRandom.randomBytesUnsafe(nonceLength)
        return `e1.${name}.${yield* seal(key, nonce, text, contextOf(head, part))}`
      }),

    decrypt: (text, head, part) =>
      Effect.gen(function*() {
        const parsed = parse(text)
        if (parsed === undefined) return yield* Effect.fail("it is not encrypted")
        const { data, keyId, salt } = parsed
        if (masterOf(keyId) === undefined) {
          return yield* Effect.fail(`it was encrypted with the key ${keyId}, which is not among the keys`)
        }
        return yield* Effect.mapError(
          open(yield* Cache.get(bodyKeys, `${keyId}.${salt}`), data, contextOf(head, part)),
          () => "it was changed since it was encrypted, or belongs to another session or version"
        )
      }),

    encryptUser: (kind, user) => sealUser(kind, user)(first),

    encryptUserWithAll: (kind, user) => Effect.forEach(masters, sealUser(kind, user)),

    decryptUser: (kind, text) => {
      const [mark, keyId, data = "", ...more] = text.split(".")
      const master = masterOf(keyId)
      return mark !== "u1" || more.length > 0 || master === undefined
        ? Effect.succeed(text)
        : Effect.orElseSucceed(open(master.userKey, toBytes(data), encoder.encode(kind)), () => text)
    }
  }
})

const CryptoLayer = Layer.mergeAll(Aead.layerWebCrypto, Mac.layerWebCrypto, Kdf.layerWebCrypto).pipe(
  Layer.provide(SecureRandom.layerWebCrypto)
)

/** Makes the encryption of these keys, each of 32 bytes; there is at least one, and none twice. */
export const makeEncryption = (keys: ReadonlyArray<Uint8Array>): Effect.Effect<Encryption> =>
  Effect.provide(make(keys), CryptoLayer)
