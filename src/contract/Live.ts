/**
 * What clients see of a kind of session, and what they may do: views and actions, over any transport.
 *
 * A definition is the contract that server and browser share; it imports nothing of a runtime.
 *
 * ```ts
 * class CartLive extends Live.Service<CartLive>()("CartLive", {
 *   kind: Cart,
 *   views: { items: Schema.Array(Item), total: Schema.Int },
 *   messages: ["Add", "Clear"]
 * }) {}
 * ```
 *
 * A view is a part of the state under a name: what no view selects never leaves the server. `LiveViews.layer` says how each
 * is selected. A client that mounts a view gets a snapshot, then patches (RFC 6902), each from a version to a later one:
 * all of them if it is fast, and the difference to the newest state if it is not. It comes back with the position of what
 * it has, and goes on from there, or with a new snapshot: there is never a gap.
 *
 * Actions are messages of the kind, or, of a store, its actions. Each carries the client's name and a number, so that one
 * that is sent again is not done again: see `SessionRef.callOnce`.
 *
 * On the wire these are Effect RPCs, see `rpcs`: any `RpcClient` can speak with the server. `effect-sessions/client` is a
 * client that reconnects and resumes.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { EndReason } from "./EndReason.ts"
import type { Operation } from "./JsonPatch.ts"
import { ActionError, Busy, Forbidden, ViewError, type ViewFailed } from "./LiveError.ts"
import type * as Session from "./Session.ts"
import type { SessionRef } from "./SessionRef.ts"

// ---------------------------------------------------------------------------------------------------------
// what a view sends
// ---------------------------------------------------------------------------------------------------------

/**
 * A point in the life of a session: its incarnation, and how often its state had changed in it.
 *
 * @since 0.1.0
 * @category models
 */
export const Position = Schema.Struct({ epoch: Schema.Int, version: Schema.Int })

/**
 * A point in the life of a session.
 *
 * @since 0.1.0
 * @category models
 */
export type Position = typeof Position.Type

/**
 * Writes a position as `epoch:version`: the id of a server-sent event.
 *
 * @since 0.1.0
 * @category positions
 */
export const formatPosition = ({ epoch, version }: Position): string => `${epoch}:${version}`

/**
 * Reads a position as `formatPosition` writes it; anything else is no position.
 *
 * @since 0.1.0
 * @category positions
 */
export const parsePosition = (text: string): Position | undefined => {
  const match = /^(\d{1,15}):(\d{1,15})$/.exec(text)
  return match === null ? undefined : { epoch: Number(match[1]), version: Number(match[2]) }
}

/**
 * The view as it is at a position, as JSON.
 *
 * @since 0.1.0
 * @category models
 */
export interface ViewState extends Position {
  readonly _tag: "snapshot"
  readonly state: Schema.Json
}

/**
 * What makes the view at `version` out of the one at `from`, in one incarnation. Empty when a client that came back
 * has missed nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Patch extends Position {
  readonly _tag: "patch"
  readonly from: number
  readonly patch: ReadonlyArray<Operation>
}

/**
 * What the server sends for a mounted view: a whole state or a patch.
 *
 * @since 0.1.0
 * @category models
 */
export type Event = ViewState | Patch

const PatchOperation = Schema.Union([
  Schema.Struct({ op: Schema.Literals(["add", "replace"]), path: Schema.String, value: Schema.Json }),
  Schema.Struct({ op: Schema.Literal("remove"), path: Schema.String }),
  Schema.Struct({ op: Schema.Literal("move"), from: Schema.String, path: Schema.String })
])

/**
 * The fields of a snapshot, without its tag.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ViewStateFields = { ...Position.fields, state: Schema.Json }

/**
 * The fields of a patch, without its tag.
 *
 * @since 0.1.0
 * @category schemas
 */
export const PatchFields = { ...Position.fields, from: Schema.Int, patch: Schema.Array(PatchOperation) }

/**
 * The schema of what the server sends for a mounted view.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Event: Schema.Codec<Event> = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("snapshot"), ...ViewStateFields }),
  Schema.Struct({ _tag: Schema.Literal("patch"), ...PatchFields })
]) as never

// ---------------------------------------------------------------------------------------------------------
// definitions
// ---------------------------------------------------------------------------------------------------------

/**
 * The views of a definition: the schema of each, by name.
 *
 * @since 0.1.0
 * @category models
 */
export interface ViewSchemas {
  readonly [name: string]: Schema.Top
}

/**
 * Those actions of a store that are dispatched by type. Other kinds have none.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Dispatchable<K> = K extends { readonly dispatchable: ReadonlyMap<string, infer R extends Rpc.Any> } ? R
  : never

/**
 * A definition of what is live of a kind: the class that `Service` makes. The service is the views, mounted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition<
  in out Self,
  Name extends string,
  Kind extends Session.Any,
  V extends ViewSchemas,
  Commands extends Rpc.Any
> extends Context.ServiceClass<Self, `effect-sessions/live/${Name}`, Views<Session.State<Kind>, keyof V & string>> {
  readonly kind: Kind
  readonly views: V
  /** What clients may do, by name. */
  readonly commands: ReadonlyMap<string, Commands>
}

