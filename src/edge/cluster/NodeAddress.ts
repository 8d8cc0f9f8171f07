/**
 * The address of a node of a cluster.
 *
 * @since 0.1.0
 */

/**
 * Where the other nodes of a cluster reach a node. It is also the name of the node.
 *
 * @since 0.1.0
 * @category models
 */
export interface NodeAddress {
  readonly host: string
  readonly port: number
  /** `host:port`. Equal addresses have equal keys. */
  readonly key: string
}

/**
 * Makes an address. Hosts are compared as text: give the same one wherever the node is named.
 *
 * @since 0.1.0
 * @category constructors
 */
export const nodeAddress = (host: string, port: number): NodeAddress => ({ host, port, key: `${host}:${port}` })
