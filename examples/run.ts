/**
 * Runs every numbered example and fails when one of them does.
 */
import { spawnSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"

const folder = new URL(".", import.meta.url)
const examples = readdirSync(folder).filter((name) => /^\d\d-.*\.ts$/.test(name)).sort()

let failed = 0
for (const name of examples) {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--conditions=source", fileURLToPath(new URL(name, folder))],
    { encoding: "utf8", timeout: 30_000 }
  )
  const ok = status === 0 && stdout.length > 0
  console.log(`${ok ? "ok    " : "FAILED"} ${name}`)
  if (!ok) {
    failed++
    console.log(stdout, stderr)
  }
}
console.log(`${examples.length - failed} of ${examples.length} examples ran`)
process.exit(failed === 0 && examples.length > 0 ? 0 : 1)
