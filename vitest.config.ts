import { defineConfig } from "vitest/config"

// `source` makes the package's own name, imported by a test, mean its sources: no build, no alias.
const conditions = ["source", "module", "node", "development|production"]

// No test depends on how fast the machine is: this only ends what hangs, on a busy machine too.
const patience = 180_000

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["source", "node", "module-sync"] } },
  test: {
    include: ["test/**/*.test.ts"],
    environment: "node",
    pool: "threads",
    // Browsers, servers and databases of the tests are waited for more than they are busy.
    maxWorkers: "100%",
    testTimeout: patience,
    hookTimeout: patience,
    teardownTimeout: patience,
    reporters: ["default", "./test/SkipReporter.ts"],
    // What passing tests print, such as hints of the test clock while the machine is busy, says nothing.
    silent: "passed-only"
  }
})
