import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const script = fileURLToPath(new URL("../../.ci/summary.mjs", import.meta.url))

const summary = (report: object | undefined, failedChecks = 0, testsExit = 0) => {
  const directory = mkdtempSync(join(tmpdir(), "summary-"))
  try {
    const file = join(directory, "report.json")
    if (report !== undefined) writeFileSync(file, JSON.stringify(report))
    const { status, stdout } = spawnSync(process.execPath, [script, file, `${failedChecks}`, `${testsExit}`], {
      encoding: "utf8"
    })
    return { status, last: stdout.trimEnd().split("\n").at(-1) }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const green = { numFailedTests: 0, numPassedTests: 7, numPendingTests: 0, testResults: [] }

describe("the last line of a check of everything", () => {
  const cases: ReadonlyArray<readonly [what: string, got: ReturnType<typeof summary>, last: string]> = [
    ["all is well", summary(green), "7 passed, 0 failed"],
    ["tests were skipped", summary({ ...green, numPendingTests: 39 }), "7 passed, 1 failed"],
    ["tests and checks failed", summary({ ...green, numFailedTests: 2 }, 3, 1), "7 passed, 5 failed"],
    ["something broke that is no test", summary(green, 0, 1), "7 passed, 1 failed"],
    ["there is no report", summary(undefined), "0 passed, 1 failed"]
  ]
  for (const [what, { last, status }, expected] of cases) {
    it(`counts, and says whether it is green, when ${what}`, () => {
      assert.deepStrictEqual({ last, status }, { last: expected, status: expected.endsWith(" 0 failed") ? 0 : 1 })
    })
  }
})
