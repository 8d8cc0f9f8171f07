/**
 * `effect-sessions/auth`: whose session a connection is for, by a cookie or a token, and what its client may see and do.
 *
 * @since 0.1.0
 */
export * as Admission from "./Admission.ts"
export * from "./TokenVerifier.ts"
