import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { EndReason, SessionError } from "effect-sessions"

type Module = typeof SessionError
type ClassName = {
  [K in keyof Module]: Module[K] extends abstract new(...args: any) => Error ? K : never
}[keyof Module]

interface Example {
  readonly error: Error & SessionError.SessionErrorLike
  /** As documented. */
  readonly retrySafe: boolean
  /** What a person needs in the message to act on it. */
  readonly mentions: ReadonlyArray<string>
}

/** At least one of each class: a class that is missing here does not compile, and fails below. */
const examples: Record<ClassName, ReadonlyArray<Example>> = {
  InvalidSessionId: [
    { error: SessionError.InvalidSessionId.of("a b"), retrySafe: false, mentions: ["\"a b\"", "letters"] },
    { error: SessionError.InvalidSessionId.of(""), retrySafe: false, mentions: ["empty"] }
  ],
  UnknownKind: [
    {
      error: SessionError.UnknownKind.of("Card", ["Cart", "Bag"]),
      retrySafe: false,
      mentions: ["\"Card\"", "Cart, Bag"]
    },
    { error: SessionError.UnknownKind.of("Card", []), retrySafe: false, mentions: ["\"Card\"", "none"] }
  ],
  InvalidMessage: [{
    error: new SessionError.InvalidMessage({ kind: "Cart", tag: "Add", message: "the payload does not fit" }),
    retrySafe: false,
    mentions: ["payload"]
  }],
  SessionLimitReached: [{
    error: SessionError.SessionLimitReached.of(500),
    retrySafe: true,
    mentions: ["500", "limit"]
  }],
  StartRateExceeded: [
    {
      error: SessionError.StartRateExceeded.of(100, 60_000, 1_500),
      retrySafe: true,
      mentions: ["100", "60 s", "in 2 s", "all starts"]
    },
    {
      error: SessionError.StartRateExceeded.of(5, 1_000, 1, "this address"),
      retrySafe: true,
      mentions: ["this address", "in 1 s"]
    }
  ],
  MessageRateExceeded: [{
    error: SessionError.MessageRateExceeded.of("Cart", "ada", 250.4),
    retrySafe: true,
    mentions: ["Cart/ada", "251 ms"]
  }],
  SessionNotFound: [{
    error: SessionError.SessionNotFound.of("Cart", "ada"),
    retrySafe: true,
    mentions: ["Cart/ada", "start it"]
  }],
  SessionEnded: [
    {
      error: SessionError.SessionEnded.of("Cart", "ada", EndReason.expired("idle"), false),
      retrySafe: true,
      mentions: ["Cart/ada", "expired (idle timeout)"]
    },
    {
      error: SessionError.SessionEnded.of("Cart", "ada", EndReason.stopped("logout"), true),
      retrySafe: false,
      mentions: ["Cart/ada", "stopped (logout)"]
    }
  ],
  SessionCrashed: [{
    error: SessionError.SessionCrashed.of("Cart", "ada", "Add", new Error("stock is gone")),
    retrySafe: false,
    mentions: ["Cart/ada", "Add", "stock is gone"]
  }, {
    error: SessionError.SessionCrashed.of("Cart", "ada", "Add", "a text"),
    retrySafe: false,
    mentions: ["a text"]
  }],
  StartFailed: [{
    error: SessionError.StartFailed.of("Cart", "ada", new Error("no database")),
    retrySafe: false,
    mentions: ["Cart/ada", "no database"]
  }],
  StartTimeout: [{
    error: SessionError.StartTimeout.of("Cart", "ada", 30_000),
    retrySafe: true,
    mentions: ["Cart/ada", "30000 ms"]
  }],
  StartRefused: [{
    error: SessionError.StartRefused.of("Cart", "ada", "banned"),
    retrySafe: false,
    mentions: ["Cart/ada", "banned"]
  }],
  CallTimeout: [
    {
      error: SessionError.CallTimeout.of("Cart", "ada", "Add", 5_000, false),
      retrySafe: true,
      mentions: ["Cart/ada", "Add", "5000 ms", "skipped"]
    },
    {
      error: SessionError.CallTimeout.of("Cart", "ada", "Add", 5_000, true),
      retrySafe: false,
      mentions: ["Cart/ada", "Add", "goes on"]
    }
  ],
  MailboxFull: [{
    error: SessionError.MailboxFull.of("Cart", "ada", "Add", 1_000),
    retrySafe: true,
    mentions: ["Cart/ada", "Add", "1000"]
  }],
  ActionForgotten: [{
    error: SessionError.ActionForgotten.of(7),
    retrySafe: false,
    mentions: ["action 7", "does not remember", "or not"]
  }],
  ActionOutOfOrder: [{
    error: SessionError.ActionOutOfOrder.of(7, 5),
    retrySafe: true,
    mentions: ["action 7", "5 is expected"]
  }],
  SessionsClosed: [{ error: SessionError.SessionsClosed.of(), retrySafe: true, mentions: ["shutting down"] }],
  InvalidConfig: [{
    error: new SessionError.InvalidConfig({ setting: "maxSessions", message: "maxSessions must be a whole number" }),
    retrySafe: false,
    mentions: ["maxSessions"]
  }],
  StoreUnavailable: [{
    error: SessionError.StoreUnavailable.of("Cart", "ada", "claim: the database did not do it"),
    retrySafe: true,
    mentions: ["Cart/ada", "cannot be loaded", "the database"]
  }, {
    error: SessionError.StoreUnavailable.of("Cart", "ada", "too large", { scope: "key", what: "written" }),
    retrySafe: true,
    mentions: ["Cart/ada", "cannot be written", "too large"]
  }],
  SnapshotUnreadable: [{
    error: SessionError.SnapshotUnreadable.of("Cart", "ada", 3, "its format 3 is not known"),
    retrySafe: false,
    mentions: ["Cart/ada", "format 3", "quarantined", "not known"]
  }],
  NodeUnavailable: [{
    error: SessionError.NodeUnavailable.of("Cart", "ada"),
    retrySafe: true,
    mentions: ["Cart/ada", "no node"]
  }],
  NodeLost: [{
    error: SessionError.NodeLost.of("Cart", "ada", "Add"),
    retrySafe: false,
    mentions: ["Cart/ada", "Add", "not known"]
  }],
  RestoreFailed: [{
    error: SessionError.RestoreFailed.of("Cart", "ada", new Error("no stock")),
    retrySafe: true,
    mentions: ["Cart/ada", "could not be restored", "no stock"]
  }],
  InvalidMetadata: [{
    error: SessionError.InvalidMetadata.of("Cart", "ada", "metadata.total", "a bigint"),
    retrySafe: false,
    mentions: ["Cart/ada", "cannot be stored", "metadata.total", "a bigint"]
  }]
}

