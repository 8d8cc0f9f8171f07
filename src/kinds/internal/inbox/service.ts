/**
 * The inboxes of all users, over their sessions.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { SessionKind } from "../../../contract/Session.ts"
import { InvalidSessionId, type SessionNotFound } from "../../../contract/SessionError.ts"
import * as SessionId from "../../../contract/SessionId.ts"
import { backoff } from "../../../internal/backoff.ts"
import { isSafe } from "../../../policy/Retry.ts"
import { type ClearRequest, type Filter, type ListRequest, matches, type PushRequest, unreadCount } from "./behavior.ts"
import { Contents, type InboxState, type Item } from "./Contents.ts"
import { isExpired } from "./state.ts"

interface PushOptions {
  readonly key?: string | undefined
  readonly expireAfter?: Duration.Input | undefined
  readonly onDuplicate?: "keep" | "replace" | undefined
}

interface SubscribeOptions extends Filter {
  readonly after?: number | undefined
}

/** How many users of a batch are pushed to at a time; only those whose inbox must be loaded count. */
const batchConcurrency = 64

/** The pauses before an inbox that was lost is looked for again, in milliseconds. */
const firstPause = 100
const longestPause = 10_000

export const makeInboxes = (
  sessions: SessionKind<InboxState, any, void, never>,
  kinds: ReadonlySet<string>,
  clock: Clock.Clock
) => {
  const open = (user: string) => sessions.start(user, { user })

  /** Pushes into the inbox of a user, who has one from then on. */
  const deliver = (user: string, message: PushRequest): Effect.Effect<any, any> =>
    Effect.suspend(() => {
      const found = sessions.findUnsafe(user)
      const sent = found === undefined
        ? Effect.flatMap(open(user), (ref) => ref.call("Push", message))
        : found.call("Push", message)
      // It may end before the message gets there.
      return Effect.catchCause(sent, (cause) =>
        isNotFound(Cause.squash(cause)) ? deliver(user, message) : Effect.failCause(cause))
    })

  /** Asks the inbox of a user; who has none has nothing in it. */
  const ask = (
    user: string,
    filter: Filter,
    tag: string,
    payload: unknown,
    nothing: unknown
  ): Effect.Effect<any, any> =>
    Effect.suspend(() => {
      checkKinds(filter)
      return Effect.catchIf(
        sessions.ref(user).call(tag, payload),
        isNotFound,
        () => SessionId.isValid(user) ? Effect.succeed(nothing) : Effect.fail(InvalidSessionId.of(user))
      )
    })

  const checkKinds = (filter: Filter): void => {
    for (const kind of filter.kinds ?? []) {
      if (!kinds.has(kind)) {
        throw new TypeError(
          `inbox ${sessions.kind}: there are no notifications ${kind} (known: ${Array.from(kinds).join(", ")})`
        )
      }
    }
  }

  const push = (user: string, kind: string, payload: unknown, options?: PushOptions): Effect.Effect<any, any> =>
    options === undefined
      ? deliver(user, { kind, payload })
      : Effect.suspend(() => deliver(user, request(kind, payload, options)))

  /** The states of an inbox, whatever becomes of its session, until the server goes. */
  const states = (user: string): Stream.Stream<InboxState, any> =>
    Stream.suspend(() => {
      let isFirst = true
      let failures = 0
      const attached = Effect.matchEffect(open(user), {
        onFailure: (error): Effect.Effect<Stream.Stream<InboxState, any>, any> =>
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
        Stream.catchIf(isOver, () => Stream.empty),
        Stream.forever,
        Stream.catchIf(isClosed, () => Stream.empty)
      )
    })

  const subscribe = (user: string, options: SubscribeOptions = {}): Stream.Stream<Item, any> =>
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

  const unreadCounts = (user: string, filter: Filter = {}): Stream.Stream<number, any> =>
    Stream.suspend(() => {
      checkKinds(filter)
      return Stream.changes(
        Stream.map(states(user), (state) => unreadCount(state, filter, clock.currentTimeMillisUnsafe()))
      )
    })

  return {
    push,
    pushAll: (users: Iterable<string>, kind: string, payload: unknown, options?: PushOptions) =>
      Effect.map(
        Effect.forEach(
          new Set(users),
          (user) => Effect.map(Effect.result(push(user, kind, payload, options)), (result) => [user, result] as const),
          { concurrency: batchConcurrency }
        ),
        (results) => new Map(results)
      ),
    pushUnsafe: (user: string, kind: string, payload: unknown, options?: PushOptions): boolean =>
      sessions.findUnsafe(user)?.castUnsafe("Push", request(kind, payload, options)) ?? false,
    list: (user: string, query: ListRequest = {}) => ask(user, query, "List", query, []),
    unread: (user: string, filter: Filter = {}) => ask(user, filter, "Unread", filter, 0),
    read: (user: string, ids: Iterable<number>) => ask(user, {}, "Read", { ids: Array.from(ids) }, 0),
    readUpTo: (user: string, id: number, filter: Filter = {}) => ask(user, filter, "ReadUpTo", { ...filter, id }, 0),
    readAll: (user: string, filter: Filter = {}) => ask(user, filter, "ReadAll", filter, 0),
    remove: (user: string, ids: Iterable<number>) => ask(user, {}, "Remove", { ids: Array.from(ids) }, 0),
    clear: (user: string, which: ClearRequest = {}) => ask(user, which, "Clear", which, 0),
    subscribe,
    unreadCounts,
    open
  }
}

const isNotFound = (error: unknown): error is SessionNotFound => tagOf(error) === "SessionNotFound"

const isOver = (error: unknown): boolean => isNotFound(error) || tagOf(error) === "SessionEnded"

const isClosed = (error: unknown): boolean => tagOf(error) === "SessionsClosed"

const tagOf = (error: unknown): unknown => (error as { readonly _tag?: unknown } | undefined)?._tag

/** Those that came after an id: they are at the end. */
const since = (state: InboxState, id: number, isNews: (item: Item) => boolean): Array<Item> => {
  const contents = Contents.of(state)
  const news: Array<Item> = []
  for (let place = contents.findLast((item) => item.id <= id) + 1; place < contents.size; place++) {
    const item = contents.at(place)
    if (isNews(item)) news.push(item)
  }
  return news
}

const request = (kind: string, payload: unknown, options: PushOptions | undefined): PushRequest => {
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
