/**
 * The errors of the session library as a visitor sees them.
 *
 * The library's errors have HTTP statuses, so that an API can declare them as they are (ShopApi.ts does so with some). The
 * errors here add a header, or leave out what visitors must not see: ids of sessions and defects of handlers.
 */
import { Effect, Schema } from "effect"
import { type Inbox, SessionError } from "effect-sessions"
import { TooManyConnections } from "effect-sessions/http"
import { HttpApiSchema } from "effect/http-api"

/** One visitor sends more than `SESSIONS_MESSAGE_RATE` allows. */
export class TooManyMessages extends Schema.TaggedError<TooManyMessages>()("TooManyMessages", {
  message: Schema.String,
  /** Milliseconds. */
  retryAfter: Schema.Number
}) {}

const { StartRateExceeded } = SessionError

/** Too many new visitors, open streams, or messages: 429 with `Retry-After`, in seconds. */
export const RateExceeded = Schema.Union([StartRateExceeded, TooManyConnections, TooManyMessages]).pipe(
  HttpApiSchema.encodeToWithHeaders({
    body: Schema.Union([
      Schema.Struct(StartRateExceeded.fields),
      Schema.Struct(TooManyConnections.fields),
      Schema.Struct(TooManyMessages.fields)
    ]).pipe(HttpApiSchema.status(429), Schema.annotate({ description: "Too much at once, see `retry-after`" })),
    headers: { "retry-after": Schema.Int }
  }, {
    decode: ({ body }) => {
      switch (body._tag) {
        case "StartRateExceeded":
          return new StartRateExceeded(body)
        case "TooManyConnections":
          return new TooManyConnections(body)
        case "TooManyMessages":
          return new TooManyMessages(body)
      }
    },
    encode: (error) => ({
      body: error,
      headers: { "retry-after": Math.max(1, Math.ceil(error.retryAfter / 1_000)) }
    })
  })
)

/** The cart did not answer. It may just have ended; the next request gets a new one. */
export class CartUnavailable extends Schema.TaggedError<CartUnavailable>()(
  "CartUnavailable",
  { message: Schema.String },
  { httpApiStatus: 503 }
) {}

/** The error that a visitor gets if the cart cannot be reached. */
export const fromCall = (error: SessionError.CallError): Effect.Effect<never, TooManyMessages | CartUnavailable> =>
  Effect.fail(
    error._tag === "MessageRateExceeded"
      ? new TooManyMessages({ message: "you are too fast for this shop", retryAfter: error.retryAfter })
      : noAnswer()
  )

const noAnswer = () => new CartUnavailable({ message: "your cart did not answer, please try again" })

export const unavailable = Effect.suspend(() => Effect.fail(noAnswer()))

/** The error for what cannot be read or written now: try again. */
export const orUnavailable = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, Exclude<E, SessionError.LoadError> | CartUnavailable, R> =>
  Effect.catch(
    effect,
    (error): Effect.Effect<never, Exclude<E, SessionError.LoadError> | CartUnavailable> =>
      SessionError.isLoadError(error) ? unavailable : Effect.fail(error as Exclude<E, SessionError.LoadError>)
  )

/** An inbox did not answer. */
export class InboxUnavailable extends Schema.TaggedError<InboxUnavailable>()(
  "InboxUnavailable",
  { message: Schema.String },
  { httpApiStatus: 503 }
) {}

/** The error that a visitor gets if an inbox cannot be reached. */
export const fromInbox = (error: Inbox.PushError): Effect.Effect<never, TooManyMessages | InboxUnavailable> =>
  Effect.fail(
    error._tag === "MessageRateExceeded"
      ? new TooManyMessages({ message: "too much is going on in this inbox", retryAfter: error.retryAfter })
      : new InboxUnavailable({ message: "the inbox did not answer, please try again" })
  )

/** The visitor has no name yet. */
export class NotLoggedIn extends Schema.TaggedError<NotLoggedIn>()(
  "NotLoggedIn",
  { message: Schema.String },
  { httpApiStatus: 401 }
) {}

export class NoSuchDevice extends Schema.TaggedError<NoSuchDevice>()(
  "NoSuchDevice",
  { message: Schema.String },
  { httpApiStatus: 404 }
) {}