/**
 * A definition of anything live.
 *
 * @since 0.1.0
 * @category models
 */
export interface Any {
  readonly key: string
  readonly kind: Session.Any
  readonly views: ViewSchemas
  readonly commands: ReadonlyMap<string, Rpc.Any>
}

/**
 * The names of the views.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ViewName<D extends Any> = keyof D["views"] & string

/**
 * The value of a view.
 *
 * @since 0.1.0
 * @category utility types
 */
export type View<D extends Any, N extends ViewName<D>> = D["views"][N]["Type"]

/**
 * What clients may do.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Command<D extends Any> = D["commands"] extends ReadonlyMap<string, infer R extends Rpc.Any> ? R : never

/**
 * Those actions that are dispatched to a store.
 *
 * @since 0.1.0
 * @category utility types
 */
export type DispatchedAction<D extends Any> = Extract<Command<D>, Dispatchable<D["kind"]>>

/**
 * Defines what is live of a kind: the views, and the messages and actions that clients may send. Nothing else can be
 * seen or done by a client. Names that clash are a defect of the program and throw at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service = <Self>() =>
<
  const Name extends string,
  Kind extends Session.Any,
  const V extends ViewSchemas,
  const M extends Session.Protocol<Kind>["_tag"] = never,
  const A extends Dispatchable<Kind>["_tag"] = never
>(name: Name, options: {
  readonly kind: Kind
  readonly views: V
  readonly messages?: ReadonlyArray<M> | undefined
  readonly actions?: ReadonlyArray<A> | undefined
}): Definition<
  Self,
  Name,
  Kind,
  V,
  Extract<Session.Protocol<Kind>, { readonly _tag: M }> | Extract<Dispatchable<Kind>, { readonly _tag: A }>
> => {
  const { actions = [], kind, messages = [], views } = options
  const dispatchable = (kind as { readonly dispatchable?: ReadonlyMap<string, Rpc.Any> }).dispatchable
  const commands = new Map<string, Rpc.Any>()
  const expose = (what: string, known: ReadonlyMap<string, Rpc.Any> | undefined, names: ReadonlyArray<string>) => {
    for (const command of names) {
      const rpc = known?.get(command)
      if (rpc === undefined) throw new TypeError(`live ${name}: ${kind.kind} has no ${what} ${command}`)
      if (commands.has(command)) throw new TypeError(`live ${name}: ${command} is named twice`)
      if (command.startsWith("live.")) throw new TypeError(`live ${name}: the name ${command} is taken`)
      commands.set(command, rpc)
    }
  }
  expose("message", kind.protocol, messages)
  expose("action", dispatchable, actions)
  return Object.assign(Context.Service<Self, never>()(`effect-sessions/live/${name}`), {
    kind,
    views,
    commands
  }) as never
}

// ---------------------------------------------------------------------------------------------------------
// mounted views
// ---------------------------------------------------------------------------------------------------------

/**
 * Options of mounting a view.
 *
 * @since 0.1.0
 * @category models
 */
export interface MountOptions {
  /** Goes on from there: with a patch if the server still knows that version, else with a snapshot. */
  readonly after?: Position | undefined
}

/**
 * Callbacks of a mounted view. They run in the stack of whatever changed the session, so they should only note what
 * happened.
 *
 * @since 0.1.0
 * @category models
 */
export interface Viewer {
  /** There is something new: `Mounted.next` gives it. */
  readonly changed: () => void
  /** The session has ended; nothing comes after it. */
  readonly ended: (reason: EndReason) => void
  /** The view could not be made, which is logged; nothing comes after it. */
  readonly failed?: ((error: ViewFailed) => void) | undefined
}

/**
 * A mounted view: the difference between what its viewer has and what there is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Mounted {
  /** Is there something that the viewer has not got? */
  readonly isBehind: boolean
  /** What brings the viewer up to date; `undefined` when it is. From here on it counts as having it. */
  readonly next: () => Event | undefined
  /** `next`, as JSON. It is made once for all viewers that have the same and get the same. */
  readonly nextJson: () => string | undefined
}

/**
 * The views of sessions of a kind, as a server mounts them: what yielding a definition gives.
 *
 * @since 0.1.0
 * @category models
 */
export interface Views<in out State, in out N extends string> {
  /**
   * Follows a view: a snapshot, or what came after the position of someone who comes back, then patches, conflated to
   * what the reader can take. Ends with `SessionGone` and the reason, or with `ViewFailed`; fails with `Busy` when the session cannot
   * be loaded now. Unmounted with the stream.
   */
  stream(ref: SessionRef<State, any>, view: N, options?: MountOptions): Stream.Stream<Event, ViewError>

