import type { webcrypto } from "node:crypto"
import type { Snapshot } from "../../../contract/SnapshotStore.ts"
import { escape, unescape } from "./text.ts"

/*
 * An encrypted text is `e1.KEY.SALT.DATA`: the id of the key, the salt of the key that was derived from it, and the
 * initialization vector with what AES-GCM made, all in base64url.
 *
 * AES-GCM with random vectors is safe for some 2^32 texts under one key, which a busy server writes within days. So the
 * keys that are given encrypt nothing themselves: each process derives its own from them, and another one in time.
 */

/*
 * A user is `u1.KEY.DATA`, the same whenever it is the same user of the same kind, so that it can be looked up: its
 * initialization vector is a keyed hash of what is encrypted, as in AES-SIV.
 */

/** A key that was given. */
export interface MasterKey {
  readonly id: string
  readonly userHash: webcrypto.CryptoKey
  readonly userKey: webcrypto.CryptoKey
  readonly derive: (salt: Uint8Array<ArrayBuffer>) => Promise<webcrypto.CryptoKey>
}

/** A text that was encrypted, in its parts. */
interface Sealed {
  readonly keyId: string
  readonly salt: string
  readonly data: Uint8Array<ArrayBuffer>
}

const vectorLength = 12
const textsPerKey = 2 ** 30
const rememberedKeys = 1000
const encoder = new TextEncoder()
const decoder = new TextDecoder()

const toText = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url")
const toBytes = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text, "base64url"))

/** Makes a key of its 32 bytes. Its id tells nothing of them. */
export const importMaster = async (bytes: Uint8Array<ArrayBuffer>): Promise<MasterKey> => {
  const { subtle } = globalThis.crypto
  const base = await subtle.importKey("raw", bytes, "HKDF", false, ["deriveKey", "deriveBits"])
  const hkdf = (salt: Uint8Array<ArrayBuffer>, purpose: string) => ({
    name: "HKDF",
    hash: "SHA-256",
    salt,
    info: encoder.encode(`effect-sessions/snapshots ${purpose}`)
  })
  const aes = { name: "AES-GCM", length: 256 }
  const hmac = { name: "HMAC", hash: "SHA-256", length: 256 }
  return {
    userHash: await subtle.deriveKey(hkdf(new Uint8Array(), "user hash"), base, hmac, false, ["sign"]),
    userKey: await subtle.deriveKey(hkdf(new Uint8Array(), "user"), base, aes, false, ["encrypt", "decrypt"]),
    id: toText(new Uint8Array(await subtle.deriveBits(hkdf(new Uint8Array(), "id"), base, 64))),
    derive: (salt) => subtle.deriveKey(hkdf(salt, "body"), base, aes, false, ["encrypt", "decrypt"])
  }
}

/** What a text belongs to, so that it is of no use anywhere else. */
const contextOf = (snapshot: Omit<Snapshot, "body">, part: string): Uint8Array<ArrayBuffer> => {
  const { epoch, format, id, kind, user, version } = snapshot
  return encoder.encode(JSON.stringify([part, kind, id, epoch, version, format, ...user === null ? [] : [user]]))
}

const parse = (text: string): Sealed | undefined => {
  const [mark, keyId, salt, data, ...more] = text.split(".")
  return mark !== "e1" || keyId === undefined || salt === undefined || data === undefined || more.length > 0
    ? undefined
    : { keyId, salt, data: toBytes(data) }
}

/** Encrypts with the first of the keys, and decrypts with all. */
export class Encryption {
  private readonly masters: ReadonlyArray<MasterKey>
  private readonly derived = new Map<string, Promise<webcrypto.CryptoKey>>()
  private salt = ""
  private textsLeft = 0

  constructor(masters: ReadonlyArray<MasterKey>) {
    this.masters = masters
  }

