/**
 * The options of a kind as the runtime uses them: checked, completed by the configuration, with durations in milliseconds.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { KindOptions } from "../../../contract/KindOptions.ts"
import { InvalidConfig } from "../../../contract/SessionError.ts"
import { SnapshotStore } from "../../../contract/SnapshotStore.ts"
import * as Overflow from "../../../policy/Overflow.ts"
import * as SessionsConfig from "../../../policy/SessionsConfig.ts"
import * as Supervision from "../../../policy/Supervision.ts"
import type { PersistenceOptions } from "../snapshots/Persistence.ts"

export type KindSettings = Effect.Success<ReturnType<typeof resolve>>

/** Checks the options of a kind and completes them. Fails with `InvalidConfig` at the first that is not usable. */
export const resolve = (
  config: SessionsConfig.SessionsConfig["Service"],
  kind: string,
  options: KindOptions,
  tags: Iterable<string>,
  context: Context.Context<never>
) => {
  const name = (option: string) => `${kind}.${option}`
  return Effect.all({
    supervision: checkSupervision(name, options.supervision),
    overflow: Overflow.resolve(name("overflow"), options.overflow, tags),
    mailboxCapacity: SessionsConfig.wholeNumber(
      name("mailboxCapacity"),
      options.mailboxCapacity ?? config.mailboxCapacity,
      1
    ),
    batch: SessionsConfig.wholeNumber(name("batch"), options.batch ?? 128, 1),
    idleTimeout: SessionsConfig.duration(name("idleTimeout"), options.idleTimeout ?? config.idleTimeout, {
      infinite: true
    }),
    absoluteTimeout: SessionsConfig.duration(
      name("absoluteTimeout"),
      options.absoluteTimeout ?? config.absoluteTimeout,
      { infinite: true }
    ),
    callTimeout: SessionsConfig.duration(name("callTimeout"), options.callTimeout ?? config.callTimeout, {
      infinite: true
    }),
    startTimeout: SessionsConfig.duration(name("startTimeout"), options.startTimeout ?? config.startTimeout, {
      infinite: true
    }),
    reconnectWindow: SessionsConfig.duration(name("reconnectWindow"), options.reconnectWindow ?? Infinity, {
      infinite: true
    }),
    messageRate: SessionsConfig.rate(name("messageRate"), options.messageRate ?? config.messageRate),
    limitsStarts: Effect.succeed(options.limitStarts ?? true),
    hibernateAfter: SessionsConfig.duration(name("hibernateAfter"), options.hibernateAfter ?? Infinity, {
      infinite: true
    }),
    snapshots: checkSnapshots(name, options, Context.getOption(context, SnapshotStore)),
    remember: Effect.all({
      answers: SessionsConfig.wholeNumber(name("remember.answers"), options.remember?.answers ?? 64, 1),
      clients: SessionsConfig.wholeNumber(name("remember.clients"), options.remember?.clients ?? 1_024, 1)
    })
  })
}

const checkSnapshots = (
  name: (option: string) => string,
  { hibernateAfter, snapshots }: KindOptions,
  store: Option.Option<SnapshotStore["Service"]>
): Effect.Effect<
  Omit<PersistenceOptions, "idleTimeout"> & { readonly store: SnapshotStore["Service"] } | undefined,
  InvalidConfig
> =>
  Effect.gen(function*() {
    if (snapshots === undefined) return undefined
    const invalid = (option: string, message: string) =>
      new InvalidConfig({ setting: name(option), message: `${name(option)} ${message}` })
    const { migrations = [], passivateAfter = Infinity, save = { debounce: "1 second" } } = snapshots
    if (Option.isNone(store)) return yield* invalid("snapshots", "needs a SnapshotStore: provide one to its Layer")
    const neverHibernates = hibernateAfter === undefined || hibernateAfter === Infinity || hibernateAfter === "Infinity"
    if (passivateAfter !== Infinity && neverHibernates) {
      return yield* invalid(
        "snapshots.passivateAfter",
        "needs hibernateAfter: only sessions that hibernate leave memory"
      )
    }
    const policies: ReadonlyArray<unknown> = ["atEnd", "atHibernation", "everyChange"]
    const isTimed = typeof save === "object" && (save as unknown) !== null && ("every" in save !== "debounce" in save)
    if (!isTimed && !policies.includes(save)) {
      return yield* invalid("snapshots.save", `must be one of ${policies.join(", ")}, { every } or { debounce }`)
    }
    if (save === "atHibernation" && neverHibernates) {
      return yield* invalid("snapshots.save", "needs hibernateAfter: sessions that never hibernate are not saved then")
    }
    if (typeof save === "object" && "every" in save) {
      yield* SessionsConfig.wholeNumber(name("snapshots.save.every"), save.every, 1)
    }
    return {
      save,
      debounce: typeof save === "object" && "debounce" in save
        ? yield* SessionsConfig.duration(name("snapshots.save.debounce"), save.debounce)
        : 0,
      migrations,
      passivateAfter: yield* SessionsConfig.duration(name("snapshots.passivateAfter"), passivateAfter, {
        infinite: true
      }),
      store: store.value
    }
  })

const defaultSupervision = Supervision.resolve(Supervision.resume())

const checkSupervision = (name: (option: string) => string, supervision: KindOptions["supervision"]) =>
  supervision === undefined
    ? Effect.succeed(defaultSupervision)
    : Effect.as(
      Effect.all([
        supervision.maxCrashes === Infinity
          ? Effect.void
          : SessionsConfig.wholeNumber(name("supervision.maxCrashes"), supervision.maxCrashes, 0),
        SessionsConfig.duration(name("supervision.within"), supervision.within, { infinite: true })
      ]),
      supervision
    ).pipe(Effect.map(Supervision.resolve))