  /**
   * Follows a view with callbacks for as long as the Scope lives: what transports are made of. The first `next` gives
   * where the viewer begins.
   */
  mount(
    ref: SessionRef<State, any>,
    view: N,
    viewer: Viewer,
    options?: MountOptions
  ): Effect.Effect<Mounted, ViewError, Scope.Scope>
}

// ---------------------------------------------------------------------------------------------------------
// the wire
// ---------------------------------------------------------------------------------------------------------

/**
 * The first thing that a client asks for. Does not count as activity.
 *
 * @since 0.1.0
 * @category rpcs
 */
export const hello = Rpc.make("live.hello", {
  success: Schema.Struct({
    /** The incarnation of the session. */
    epoch: Schema.Int,
    /** How many answers the session remembers of a client: it should not have more actions under way. */
    window: Schema.Int,
    /** In how many milliseconds the session expires without further activity; `null` when it does not. */
    expiresIn: Schema.NullOr(Schema.Number),
    /** The largest frame that the server takes, in bytes. */
    maxFrameSize: Schema.optionalKey(Schema.Int),
    /** How many actions with a number the session has accepted: see `headers.accepted`. */
    accepted: Schema.optionalKey(Schema.Int),
    /** Milliseconds until the client's token expires, and the connection with it: see `token`. */
    tokenExpiresIn: Schema.optionalKey(Schema.Number)
  }),
  error: ViewError
})

/**
 * Replaces the token of the connection by another one, for the same user and session. The connection then lasts as
 * long as the new token. A token that is not accepted is answered with `Forbidden` and changes nothing.
 *
 * @since 0.1.0
 * @category rpcs
 */
export const token = Rpc.make("live.token", {
  payload: { token: Schema.String },
  success: Schema.Struct({
    /** Milliseconds until the new token expires. */
    expiresIn: Schema.Number
  }),
  error: Schema.Union([Forbidden, Busy])
})

/**
 * Mounts a view. Interrupting it unmounts the view.
 *
 * @since 0.1.0
 * @category rpcs
 */
export const view = Rpc.make("live.view", {
  payload: { view: Schema.String, after: Schema.optionalKey(Position) },
  success: Event,
  error: ViewError,
  stream: true
})

/**
 * The header of a `hello` by which a client asks for long messages in parts. Each part is a frame of its own: it
 * begins with `+`, the last part with `=`, and the rest of all parts joined is the message. A browser reports a frame
 * only when all of it has arrived; with parts, the client sees that a long message is on its way.
 *
 * @since 0.1.0
 * @category rpcs
 */
export const partsHeader = "live-parts"

/**
 * The headers of a request that make it an action which is handled once: see `SessionRef.callOnce`. `Busy`, `Forbidden`,
 * `InvalidPayload` and `Unknown` leave its number free; of an action that was sent before, `Busy` does not say whether it
 * was handled then.
 *
 * @since 0.1.0
 * @category rpcs
 */
export const headers = {
  client: "live-client",
  sequence: "live-sequence",
  epoch: "live-epoch",
  again: "live-again",
  /** What `hello` said of `accepted` before the action was first sent: see `OnceOptions.accepted`. */
  accepted: "live-accepted"
} as const

type WithActionErrors<R extends Rpc.Any> = R extends
  Rpc.Rpc<infer Tag, infer Payload, infer Success, infer Error, any, any>
  ? Rpc.Rpc<Tag, Payload, Success, Schema.Union<readonly [typeof ActionError, Error]>>
  : never

/**
 * What clients may do, as they see it: with the errors that any action can have.
 *
 * @since 0.1.0
 * @category rpcs
 */
export type Rpcs<D extends Any> = typeof hello | typeof token | typeof view | WithActionErrors<Command<D>>

/**
 * A command as clients see it: with the errors that any action can have.
 *
 * @since 0.1.0
 * @category rpcs
 */
export const commandRpc = (command: Rpc.Any): Rpc.AnyWithProps => {
  const { errorSchema, payloadSchema, successSchema } = command as Rpc.AnyWithProps
  return Rpc.make(command._tag, {
    payload: payloadSchema,
    success: successSchema,
    error: Schema.Union([ActionError, errorSchema])
  }) as never
}

/**
 * The RPCs which the server of a definition serves, for an `RpcClient`: a request's headers name the client and count the
 * action (see `headers`); without them it is handled as often as it comes.
 *
 * @since 0.1.0
 * @category rpcs
 */
export const rpcs = <D extends Any>(definition: D): RpcGroup.RpcGroup<Rpcs<D>> =>
  RpcGroup.make(hello, token, view, ...Array.from(definition.commands.values(), commandRpc)) as never
