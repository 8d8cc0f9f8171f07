/** What a page loads for the client. The bounds are some 10 % above what it was when they were set: see each. */
import { assert, describe, it } from "@effect/vitest"
import { gzipSync } from "node:zlib"
import { rolldown } from "rolldown"

/** Bundles a program of a page as its build would, with Effect or without. */
const bundle = async (program: string, withEffect: boolean) => {
  const entry = "\0entry"
  const build = await rolldown({
    input: entry,
    external: withEffect ? [] : /^effect(\/|$)/,
    plugins: [{
      name: "entry",
      resolveId: (id) => id === entry ? id : undefined,
      load: (id) => id === entry ? program : undefined
    }],
    platform: "browser",
    resolve: { conditionNames: ["source", "browser", "import", "default"] },
    transform: { target: "es2022" },
    logLevel: "silent"
  })
  const { output } = await build.generate({ format: "esm", minify: true })
  await build.close()
  const chunks = output.filter((file) => file.type === "chunk")
  return {
    bytes: chunks.reduce((sum, { code }) => sum + gzipSync(code).length, 0),
    imports: chunks.flatMap(({ dynamicImports, imports }) => [...imports, ...dynamicImports])
  }
}

const whole = `export * from "effect-sessions/client"`
const client = `export { LiveClient } from "effect-sessions/client"`

describe("The client in a page", () => {
  it("is 13.2 KB of its own, at most 13.5, and imports nothing but Effect", async () => {
    const { bytes, imports } = await bundle(whole, false)
    // Was 13,452 with the renewal of tokens.
    assert.isAtMost(bytes, 13_824)
    assert.isAbove(bytes, 5_000, "there is something in it")
    assert.isNotEmpty(imports)
    for (const name of imports) assert.match(name, /^effect\//)
  })

  for (
    const [what, program, most] of [
      // Was 45,134.
      ["LiveClient alone", client, 50_000],
      // Was 53,284.
      ["all of it", whole, 58_500]
    ] as const
  ) {
    it(`is at most ${most} bytes with the parts of Effect that it uses, and needs nothing else: ${what}`, async () => {
      const { bytes, imports } = await bundle(program, true)
      assert.isAtMost(bytes, most)
      assert.isAbove(bytes, 20_000, "Effect is in it")
      // Neither Node's modules nor anyone else's.
      assert.deepStrictEqual(imports, [])
    })
  }
})
