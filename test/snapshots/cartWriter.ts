/**
 * Writes the fixtures of a release: `node --conditions=source test/snapshots/cartWriter.ts 0.1`. Those of a release that is out stay as
 * they are: what it wrote must be read for ever.
 */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { argv } from "node:process"
import { fileURLToPath } from "node:url"
import * as carts from "./carts.ts"

const fixtures = fileURLToPath(new URL(`fixtures/${argv[2]!}/`, import.meta.url))

Effect.forEach([1, 2, 3] as const, (version) => carts.write(`${fixtures}cart-${version}`, version)).pipe(
  Effect.provide(TestClock.layer()),
  Effect.runPromise
)
