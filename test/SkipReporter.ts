/** Says at the end of a run which tests were skipped for want of what, in one line for each. */
import type { Reporter, TestModule } from "vitest/node"

declare module "vitest" {
  interface TaskMeta {
    /** What a test needs, and how to have it. */
    needs?: string
  }
}

export default class SkipReporter implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const skipped = new Map<string, number>()
    for (const module of modules) {
      for (const test of module.children.allTests("skipped")) {
        const { needs } = test.meta()
        if (needs !== undefined) skipped.set(needs, (skipped.get(needs) ?? 0) + 1)
      }
    }
    for (const [needs, count] of skipped) console.log(`${count} tests were skipped, they need ${needs}`)
  }
}
