/**
 * `effect-sessions/cluster`: the sessions of a program on several machines, each of them on one at a time.
 *
 * @since 0.1.0
 */
export * from "./NodeAddress.ts"
