// Adds to package-lock.json the optional platform packages that npm could not look up while writing it.
//
// A tool with native binaries lists one optional package for each platform. Where npm finds no such version it
// leaves the package out of the lock file, and `npm ci` then refuses the file as out of sync. The entries added
// here name version and platform, so that a machine of another platform installs its own and all others skip it.
//
// Run after `npm install` has changed the lock file: node .ci/complete-lock.mjs
import * as fs from "node:fs"

const file = new URL("../package-lock.json", import.meta.url)
const lock = JSON.parse(fs.readFileSync(file, "utf8"))

const systems = ["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "openharmony", "sunos", "win32"]
const processors = ["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "x64"]

const platform = (name) => {
  const words = name.slice(name.indexOf("/") + 1).split("-")
  const os = systems.find((system) => words.includes(system))
  const cpu = processors.find((processor) => words.includes(processor))
  const libc = words.some((word) => word.startsWith("musl"))
    ? "musl"
    : os === "linux" && words.some((word) => word === "glibc" || word.startsWith("gnu"))
    ? "glibc"
    : undefined
  if (os === undefined || cpu === undefined) {
    throw new Error(`cannot tell the platform of ${name}: add it to package-lock.json by hand`)
  }
  return { cpu: [cpu], os: [os], ...(libc === undefined ? {} : { libc: [libc] }) }
}

// Where Node would find `name` when it is required by the package at `path`, as npm lays packages out.
const isLocked = (path, name) => {
  for (let at = path;; at = at.slice(0, Math.max(0, at.lastIndexOf("/node_modules/")))) {
    if (lock.packages[`${at}/node_modules/${name}`] !== undefined) return true
    if (at.lastIndexOf("/node_modules/") < 0) return lock.packages[`node_modules/${name}`] !== undefined
  }
}

const added = []
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (isLocked(path, name) || !/^\d+\.\d+\.\d+[\w.+-]*$/.test(version)) continue
    const { cpu, libc, os } = platform(name)
    lock.packages[`node_modules/${name}`] = {
      version,
      cpu,
      ...(entry.dev === true ? { dev: true } : {}),
      ...(libc === undefined ? {} : { libc }),
      optional: true,
      os
    }
    added.push(`${name}@${version}`)
  }
}

const compare = ([a], [b]) => a.localeCompare(b, "en")
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(compare))
fs.writeFileSync(file, JSON.stringify(lock, null, 2) + "\n")
console.log(added.length === 0 ? "package-lock.json is complete" : `added ${added.length}:\n${added.join("\n")}`)