type ErrorClass = Schema.Codec<Error & SessionError.SessionErrorLike, unknown> & (new(...args: any) => Error)

const exported = Object.entries(SessionError as Record<string, unknown>)
  .filter((entry): entry is [ClassName, ErrorClass] =>
    typeof entry[1] === "function" && entry[1].prototype instanceof Error
  )

const cases = exported.flatMap(([name, schema]) =>
  (examples[name] ?? []).map((example) => ({ name, schema, ...example, text: example.error.message }))
)

/** The own data of an error, without what JavaScript adds to it. */
const fields = (error: Error) => {
  const { cause: _cause, stack: _stack, ...data } = error as unknown as Record<string, unknown>
  return data
}

describe("SessionError", () => {
  it("has an example of every exported class here", () => {
    assert.deepStrictEqual(exported.map(([name]) => name).sort(), Object.keys(examples).sort())
    for (const [name, list] of Object.entries(examples)) assert.isNotEmpty(list, name)
  })

  describe.each(cases)("$name: $text", ({ error, mentions, name, retrySafe, schema }) => {
    it("is an Error whose tag is the name of its class", () => {
      assert.instanceOf(error, schema)
      assert.instanceOf(error, Error)
      assert.strictEqual(error._tag, name)
    })

    it("has a message of one line that says what to act on", () => {
      assert.isAbove(error.message.length, 10)
      assert.notMatch(error.message, /\n|undefined|NaN|\[object/)
      for (const text of mentions) assert.include(error.message, text)
    })

    it("has the HTTP status of its schema's annotation", () => {
      const annotated = Schema.resolveAnnotations(schema)?.["httpApiStatus"]
      assert.isNumber(annotated)
      assert.strictEqual<unknown>(error.httpStatus, annotated)
      assert.isTrue(error.httpStatus >= 400 && error.httpStatus < 600)
    })

    it(`is ${retrySafe ? "" : "not "}safe to retry`, () => {
      assert.strictEqual(error.retrySafe, retrySafe)
    })

    it.effect("travels as JSON with its tag and message, and comes back as its class", () =>
      Effect.gen(function*() {
        const codec = Schema.toCodecJson(schema)
        const json = JSON.stringify(yield* Schema.encodeEffect(codec)(error))
        const parsed = JSON.parse(json)
        assert.strictEqual(parsed._tag, name)
        assert.strictEqual(parsed.message, error.message)
        assert.notProperty(parsed, "stack")
        const back = yield* Schema.decodeUnknownEffect(codec)(JSON.parse(json))
        assert.instanceOf(back, schema)
        assert.strictEqual(back.message, error.message)
        assert.strictEqual(back.retrySafe, error.retrySafe)
        assert.strictEqual(back.httpStatus, error.httpStatus)
        const { defect, ...data } = fields(error)
        const { defect: defectBack, ...dataBack } = fields(back)
        assert.deepStrictEqual(dataBack, data)
        if (defect instanceof Error) assert.strictEqual((defectBack as Error).message, defect.message)
        else assert.strictEqual(defectBack, defect)
      }))
  })

  it("distinguishes errors that refuse a start from errors of a kind", () => {
    const names = cases.filter(({ error }) => SessionError.isStartError(error)).map(({ name }) => name)
    assert.deepStrictEqual(
      Array.from(new Set(names)).sort(),
      [
        "InvalidSessionId",
        "NodeUnavailable",
        "RestoreFailed",
        "SessionLimitReached",
        "SessionsClosed",
        "SnapshotUnreadable",
        "StartFailed",
        "StartRateExceeded",
        "StartTimeout",
        "StoreUnavailable"
      ]
    )
    assert.isFalse(SessionError.isStartError(new Error("declared by a kind")))
    assert.isFalse(SessionError.isStartError({ _tag: "StartFailed" }))
    assert.isFalse(SessionError.isStartError(undefined))
  })

  it("distinguishes errors of any call from errors of actions and of a kind", () => {
    const names = cases.filter(({ error }) => SessionError.isCallError(error)).map(({ name }) => name)
    assert.deepStrictEqual(
      Array.from(new Set(names)).sort(),
      [
        "CallTimeout",
        "MailboxFull",
        "MessageRateExceeded",
        "NodeLost",
        "NodeUnavailable",
        "RestoreFailed",
        "SessionCrashed",
        "SessionEnded",
        "SessionNotFound",
        "SnapshotUnreadable",
        "StoreUnavailable"
      ]
    )
    assert.isFalse(SessionError.isCallError(new Error("declared by a kind")))
  })

  it("names the action that is expected instead", () => {
    const { expected, sequence } = SessionError.ActionOutOfOrder.of(7, 5)
    assert.deepStrictEqual({ expected, sequence }, { expected: 5, sequence: 7 })
  })

  it("gives errors that ask for a pause that pause in milliseconds", () => {
    assert.strictEqual(SessionError.StartRateExceeded.of(100, 60_000, 1_500).retryAfter, 1_500)
    assert.strictEqual(SessionError.MessageRateExceeded.of("Cart", "ada", 250).retryAfter, 250)
  })
})

describe("errors that carry what a program gave", () => {
  class Boom extends Schema.TaggedError<Boom>()("Boom", { why: Schema.String }) {}
  const circular: Record<string, unknown> = {}
  circular["self"] = circular

  for (const given of [new Boom({ why: "x" }), new Error("x"), circular, { code: 5 }, () => {}, 5n, null, "text"]) {
    it.effect(`encode ${typeof given} ${given instanceof Error ? given.name : ""} as JSON and say what it is`, () =>
      Effect.gen(function*() {
        const ended = SessionError.SessionEnded.of("K", "a", EndReason.stopped(given), true)
        const refused = SessionError.StartRefused.of("K", "a", given)
        JSON.stringify(yield* Schema.encodeEffect(Schema.toCodecJson(SessionError.SessionEnded))(ended))
        JSON.stringify(yield* Schema.encodeEffect(Schema.toCodecJson(SessionError.StartRefused))(refused))
        assert.match(refused.message, /refused to start: \S/)
      }))
  }
})