  async encrypt(text: string, snapshot: Omit<Snapshot, "body">, part: string): Promise<string> {
    if (this.textsLeft-- <= 0) {
      this.textsLeft = textsPerKey
      this.salt = toText(globalThis.crypto.getRandomValues(new Uint8Array(16)))
    }
    const { salt } = this
    const master = this.masters[0]!
    const key = await this.keyOf(master, salt)
    const iv = globalThis.crypto.getRandomValues(new Uint8Array(vectorLength))
    const algorithm = { name: "AES-GCM", iv, additionalData: contextOf(snapshot, part) }
    const sealed = await globalThis.crypto.subtle.encrypt(algorithm, key, encoder.encode(escape(text)))
    return `e1.${master.id}.${salt}.${Buffer.concat([iv, new Uint8Array(sealed)]).toString("base64url")}`
  }

  /** Rejects with an `Error` that says why when it cannot. */
  async decrypt(text: string, snapshot: Omit<Snapshot, "body">, part: string): Promise<string> {
    const sealed = parse(text)
    if (sealed === undefined) throw new Error("it is not encrypted")
    const master = this.masters.find(({ id }) => id === sealed.keyId)
    if (master === undefined) {
      throw new Error(`it was encrypted with the key ${sealed.keyId}, which is not among the keys`)
    }
    const key = await this.keyOf(master, sealed.salt)
    const algorithm = {
      name: "AES-GCM",
      iv: sealed.data.subarray(0, vectorLength),
      additionalData: contextOf(snapshot, part)
    }
    try {
      const opened = await globalThis.crypto.subtle.decrypt(algorithm, key, sealed.data.subarray(vectorLength))
      return unescape(decoder.decode(opened))
    } catch (cause) {
      throw new Error("it was changed since it was encrypted, or belongs to another session or version", { cause })
    }
  }

  /** A user as the first of the keys encrypts it. */
  encryptUser(kind: string, user: string): Promise<string> {
    return this.sealUser(this.masters[0]!, kind, user)
  }

  /** A user as any of the keys may have encrypted it. */
  allOfUser(kind: string, user: string): Promise<ReadonlyArray<string>> {
    return Promise.all(this.masters.map((master) => this.sealUser(master, kind, user)))
  }

  /** Gives what cannot be decrypted as it is. */
  async decryptUser(kind: string, text: string): Promise<string> {
    const [mark, keyId, data = "", ...more] = text.split(".")
    const master = this.masters.find(({ id }) => id === keyId)
    if (mark !== "u1" || more.length > 0 || master === undefined) return text
    const bytes = toBytes(data)
    const algorithm = { name: "AES-GCM", iv: bytes.subarray(0, vectorLength), additionalData: encoder.encode(kind) }
    try {
      const opened = await globalThis.crypto.subtle.decrypt(algorithm, master.userKey, bytes.subarray(vectorLength))
      return unescape(decoder.decode(opened))
    } catch {
      return text
    }
  }

  private async sealUser(master: MasterKey, kind: string, user: string): Promise<string> {
    const { subtle } = globalThis.crypto
    const hash = await subtle.sign("HMAC", master.userHash, encoder.encode(JSON.stringify([kind, user])))
    const iv = new Uint8Array(hash, 0, vectorLength)
    const algorithm = { name: "AES-GCM", iv, additionalData: encoder.encode(kind) }
    const sealed = await subtle.encrypt(algorithm, master.userKey, encoder.encode(escape(user)))
    return `u1.${master.id}.${Buffer.concat([iv, new Uint8Array(sealed)]).toString("base64url")}`
  }

  private keyOf(master: MasterKey, salt: string): Promise<webcrypto.CryptoKey> {
    const name = `${master.id}.${salt}`
    let key = this.derived.get(name)
    if (key === undefined) {
      key = master.derive(toBytes(salt))
      for (const oldest of this.derived.keys()) {
        if (this.derived.size < rememberedKeys) break
        this.derived.delete(oldest)
      }
      this.derived.set(name, key)
    }
    return key
  }
}
