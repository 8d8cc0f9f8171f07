/**
 * The schemas of actions: how they are stored, sent, and decoded from outside. A payload has the schema that its reducer
 * declares.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { type Action, make as makeAction, type Meta, noMeta } from "../../../store/Action.ts"
import type * as Reducer from "../../../store/Reducer.ts"
import { InvalidAction, UnknownAction } from "../../../store/StoreError.ts"
import { isKnown, type Target, targetsOf } from "./routing.ts"

/** A debounced action whose time has come, for one reducer. */
export interface Fired {
  readonly action: Action
  readonly reducer: string
}

/** The meta of an action as JSON. */
const MetaJson = Schema.Struct({
  reducers: Schema.optionalKey(Schema.Array(Schema.String)),
  prefix: Schema.optionalKey(Schema.String),
  id: Schema.optionalKey(Schema.String)
})

/** An action as JSON. */
const ActionJson = Schema.Struct({
  type: Schema.String,
  payload: Schema.optionalKey(Schema.Unknown),
  meta: Schema.optionalKey(MetaJson)
})

type ActionJson = typeof ActionJson.Type

const FiredJson = Schema.Struct({ action: ActionJson, reducer: Schema.String })

const payloadCodecs = new WeakMap<Schema.Top, Schema.Codec<unknown, unknown>>()

/** The JSON codec of the payload that a reducer declares. */
const payloadCodec = ({ reducer, short }: Target): Schema.Codec<unknown, unknown> => {
  const schema: Schema.Top = reducer.actions[short]
  let codec = payloadCodecs.get(schema)
  if (codec === undefined) {
    codec = Schema.toCodecJson(schema as Schema.Codec<unknown, unknown>)
    payloadCodecs.set(schema, codec)
  }
  return codec
}

/** The codec for an action that no reducer declares. */
const undeclared: Schema.Codec<unknown, unknown> = Schema.toCodecJson(Schema.Unknown)

/** A codec of `A` by way of the JSON form `B`. */
const through = <A, B>(
  json: Schema.Codec<B, any>,
  encode: (value: A) => Effect.Effect<B, Schema.SchemaError>,
  decode: (json: B) => Effect.Effect<A, Schema.SchemaError>
): Schema.Codec<A, unknown> =>
  json.pipe(
    Schema.decodeTo(
      Schema.Any as Schema.Codec<A>,
      SchemaTransformation.transformEffect<any, any>({
        encode: (value) => Effect.mapError(encode(value), ({ issue }) => issue),
        decode: (value) => Effect.mapError(decode(value), ({ issue }) => issue)
      })
    )
  )

const metaToJson = ({ id, prefix, reducers }: Meta): typeof MetaJson.Type | undefined =>
  id === undefined && prefix === undefined && reducers === undefined ? undefined : {
    ...id !== undefined && { id },
    ...prefix !== undefined && { prefix },
    ...reducers !== undefined && { reducers }
  }

const encode = (action: Action, codec: Schema.Codec<unknown, unknown>): Effect.Effect<ActionJson, Schema.SchemaError> =>
  Effect.map(Schema.encodeEffect(codec)(action.payload), (payload) => {
    const meta = metaToJson(action.meta)
    return { type: action.type, payload, ...meta !== undefined && { meta } }
  })

const decode = (
  { meta, payload, type }: ActionJson,
  codec: Schema.Codec<unknown, unknown>
): Effect.Effect<Action, Schema.SchemaError> =>
  Effect.map(
    Schema.decodeUnknownEffect(codec)(payload ?? null),
    (payload) => makeAction(type, payload, meta ?? noMeta)
  )

/** The schemas of a store's `Dispatch` and `Fire`. */
export const makeActionSchemas = (reducers: ReadonlyArray<Reducer.Any>) => {
  const toAction = ({ meta, type }: ActionJson): Action => makeAction(type, undefined, meta ?? noMeta)
  const codecOf = (action: Action) => {
    const [target] = targetsOf(reducers, action)
    return target === undefined ? undeclared : payloadCodec(target)
  }
  const codecFor = (action: Action, reducer: string) =>
    Effect.suspend(() => {
      const target = targetsOf(reducers, action).find((target) => target.reducer.name === reducer)
      return target === undefined
        ? Effect.fail(
          new Schema.SchemaError(
            new SchemaIssue.InvalidValue({ expected: `an action that the reducer ${reducer} declares` }, action.type)
          )
        )
        : Effect.succeed(payloadCodec(target))
    })
  return {
    action: through<Action, ActionJson>(
      ActionJson,
      (action) => encode(action, codecOf(action)),
      (json) => decode(json, codecOf(toAction(json)))
    ),
    fired: through<Fired, typeof FiredJson.Type>(
      FiredJson,
      ({ action, reducer }) =>
        Effect.map(
          Effect.flatMap(codecFor(action, reducer), (codec) => encode(action, codec)),
          (action) => ({ action, reducer })
        ),
      ({ action, reducer }) =>
        Effect.map(
          Effect.flatMap(codecFor(toAction(action), reducer), (codec) => decode(action, codec)),
          (action) => ({ action, reducer })
        )
    )
  }
}

/** Decodes an action from outside. */
export const decodeAction = (
  reducers: ReadonlyArray<Reducer.Any>,
  input: unknown
): Effect.Effect<Action, UnknownAction | InvalidAction> =>
  Effect.gen(function*() {
    const invalid = (type: string) => (error: Error) =>
      new InvalidAction({ type, message: `the action ${type} does not fit: ${error.message.replace(/\s+/g, " ")}` })
    const raw = yield* Effect.mapError(Schema.decodeUnknownEffect(ActionJson)(input), invalid("from outside"))
    const action = makeAction(raw.type, raw.payload, raw.meta ?? noMeta)
    const targets = targetsOf(reducers, action)
    const [first] = targets
    if (first === undefined) {
      if (isKnown(reducers, targets)) return action
      return yield* UnknownAction.of(raw.type)
    }
    const decodePayload = Schema.decodeUnknownEffect(payloadCodec(first))
    const payload = yield* Effect.mapError(decodePayload(raw.payload ?? null), invalid(raw.type))
    return { ...action, payload }
  })
