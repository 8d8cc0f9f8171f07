/**
 * How a program reads states that an older version of it stored.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"

/**
 * From a state schema to the next: what the state looked like, and what becomes of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Migration<in out From = any, out To = unknown> {
  readonly from: Schema.Codec<From, any>
  readonly up: (state: From) => To
}

/**
 * Makes a migration. `up` is pure: it may run whenever an old snapshot is read.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <From, To>(from: Schema.Codec<From, any>, up: (state: From) => To): Migration<From, To> => ({
  from,
  up
})
