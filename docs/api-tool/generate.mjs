// Writes the API reference of all entry points of the package to docs/api, from the doc comments:
//   npm ci --prefix docs/api-tool && npm run docs:api
// Fails on a link that leads nowhere, and on an export without documentation.
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Application, Comment, Converter, ReflectionKind } from "typedoc"

const root = new URL("../../", import.meta.url)
const path = (relative) => fileURLToPath(new URL(relative, root))
const { exports, name, version } = JSON.parse(readFileSync(path("package.json"), "utf8"))

/** The names of the entry points, by source file. */
const entryPoints = new Map(
  Object.entries(exports).flatMap(([subpath, { source }]) =>
    source === undefined ? [] : [[path(source), name + subpath.slice(1)]]
  )
)

const app = await Application.bootstrap({
  name: `${name} ${version}`,
  entryPoints: [...entryPoints.keys()],
  tsconfig: path("docs/api-tool/tsconfig.json"),
  basePath: path("."),
  out: path("docs/api"),
  readme: path("docs/api-tool/index.md"),
  // What classes inherit from effect is documented there.
  excludeExternals: true,
  excludePrivate: true,
  disableSources: true,
  blockTags: ["@category", "@since", "@param", "@returns", "@example"],
  requiredToBeDocumented: ["Module", "Namespace", "Class", "Interface", "TypeAlias", "Variable"],
  // The helper types of a file, of which exported types are made, stay in that file.
  validation: { invalidLink: true, invalidPath: true, notDocumented: true, notExported: false },
  treatWarningsAsErrors: true
})

/** The comment with which a file begins says what its module is for. */
const moduleComment = (file) => {
  const [, text] = /^\/\*\*\n([\s\S]*?)\n \*\//.exec(readFileSync(file, "utf8")) ?? []
  if (text === undefined) return undefined
  const lines = text.split("\n").map((line) => line.replace(/^ \* ?/, ""))
  return new Comment([{ kind: "text", text: lines.filter((line) => !line.startsWith("@since")).join("\n").trim() }])
}

app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => {
  for (const module of context.project.getReflectionsByKind(ReflectionKind.Module | ReflectionKind.Namespace)) {
    const file = context.getSymbolFromReflection(module)?.declarations?.[0]?.getSourceFile().fileName
    if (file === undefined) continue
    module.comment ??= moduleComment(file)
    if (module.kind === ReflectionKind.Module) module.name = entryPoints.get(file) ?? module.name
  }
})

const project = await app.convert()
if (project === undefined) process.exit(1)
app.validate(project)
await app.generateOutputs(project)
process.exit(app.logger.hasErrors() || app.logger.hasWarnings() ? 1 : 0)
