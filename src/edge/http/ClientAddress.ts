/**
 * The address that a request comes from, as a key for limits per address.
 *
 * It is the address of the connection. Behind a proxy, that is the address of the proxy for all clients: apply Effect's
 * `HttpMiddleware.xForwardedHeaders({ trustedProxies })` outside of the routes, and it is the address that the trusted proxies
 * report. Otherwise `X-Forwarded-For` is ignored, because any client can send it.
 *
 * @since 0.1.0
 */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"

/** The length of the longest IPv6 text: eight groups, the last two written as IPv4. */
const longestIp = 45

const parse = (address: string): NetAddress.IpAddress | undefined => {
  const zone = address.indexOf("%")
  const text = zone === -1 ? address : address.slice(0, zone)
  if (text.length > longestIp) return undefined
  const ip = NetAddress.ipFromString(text)
  return Result.isSuccess(ip) ? NetAddress.toCanonical(ip.success) : undefined
}

/**
 * The maximum length of a normalized address, in characters.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxLength = 64

/**
 * The key under which limits count an address. Normalizing a key again changes nothing. Never throws.
 *
 * - An IPv4 address stays as it is, also when it is mapped into IPv6: `::ffff:192.0.2.1` gives `192.0.2.1`.
 * - An IPv6 address gives its network of 64 bits, `2001:db8:1:2::/64`, because a client usually has all addresses of such a
 *   network. A zone (`%eth0`) is dropped. The loopback address stays `::1`.
 * - Any other text, which only the program itself can have set, is truncated to `maxLength` characters. It still distinguishes
 *   clients. The empty text gives `undefined`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const normalize = (address: string): string | undefined => {
  const ip = parse(address)
  if (ip === undefined) return address === "" ? undefined : address.slice(0, maxLength)
  return NetAddress.isIpv4Address(ip) || NetAddress.isLoopback(ip)
    ? NetAddress.formatIp(ip)
    : IpNetwork.format(IpNetwork.fromAddressUnsafe(ip, 64))
}

/**
 * The normalized `remoteAddress` of a request: the address of the connection, unless `HttpMiddleware.xForwardedHeaders` has
 * replaced it. `undefined` when the request did not come over TCP (a Unix socket, a web handler) or its connection is closed.
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (request: HttpServerRequest): string | undefined => {
  const address = Option.getOrUndefined(request.remoteAddress)
  if (address === undefined) return undefined
  let key = recent.get(address)
  if (key === undefined) {
    key = normalize(address)
    if (key === undefined) return undefined
    if (recent.size >= maxRecent) recent.clear()
    if (address.length <= maxLength) recent.set(address, key)
  }
  return key
}

/** The keys of recent addresses. */
const recent = new Map<string, string>()
const maxRecent = 1_000

/**
 * Whether an address is a loopback address: 127.0.0.0/8 or ::1, also mapped or with a zone.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isLoopback = (address: string): boolean => {
  const ip = parse(address)
  return ip !== undefined && NetAddress.isLoopback(ip)
}

/** An IPv6 address in brackets, a name, or an IPv4 address; with or without a port. */
const hostShape = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::\d*)?$/

/**
 * Whether a `Host` header names the local machine: `localhost`, a name that ends in `.localhost`, 127.0.0.0/8 or `[::1]`, with
 * or without a port. Names may be in upper case and end in one dot. Without a header it is `false`.
 *
 * The client writes this header: use it only for decisions that concern this client, such as whether its cookie is `Secure`.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isLocalHost = (host: string | undefined): boolean => {
  const [, ipv6, name = ""] = hostShape.exec(host ?? "") ?? []
  if (ipv6 !== undefined) return ipv6.includes(":") && !ipv6.includes("%") && isLoopback(ipv6)
  return /^(?:[a-z0-9_-]+\.)*localhost\.?$/i.test(name) || (/^[0-9.]{7,15}$/.test(name) && isLoopback(name))
}
