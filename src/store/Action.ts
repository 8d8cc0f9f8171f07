/**
 * Actions: a type, a payload, and a meta that says which reducers get it.
 *
 * @since 0.1.0
 */

/**
 * Options of a dispatched action.
 *
 * @since 0.1.0
 * @category models
 */
export interface Meta {
  /** Names the only reducers that get the action. They may declare it by its full type, too. */
  readonly reducers?: ReadonlyArray<string> | undefined
  /** Only reducers with this prefix get the action. */
  readonly prefix?: string | undefined
  /** The id of the work that an asynchronous action starts, for `Store.cancel`. Default: the action's type. */
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
 * The empty meta.
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
 * Removes a prefix from a type: `strip("counter.set", "counter")` is `"set"`. `undefined` when the type has another prefix.
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
