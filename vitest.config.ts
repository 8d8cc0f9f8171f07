import { defineConfig } from "vitest/config"

// `source` makes the package's own name, imported by a test, mean its sources: no build, no alias.
const conditions = ["source", "module", "node", "development|production"]

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["source", "node", "module-sync"] } },
  test: {
    include: ["test/**/*.test.ts"],
    environment: "node",
    pool: "threads",
    // Browsers, servers and databases of the tests are waited for more than they are busy.
    maxWorkers: "100%",
    testTimeout: 10_000,
    hookTimeout: 30_000
  }
})
