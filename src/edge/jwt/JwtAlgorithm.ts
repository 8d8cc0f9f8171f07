/**
 * The algorithms that tokens can be signed with. There is no "none".
 *
 * @since 0.1.0
 */
/**
 * Algorithms with one secret.
 *
 * @since 0.1.0
 * @category algorithms
 */
export const secretAlgorithms = ["HS256", "HS384", "HS512"] as const

const rsaAlgorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const

const curveAlgorithms = ["ES256", "ES384", "ES512", "EdDSA", "Ed25519"] as const

/**
 * Algorithms with a pair of keys.
 *
 * @since 0.1.0
 * @category algorithms
 */
export const keyPairAlgorithms = [...rsaAlgorithms, ...curveAlgorithms] as const

/**
 * Algorithms with one secret that both signs and verifies.
 *
 * @since 0.1.0
 * @category models
 */
export type SecretAlgorithm = (typeof secretAlgorithms)[number]

/**
 * Algorithms with a private key that signs and a public key that verifies. "EdDSA" and "Ed25519" are the older and the newer
 * name of the same algorithm, but different texts in the header of a token: pin the one that your issuer writes.
 *
 * @since 0.1.0
 * @category models
 */
export type KeyPairAlgorithm = (typeof keyPairAlgorithms)[number]

/**
 * The algorithms that keys can be pinned to.
 *
 * @since 0.1.0
 * @category models
 */
export type Algorithm = SecretAlgorithm | KeyPairAlgorithm
