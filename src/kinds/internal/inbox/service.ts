/**
 * The inboxes of all users, over their sessions.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { SessionKind } from "../../../contract/Session.ts"
import {
  type CallError,
  type InvalidConfig,
  InvalidSessionId,
  type SessionNotFound
} from "../../../contract/SessionError.ts"
import type { SessionHost } from "../../../contract/SessionHost.ts"
import * as SessionId from "../../../contract/SessionId.ts"
import { backoff } from "../../../internal/backoff.ts"
import { isSafe } from "../../../policy/Retry.ts"
import type {
  AnyDefinition,
  AskError,
  Create,
  Filter,
  FollowError,
  Inboxes,
  Kinds,
  Options,
  Protocol,
  Pushed,
  PushError,
  PushOptions,
  PushRequest,
  Ref,
  SubscribeOptions
} from "../../Inbox.ts"
import { makeBehavior, matches, unreadCount } from "./behavior.ts"
import { Contents, type InboxState, type Item } from "./Contents.ts"
import { checkOptions, kindOptions } from "./options.ts"
import { isExpired } from "./state.ts"

/** How many users of a batch are pushed to at a time; only those whose inbox must be loaded take time. */
const batchConcurrency = 64

/** The pauses before a lost inbox is opened again, in milliseconds. */
const firstPause = 100
const longestPause = 10_000

type InboxKind = SessionKind<InboxState, Protocol<Kinds>, void, never>

export const makeLayer = (
  definition: AnyDefinition,
  options: Options<Kinds>
): Layer.Layer<any, InvalidConfig, SessionHost> =>
  Layer.unwrap(Effect.map(
    checkOptions(definition.kind.kind, Object.keys(definition.kinds), options),
    (settings) =>
      Layer.provideMerge(
        Layer.effect(
          definition,
          Effect.gen(function*() {
            const names = new Set(Object.keys(definition.kinds))
            return makeInboxes(yield* definition.kind, names, settings.create, yield* Clock.Clock)
          })
        ),
        definition.kind.toLayer(makeBehavior(definition, settings), kindOptions(options))
      )
  ))

