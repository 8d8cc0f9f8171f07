/**
 * The corner shop on three nodes: `npm run demo:cluster`.
 *
 * It starts a PostgreSQL of its own, or uses that of `DATABASE_URL`; three shops on the ports 3001 to 3003; and on port 3000 a
 * front that sends each connection to one of them. `PORT` moves all of these. Kill a node: the page shows where the visit goes.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Config, Console, Effect, Exit, Option, Redacted } from "effect"
import * as PostgresServer from "../../test/snapshots/PostgresServer.ts"
import { Port } from "./Server.ts"
import * as ThreeShops from "./ThreeShops.ts"

const Main = Effect.gen(function*() {
  const { database, port } = yield* Config.all({
    database: Config.option(Config.Redacted("DATABASE_URL")),
    port: Config.schema(Port, "PORT").pipe(Config.withDefault(3000))
  })
  const url = Option.isSome(database) ? database.value : yield* PostgresServer.start
  const { nodes, url: front } = yield* ThreeShops.open({
    database: Redacted.value(url),
    port,
    log: (line) => console.log(line)
  })
  yield* Console.log(`The shop on three nodes is open: ${front}`)
  yield* Console.log(`Kill one, and watch the page: kill -9 ${nodes[0]!.pid}`)
  return yield* Effect.never
})

Effect.scoped(Main).pipe(
  Effect.tapError((error) => Console.error(`The shops cannot open: ${error.message}`)),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, done) => done(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
  })
)
