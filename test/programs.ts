/**
 * The programs that tests run as processes of their own, bundled once for each run: such a process would spend most of its
 * time on loading hundreds of modules.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { rolldown } from "rolldown"
import type { TestProject } from "vitest/node"

declare module "vitest" {
  interface ProvidedContext {
    /** The directory of the bundled programs. */
    programs: string
  }
}

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** The thread of a `SqliteStore` is a program, too: it is loaded from the directory of whoever starts it. */
const sources = {
  shop: file("../examples/demo/main.ts"),
  diaryWriter: file("snapshots/diaryWriter.ts"),
  clusterNode: file("cluster/nodeProgram.ts"),
  fullDisk: file("snapshots/fullDisk.ts"),
  raceWriter: file("snapshots/raceWriter.ts"),
  sqliteWriter: file("snapshots/sqliteWriter.ts"),
  tallyWriter: file("snapshots/tallyWriter.ts"),
  worker: file("../src/edge/snapshots/internal/sqlite/worker.ts")
}

/** Bundles all of them, or one. */
export const bundle = async (directory: string, only?: keyof typeof sources): Promise<void> => {
  const programs = await rolldown({
    input: only === undefined ? sources : { [only]: sources[only] },
    platform: "node",
    resolve: { conditionNames: ["source", "node", "import"] },
    plugins: [{
      name: "programs",
      // The shop bundles its page, whose files stay where they are.
      resolveId: {
        filter: { id: /^rolldown$/ },
        async handler(id, importer) {
          return { id: (await this.resolve(id, importer))!.id, external: "absolute" }
        }
      },
      transform: {
        filter: { id: file("../examples/demo/Page.ts") },
        handler: (code, id) => code.replaceAll("import.meta.url", JSON.stringify(pathToFileURL(id).href))
      }
    }],
    logLevel: "silent"
  })
  await programs.write({
    dir: directory,
    format: "esm",
    entryFileNames: "[name].mjs",
    chunkFileNames: "[name]-[hash].mjs"
  })
  await programs.close()
}

export default async (project: TestProject): Promise<() => Promise<void>> => {
  const directory = await mkdtemp(join(tmpdir(), "programs-"))
  await bundle(directory)
  project.onTestsRerun(() => bundle(directory))
  project.provide("programs", directory)
  return () => rm(directory, { recursive: true, force: true })
}