const makeInboxes = (
  sessions: InboxKind,
  kinds: ReadonlySet<string>,
  create: Create,
  clock: Clock.Clock
): Inboxes<Kinds> => {
  const open = (user: string) => sessions.start(user, { user })

  /** Pushes into the inbox of a user. */
  const deliver = (user: string, message: PushRequest<Kinds>): Effect.Effect<Pushed, PushError> =>
    Effect.suspend(() => {
      const found = sessions.findUnsafe(user)
      if (found !== undefined) return retryIfEnded(found.call("Push", message), user, message)
      if (create === "onPush") {
        return retryIfEnded(Effect.flatMap(open(user), (ref) => ref.call("Push", message)), user, message)
      }
      return SessionId.isValid(user)
        ? sessions.ref(user).call("Push", message)
        : Effect.fail(InvalidSessionId.of(user))
    })

  /** The session may end before the message arrives: its successor gets it. */
  const retryIfEnded = (
    sent: Effect.Effect<Pushed, PushError>,
    user: string,
    message: PushRequest<Kinds>
  ): Effect.Effect<Pushed, PushError> =>
    Effect.catchCause(
      sent,
      (cause) => isNotFound(Cause.squash(cause)) ? deliver(user, message) : Effect.failCause(cause)
    )

  /** Asks the inbox of a user. A user without an inbox has no notifications. */
  const ask = <A>(
    user: string,
    filter: Filter<string>,
    ifNone: A,
    question: (ref: Ref<Kinds>) => Effect.Effect<A, CallError>
  ): Effect.Effect<A, AskError> =>
    Effect.suspend(() => {
      checkKinds(filter)
      return Effect.catchTag(
        question(sessions.ref(user)),
        "SessionNotFound",
        () => SessionId.isValid(user) ? Effect.succeed(ifNone) : Effect.fail(InvalidSessionId.of(user))
      )
    })

  const checkKinds = (filter: Filter<string>): void => {
    for (const kind of filter.kinds ?? []) {
      if (!kinds.has(kind)) {
        throw new TypeError(
          `inbox ${sessions.kind}: there is no kind of notification ${kind} (known: ${Array.from(kinds).join(", ")})`
        )
      }
    }
  }

  const push = (
    user: string,
    kind: string,
    payload?: unknown,
    options?: PushOptions
  ): Effect.Effect<Pushed, PushError> =>
    options === undefined
      ? deliver(user, { kind, payload })
      : Effect.suspend(() => deliver(user, request(kind, payload, options)))

  /** The states of an inbox, through ends and restarts of its session, until the server shuts down. */
  const states = (user: string): Stream.Stream<InboxState, FollowError> =>
    Stream.suspend(() => {
      let isFirst = true
      let failures = 0
      const attached = Effect.matchEffect(open(user), {
        onFailure: (error) =>
          isFirst || error._tag === "SessionsClosed" || !isSafe(error)
            ? Effect.fail(error)
            : Effect.as(Effect.sleep(backoff(++failures, firstPause, longestPause)), Stream.empty),
        onSuccess: (ref) => {
          isFirst = false
          failures = 0
          return Effect.succeed(ref.changes())
        }
      })
      return Stream.unwrap(attached).pipe(
        Stream.catchTag(["SessionNotFound", "SessionEnded"], () => Stream.empty),
        Stream.forever,
        Stream.catchTag("SessionsClosed", () => Stream.empty)
      )
    })

  const subscribe = (user: string, options: SubscribeOptions<string> = {}): Stream.Stream<Item, FollowError> =>
    Stream.suspend(() => {
      checkKinds(options)
      return Stream.mapAccum(states(user), () => undefined as number | undefined, (seen, state) => {
        const now = clock.currentTimeMillisUnsafe()
        const after = seen ?? options.after
        const isNews = (item: Item) =>
          (after === undefined ? item.readAt === null : item.id > after) && !isExpired(item, now) &&
          matches(options, item)
        return [state.lastId, after === undefined ? state.notifications.filter(isNews) : since(state, after, isNews)]
      })
    })

  return {
    push,
    pushAll: (users, kind, payload?: unknown, options?: PushOptions) =>
      Effect.map(
        Effect.forEach(
          new Set(users),
          (user) => Effect.map(Effect.result(push(user, kind, payload, options)), (result) => [user, result] as const),
          { concurrency: batchConcurrency }
        ),
        (results) => new Map(results)
      ),
    pushUnsafe: (user, kind, payload?: unknown, options?: PushOptions) =>
      sessions.findUnsafe(user)?.castUnsafe("Push", request(kind, payload, options)) ?? false,
    list: (user, query = {}) => ask<ReadonlyArray<any>>(user, query, [], (ref) => ref.call("List", query)),
    unread: (user, filter = {}) => ask(user, filter, 0, (ref) => ref.call("Unread", filter)),
    read: (user, ids) => ask(user, {}, 0, (ref) => ref.call("Read", { ids: Array.from(ids) })),
    readUpTo: (user, id, filter = {}) => ask(user, filter, 0, (ref) => ref.call("ReadUpTo", { ...filter, id })),
    readAll: (user, filter = {}) => ask(user, filter, 0, (ref) => ref.call("ReadAll", filter)),
    remove: (user, ids) => ask(user, {}, 0, (ref) => ref.call("Remove", { ids: Array.from(ids) })),
    clear: (user, which = {}) => ask(user, which, 0, (ref) => ref.call("Clear", which)),
    subscribe: (user, options) => subscribe(user, options) as Stream.Stream<any, FollowError>,
    unreadCounts: (user, filter = {}) =>
      Stream.suspend(() => {
        checkKinds(filter)
        return Stream.changes(
          Stream.map(states(user), (state) => unreadCount(state, filter, clock.currentTimeMillisUnsafe()))
        )
      }),
    open
  }
}

const isNotFound = (error: unknown): error is SessionNotFound =>
  (error as { readonly _tag?: unknown } | undefined)?._tag === "SessionNotFound"

/** The notifications that came after an id: they are at the end. */
const since = (state: InboxState, id: number, isNews: (item: Item) => boolean): Array<Item> => {
  const contents = Contents.of(state)
  const news: Array<Item> = []
  for (let place = contents.findLast((item) => item.id <= id) + 1; place < contents.size; place++) {
    const item = contents.at(place)
    if (isNews(item)) news.push(item)
  }
  return news
}

const request = (kind: string, payload: unknown, options: PushOptions | undefined): PushRequest<Kinds> => {
  if (options === undefined) return { kind, payload }
  const { expireAfter, key, onDuplicate } = options
  const millis = expireAfter === undefined ? undefined : Duration.toMillis(expireAfter)
  return {
    kind,
    payload,
    ...key === undefined ? undefined : { key },
    ...millis === undefined ? undefined : { expireAfter: millis === Infinity ? null : millis },
    ...onDuplicate === undefined ? undefined : { onDuplicate }
  }
}
