/**
 * Who a request comes from, as a key for limits per address.
 *
 * The address is the one of the connection. Behind a proxy that is the proxy's own, the same for everybody:
 * configure Effect's `HttpMiddleware.xForwardedHeaders({ trustedProxies })` outside of whatever asks here, and the
 * address becomes the one that the trusted proxies vouch for. Without it `X-Forwarded-For` counts for nothing,
 * because anybody can write anything into it.
 *
 * @since 0.1.0
 */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as IpNetwork from "effect/net/IpNetwork"
import * as NetAddress from "effect/net/NetAddress"
import * as Option from "effect/Option"
import * as Result from "effect/Result"

/** The longest IPv6 text: eight groups, the last two as IPv4. */
const longestIp = 45

const parse = (address: string): NetAddress.IpAddress | undefined => {
  const zone = address.indexOf("%")
  const text = zone === -1 ? address : address.slice(0, zone)
  if (text.length > longestIp) return undefined
  const ip = NetAddress.ipFromString(text)
  return Result.isSuccess(ip) ? NetAddress.toCanonical(ip.success) : undefined
}

/**
 * The most characters of what `normalize` gives.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxLength = 64

/**
 * The key under which limits count an address. Normalizing a key again changes nothing.
 *
 * - IPv4, also when mapped into IPv6, stays what it is: `::ffff:192.0.2.1` gives `192.0.2.1`.
 * - IPv6 gives its network of 64 bits, `2001:db8:1:2::/64`: whoever has one address there has all 2^64 of them. A
 *   zone (`%eth0`) is dropped. The loopback address is nobody's network and stays `::1`.
 * - What is no IP address, which only the program itself can have set, is kept as it is, cut to `maxLength`
 *   characters: it still tells clients apart, and no limit goes without a key. The empty text gives `undefined`.
 *
 * Never throws.
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
 * The normalized address that a request comes from: its `remoteAddress`, which is the connection's unless
 * `HttpMiddleware.xForwardedHeaders` has replaced it. `undefined` when there is none: a request that did not come
 * over a TCP connection of ours (a Unix socket, a web handler), or whose connection is gone.
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

/** The keys of addresses that came lately, most of which come again at once. */
const recent = new Map<string, string>()
const maxRecent = 1_000

/**
 * Whether an address is this machine's own: 127.0.0.0/8 or ::1, mapped or with a zone as well.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isLoopback = (address: string): boolean => {
  const ip = parse(address)
  return ip !== undefined && NetAddress.isLoopback(ip)
}

/** An IPv6 address in brackets or a name or IPv4 address, and a port or none. */
const hostShape = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::\d*)?$/

/**
 * Whether a `Host` header names the developer's own machine: `localhost`, a name that ends in `.localhost`,
 * 127.0.0.0/8 or `[::1]`, with or without a port. Names may be in capitals and end in one dot. A header that is
 * missing says nothing, so it is `false`.
 *
 * The client writes this header: decide by it only what concerns that client, such as whether its cookie is `Secure`.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isLocalHost = (host: string | undefined): boolean => {
  const [, ipv6, name = ""] = hostShape.exec(host ?? "") ?? []
  if (ipv6 !== undefined) return ipv6.includes(":") && !ipv6.includes("%") && isLoopback(ipv6)
  return /^(?:[a-z0-9_-]+\.)*localhost\.?$/i.test(name) || (/^[0-9.]{7,15}$/.test(name) && isLoopback(name))
}
