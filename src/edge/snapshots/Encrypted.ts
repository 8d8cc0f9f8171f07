/**
 * Encrypts the bodies of snapshots before they reach a store.
 *
 * **When to use:** when people who can read or write the store (administrators, backups) must not read or change
 * sessions.
 *
 * **Details:** bodies, and the reasons of the quarantine, are encrypted with AES-256-GCM and bound to the kind, id, epoch,
 * version, format and user of their snapshot. Nobody who can write to the store can change them or pass one off as
 * another. Users are encrypted deterministically: the store can see that two sessions of a kind belong to the same user,
 * but not to which one.
 *
 * **Gotchas:** what else the store works with stays readable: kinds, ids, epochs, versions and times. A manipulated store
 * can give an older snapshot than the last one, or none.
 *
 * **Key rotation:** the first key encrypts, all keys decrypt. Put a new key in front, and remove the old one when all that
 * it encrypted was written again or has expired.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { InvalidConfig } from "../../contract/SessionError.ts"
import { type Head, type Snapshot, SnapshotStore, SnapshotStoreError } from "../../contract/SnapshotStore.ts"
import { type Encryption, makeEncryption } from "./internal/encryption.ts"

/**
 * A stored snapshot cannot be decrypted: its key is not among the keys, it was never encrypted, or somebody changed it.
 * It is the `cause` of a `SnapshotStoreError`. The snapshot stays where it is: configure the missing key.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnreadableSnapshot extends Schema.TaggedError<UnreadableSnapshot>()(
  "UnreadableSnapshot",
  { kind: Schema.String, id: Schema.String, epoch: Schema.Number, version: Schema.Number, message: Schema.String }
) {}

/**
 * Wraps the `SnapshotStore` that it is provided with. Each key is 32 random bytes as base64, base64url or hexadecimal
 * text, such as `openssl rand -base64 32` prints. Fails with `InvalidConfig` when there is no key, one has another length,
 * or two are the same.
 *
 * @example
 * const StoreLayer = Encrypted.layer(Redacted.make(process.env.SNAPSHOT_KEY!)).pipe(
 *   Layer.provide(SqliteStore.layer({ file: "/var/lib/shop/sessions.sqlite" }))
 * )
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  keys: Redacted.Redacted | ReadonlyArray<Redacted.Redacted>
): Layer.Layer<SnapshotStore, InvalidConfig, SnapshotStore> =>
  Layer.effect(
    SnapshotStore,
    Effect.gen(function*() {
      const bytes = yield* parseKeys(Redacted.isRedacted(keys) ? [keys] : keys)
      return wrap(yield* SnapshotStore, yield* makeEncryption(bytes))
    })
  )

const keyLength = 32

const toBytes = (text: string): Buffer | undefined => {
  const trimmed = text.trim()
  const bytes = /^[0-9a-f]{64}$/i.test(trimmed)
    ? Buffer.from(trimmed, "hex")
    : /^[\w+/-]+={0,2}$/.test(trimmed)
    ? Buffer.from(trimmed, "base64")
    : undefined
  return bytes?.length === keyLength ? bytes : undefined
}

const parseKeys = (
  keys: ReadonlyArray<Redacted.Redacted>
): Effect.Effect<ReadonlyArray<Uint8Array>, InvalidConfig> => {
  const invalid = (found: string) =>
    Effect.fail(
      new InvalidConfig({
        setting: "keys",
        message: `keys must be ${keyLength} bytes each, as base64 or hexadecimal text: ${found}`
      })
    )
  if (keys.length === 0) return invalid("there is none")
  const parsed: Array<Buffer> = []
  for (const [i, key] of keys.entries()) {
    const bytes = toBytes(Redacted.value(key))
    if (bytes === undefined) return invalid(`number ${i + 1} is not`)
    if (parsed.some((other) => other.equals(bytes))) return invalid(`number ${i + 1} comes twice`)
    parsed.push(bytes)
  }
  return Effect.succeed(parsed)
}

const wrap = (store: SnapshotStore["Service"], encryption: Encryption): SnapshotStore["Service"] => {
  const encrypt = (snapshot: Snapshot) =>
    Effect.gen(function*() {
      const { body, kind, user } = snapshot
      return {
        ...snapshot,
        user: user === null ? null : yield* encryption.encryptUser(kind, user),
        body: yield* encryption.encrypt(body, snapshot, "body")
      }
    })

  /** With the user in clear text. */
  const decryptHead = <H extends Head>(head: H): Effect.Effect<H> =>
    head.user === null
      ? Effect.succeed(head)
      : Effect.map(encryption.decryptUser(head.kind, head.user), (user) => ({ ...head, user }))

  const decrypt = (operation: string) => (snapshot: Snapshot): Effect.Effect<Snapshot, SnapshotStoreError> =>
    Effect.flatMap(decryptHead(snapshot), (shown) =>
      Effect.mapBoth(encryption.decrypt(snapshot.body, shown, "body"), {
        onSuccess: (body) => ({ ...shown, body }),
        onFailure: (reason) => {
          const { epoch, id, kind, version } = snapshot
          const message = `the snapshot of ${kind}/${id} cannot be decrypted: ${reason}`
          const cause = new UnreadableSnapshot({ kind, id, epoch, version, message })
          return new SnapshotStoreError({ operation, message, cause, scope: "key" })
        }
      }))

  const decryptOption = (operation: string, snapshot: Option.Option<Snapshot>) =>
    Option.isNone(snapshot)
      ? Effect.succeed(snapshot)
      : Effect.map(decrypt(operation)(snapshot.value), Option.some)

  return {
    ...store,

    claim: (key, atLeast, term) =>
      Effect.flatMap(
        store.claim(key, atLeast, term),
        ({ epoch, snapshot }) => Effect.map(decryptOption("claim", snapshot), (snapshot) => ({ epoch, snapshot }))
      ),

    save: (snapshots) => Effect.flatMap(Effect.forEach(snapshots, encrypt, { concurrency: 16 }), store.save),

    peek: (key) => Effect.flatMap(store.peek(key), (snapshot) => decryptOption("peek", snapshot)),

    stat: (key) =>
      Effect.flatMap(store.stat(key), (stat) =>
        Option.isSome(stat) && Option.isSome(stat.value.head)
          ? Effect.map(
            decryptHead(stat.value.head.value),
            (head) => Option.some({ ...stat.value, head: Option.some(head) })
          )
          : Effect.succeed(stat)),

    list: (options) => {
      const { kind, limit, user } = options
      if (user === undefined) {
        return Effect.flatMap(store.list(options), (heads) => Effect.forEach(heads, decryptHead))
      }
      // Each key has encrypted some of them.
      return Effect.map(
        Effect.flatMap(
          encryption.encryptUserWithAll(kind, user),
          (users) => Effect.forEach(users, (user) => store.list({ ...options, user }))
        ),
        (pages) =>
          pages.flat().sort((a, b) => a.id < b.id ? -1 : 1).slice(0, Math.max(0, limit)).map((head) => ({
            ...head,
            user
          }))
      )
    },

    // The reason often quotes the snapshot.
    quarantine: (snapshot, reason) =>
      Effect.flatMap(
        Effect.all([encrypt(snapshot), encryption.encrypt(reason, snapshot, "reason")]),
        ([encrypted, reason]) => store.quarantine(encrypted, reason)
      ),

    quarantined: Effect.flatMap(
      store.quarantined,
      (all) =>
        Effect.forEach(all, ({ at, reason, snapshot }) =>
          Effect.gen(function*() {
            const head = yield* decryptHead(snapshot)
            const shown = yield* Effect.orElseSucceed(encryption.decrypt(reason, head, "reason"), () => reason)
            return yield* Effect.match(decrypt("quarantined")(snapshot), {
              onSuccess: (snapshot) => ({ snapshot, reason: shown, at }),
              onFailure: (error) => ({ snapshot, reason: `${shown} (${error.message})`, at })
            })
          }))
    )
  }
}
