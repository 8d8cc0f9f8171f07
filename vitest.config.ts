import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

// `source` makes the package's own name, imported by a test, mean its sources: no build, no alias.
const conditions = ["source", "module", "node", "development|production"]

// No test depends on how fast the machine is: this only ends what hangs, on a busy machine too.
const patience = 180_000

/** Files that wait for browsers and processes come first, so that no worker is left alone with one of them at the end. */
const long = ["chaos", "browser", "realtime", "storage", "policies", "fuzz", "main", "sqlite-crash"]

class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const rank = ({ moduleId }: TestSpecification) => {
      const at = long.findIndex((name) => moduleId.endsWith(`/${name}.test.ts`))
      return at < 0 ? long.length : at
    }
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b))
  }
}

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["source", "node", "module-sync"] } },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/programs.ts",
    environment: "node",
    pool: "threads",
    // No test leaves anything behind in its modules, so that files can share them: they need half the time then.
    isolate: false,
    // Browsers, servers and databases of the tests are waited for more than they are busy.
    maxWorkers: "150%",
    sequence: { sequencer: LongestFirst },
    testTimeout: patience,
    hookTimeout: patience,
    teardownTimeout: patience,
    reporters: ["default", "./test/SkipReporter.ts"],
    // What passing tests print, such as hints of the test clock while the machine is busy, says nothing.
    silent: "passed-only"
  }
})
