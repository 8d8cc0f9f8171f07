// Prints `N passed, N failed` from vitest's JSON report: node .ci/summary.mjs REPORT FAILED_CHECKS TESTS_EXIT
//
// Failed is the failed tests, the test files that did not load, and the failed checks. A run that ended badly
// without naming a test (an unhandled error, no report, no test at all) is one failure, never zero. Skipped tests are
// one failure, too: nothing goes untested here because something is not installed.
import * as fs from "node:fs"

const [report, failedChecks, testsExit] = process.argv.slice(2)

const read = () => {
  try {
    return JSON.parse(fs.readFileSync(report, "utf8"))
  } catch {
    console.log("vitest wrote no report")
    return { numFailedTests: 0, numPassedTests: 0, numPendingTests: 0, testResults: [] }
  }
}

const { numFailedTests, numPassedTests, numPendingTests, testResults } = read()
const unloaded =
  testResults.filter((file) =>
    file.status === "failed" && !file.assertionResults.some((test) => test.status === "failed")
  ).length

let failedTests = numFailedTests + unloaded
if (numPassedTests + failedTests === 0) console.log("no test ran")
if (failedTests === 0 && (testsExit !== "0" || numPassedTests === 0)) failedTests = 1

if (numPendingTests > 0) console.log(`${numPendingTests} tests were skipped`)

const failed = failedTests + Number(failedChecks) + (numPendingTests > 0 ? 1 : 0)
console.log(`${numPassedTests} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
