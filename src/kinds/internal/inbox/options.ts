/**
 * The options of an inbox, checked and with their defaults.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { KindOptions, SnapshotOptions } from "../../../contract/KindOptions.ts"
import { InvalidConfig } from "../../../contract/SessionError.ts"
import * as SessionsConfig from "../../../policy/SessionsConfig.ts"
import type { Create, Kinds, Options, Protocol, Rules, WhenFull } from "../../Inbox.ts"

/** The rules of one kind of notification. */
export interface KindRules {
  /** In milliseconds; `null`: never. */
  readonly expireAfter: number | null
  readonly replaces: boolean
}

export interface Settings {
  readonly capacity: number
  readonly whenFull: WhenFull
  readonly create: Create
  readonly rules: ReadonlyMap<string, KindRules>
}

export const checkOptions = (
  inbox: string,
  names: ReadonlyArray<string>,
  options: Options<Kinds>
): Effect.Effect<Settings, InvalidConfig> =>
  Effect.gen(function*() {
    const { capacity = 100, create = "onPush", kinds = {}, whenFull = "dropRead" } = options
    for (const name of Object.keys(kinds)) {
      if (!names.includes(name)) {
        return yield* invalid(`${inbox}.kinds.${name}`, "names a kind of notification that the inbox does not have")
      }
    }
    yield* oneOf(`${inbox}.whenFull`, whenFull, ["dropRead", "dropOldest", "reject"])
    yield* oneOf(`${inbox}.create`, create, ["onPush", "onOpen"])
    const own = yield* checkRules(inbox, options, { expireAfter: null, replaces: false })
    const rules = new Map<string, KindRules>()
    for (const name of names) {
      const given = Object.hasOwn(kinds, name) ? kinds[name] : undefined
      rules.set(name, yield* checkRules(`${inbox}.kinds.${name}`, given ?? {}, own))
    }
    return { capacity: yield* SessionsConfig.wholeNumber(`${inbox}.capacity`, capacity, 1), whenFull, create, rules }
  })

const checkRules = (
  setting: string,
  { expireAfter, onDuplicate }: Rules,
  otherwise: KindRules
): Effect.Effect<KindRules, InvalidConfig> =>
  Effect.gen(function*() {
    yield* oneOf(`${setting}.onDuplicate`, onDuplicate ?? "keep", ["keep", "replace"])
    const lasts = expireAfter === undefined
      ? otherwise.expireAfter
      : yield* SessionsConfig.duration(`${setting}.expireAfter`, expireAfter, { infinite: true })
    return {
      expireAfter: lasts === Infinity ? null : lasts,
      replaces: onDuplicate === undefined ? otherwise.replaces : onDuplicate === "replace"
    }
  })

const oneOf = (setting: string, value: string, values: ReadonlyArray<string>): Effect.Effect<void, InvalidConfig> =>
  values.includes(value) ? Effect.void : invalid(setting, `must be one of ${values.join(", ")}, got ${String(value)}`)

const invalid = (setting: string, why: string): Effect.Effect<never, InvalidConfig> =>
  Effect.fail(new InvalidConfig({ setting, message: `${setting} ${why}` }))

/** The options of the inbox's sessions, with the defaults that suit inboxes. */
export const kindOptions = (options: Options<Kinds>): KindOptions<Protocol<Kinds>["_tag"]> => {
  const { hibernateAfter, snapshots } = options
  return {
    idleTimeout: "Infinity",
    absoluteTimeout: "Infinity",
    hibernateAfter: "1 minute",
    limitStarts: false,
    ...defined(options),
    snapshots: snapshots === undefined ? undefined : withPassivation(snapshots, hibernateAfter)
  }
}

const defined = <A extends object>(options: A): A =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as A

/** Stored inboxes leave memory, unless they never hibernate. */
const withPassivation = (
  snapshots: SnapshotOptions,
  hibernateAfter: Duration.Input | undefined
): SnapshotOptions => {
  const hibernates = hibernateAfter === undefined ||
    Option.exists(Duration.fromInput(hibernateAfter), Duration.isFinite)
  return hibernates ? { passivateAfter: "5 minutes", ...defined(snapshots) } : snapshots
}
