/**
 * `effect-sessions/jwt`: JSON Web Tokens, verified and issued. Needs `jose`.
 *
 * @since 0.1.0
 */
export * from "./JwtAlgorithm.ts"
export * from "./JwtKeys.ts"
export * from "./JwtSigner.ts"
export * as JwtVerifier from "./JwtVerifier.ts"
