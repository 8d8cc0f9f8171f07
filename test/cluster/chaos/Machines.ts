/** A database and machines with a node each, and ways between them that can be cut. */
import { Effect, Exit, Scope } from "effect"
import { join } from "node:path"
import * as PostgresServer from "../../snapshots/PostgresServer.ts"
import * as ServerProcess from "../../snapshots/ServerProcess.ts"
import type { NodeSettings } from "../nodeProgram.ts"
import { NodeProcess } from "./NodeProcess.ts"
import { Relay } from "./Relay.ts"

export interface MachinesOptions {
  /** The bundled program of a node. */
  readonly program: string
  /** Where the logs of the nodes go. */
  readonly directory: string
  readonly cluster: NodeSettings["cluster"]
  /** How far the clock of each machine is ahead, in milliseconds. */
  readonly clocks: ReadonlyArray<number>
}

export interface Machine {
  /** Where the other nodes reach it. */
  readonly port: number
  /** The way of the others to it; each is named by its port. */
  readonly peers: Relay
  /** Its way to the database. */
  readonly database: Relay
  /** The node, which is started again whenever it has ended. */
  node: NodeProcess
  /** How long that takes, in milliseconds. */
  away: number
  /** Does the next node hand its sessions over before it stops to take calls? */
  leavesFirst: boolean
}

export interface Machines {
  readonly all: ReadonlyArray<Machine>
  /** Stops the database as a crash does, and starts it after so many milliseconds. */
  readonly restartDatabase: (down: number) => Effect.Effect<void>
  /** How often a node ended that had joined, whoever told it to. */
  ends: number
  /** Waits until the nodes have shared all places out. */
  readonly settled: Effect.Effect<void>
}

export const make = Effect.fnUntraced(function*({ clocks, cluster, directory, program }: MachinesOptions) {
  const scope = yield* Effect.scope
  const postgres = yield* PostgresServer.install
  let running = yield* Scope.fork(scope)
  const serve = (port: number) => Scope.provide(postgres.serve(port, "SIGQUIT"), running)
  const databasePort = yield* ServerProcess.onFreePort(serve)
  const all: ReadonlyArray<Machine> = yield* Effect.forEach(
    clocks,
    Effect.fnUntraced(function*(ahead, index) {
      const listen = yield* ServerProcess.freePort
      const peers = yield* Relay.make(listen, (line) => String(JSON.parse(line)[1].from.port))
      const database = yield* Relay.make(databasePort)
      const { port } = peers
      const start = (leavesFirst: boolean) =>
        Scope.provide(
          NodeProcess.start(
            program,
            { url: postgres.url(database.port), name: "chaos", port, listen, cluster, ahead, leavesFirst },
            join(directory, `node-${index}.log`)
          ),
          scope
        )
      const machine: Machine = { port, peers, database, node: yield* start(false), away: 0, leavesFirst: false }
      yield* Effect.forkScoped(Effect.forever(Effect.gen(function*() {
        yield* machine.node.gone
        if (machine.node.hasJoined) machines.ends++
        yield* Effect.sleep(machine.away)
        machine.node = yield* start(machine.leavesFirst)
      })))
      return machine
    })
  )
  const isSettled = () => {
    const nodes = all.map(({ node }) => node)
    return nodes.every(({ nodes, open }) => open > 0 && nodes === all.length)
      && nodes.reduce((sum, { open }) => sum + open, 0) === nodes[0]!.count
  }
  const machines: Machines = {
    all,
    ends: 0,
    restartDatabase: Effect.fnUntraced(function*(down) {
      yield* Scope.close(running, Exit.void)
      yield* Effect.sleep(down)
      running = yield* Scope.fork(scope)
      yield* Effect.orDie(serve(databasePort))
    }),
    settled: Effect.gen(function*() {
      while (!isSettled()) yield* Effect.sleep(20)
    })
  }
  return machines
})
