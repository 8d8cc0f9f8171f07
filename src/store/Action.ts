/**
 * What happens to a store: a type, a payload and what else the sender says of it.
 *
 * @since 0.1.0
 */

/**
 * What a sender says of an action besides its payload.
 *
 * @since 0.1.0
 * @category models
 */
export interface Meta {
  /** Only these reducers get the action, by name, and get it with its full type. */
  readonly reducers?: ReadonlyArray<string> | undefined
  /** Only reducers with this prefix get the action. */
  readonly prefix?: string | undefined
  /** Names the work that an asynchronous action starts, for `Store.cancel`. Default: the action's type. */
  readonly id?: string | undefined
}

/**
 * An action.
 *
 * @since 0.1.0
 * @category models
 */
export interface Action<out Type extends string = string, out Payload = unknown> {
  readonly type: Type
  readonly payload: Payload
  readonly meta: Meta
}

/**
 * The meta of an action that has none.
 *
 * @since 0.1.0
 * @category constants
 */
export const noMeta: Meta = Object.freeze({})

/**
 * Makes an action.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const Type extends string, Payload = undefined>(
  type: Type,
  payload?: Payload,
  meta: Meta = noMeta
): Action<Type, Payload> => ({ type, payload: payload as Payload, meta })

/**
 * The type without its prefix, as a reducer with that prefix sees it; `undefined` when it has another one.
 *
 * @since 0.1.0
 * @category prefixes
 */
export const strip = (type: string, prefix: string): string | undefined =>
  prefix === ""
    ? type
    : type.startsWith(prefix) && type[prefix.length] === "."
    ? type.slice(prefix.length + 1)
    : undefined
