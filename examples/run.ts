/**
 * Runs every numbered example and every example of the documentation. Fails if one of them fails.
 */
import { spawnSync } from "node:child_process"
import { globSync } from "node:fs"
import { fileURLToPath } from "node:url"

const folder = fileURLToPath(new URL(".", import.meta.url))
const examples = globSync(["[0-9][0-9]-*.ts", "docs/*.ts"], { cwd: folder }).sort()

let failed = 0
for (const name of examples) {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--conditions=source", name],
    { cwd: folder, encoding: "utf8", timeout: 120_000 }
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
