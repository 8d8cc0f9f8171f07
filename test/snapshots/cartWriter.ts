/**
 * Writes the fixtures of a release: `node --conditions=source test/snapshots/cartWriter.ts 0.1`. Those of a release that is out stay as
 * they are: what it wrote must be read for ever.
 */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { mkdirSync, writeFileSync } from "node:fs"
import { argv } from "node:process"
import * as carts from "./carts.ts"

const fixtures = new URL(`fixtures/${argv[2]!}/`, import.meta.url)

mkdirSync(fixtures, { recursive: true })
Effect.forEach([1, 2, 3] as const, (version) =>
  Effect.map(carts.write(version), (snapshot) => {
    writeFileSync(new URL(`cart-${version}.json`, fixtures), `${JSON.stringify(snapshot, null, 2)}\n`)
  })).pipe(Effect.scoped, Effect.provide(TestClock.layer()), Effect.runPromise)
