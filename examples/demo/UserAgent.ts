/**
 * A short name for a browser, from its `User-Agent` header.
 */

/** For example `Chrome on Linux`. */
export const describe = (agent: string | null | undefined): string => {
  if (agent === null || agent === undefined || agent.trim() === "") return "Something unknown"
  const first = (names: ReadonlyArray<readonly [RegExp, string]>) => names.find(([sign]) => sign.test(agent))?.[1]
  const browser = first([[/Edg/, "Edge"], [/OPR/, "Opera"], [/Firefox/, "Firefox"], [/Chrome/, "Chrome"], [
    /Safari/,
    "Safari"
  ]])
  const system = first([
    [/Android/, "Android"],
    [/iPhone|iPad/, "iOS"],
    [/Windows/, "Windows"],
    [/Mac/, "a Mac"],
    [/Linux/, "Linux"]
  ])
  return browser === undefined
    ? agent.trim().split(/[/ ]/)[0]!.slice(0, 40)
    : system === undefined
    ? browser
    : `${browser} on ${system}`
}
