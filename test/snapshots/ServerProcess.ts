/** A server that a test starts as a process of its own, and that is gone with the test. */
import { Data, Effect, type Scope } from "effect"
import { spawn, type SpawnOptionsWithoutStdio } from "node:child_process"
import { createServer } from "node:net"

export class ServerError extends Data.TaggedError("ServerError")<{ readonly message: string }> {}

/** A port that was free a moment ago. */
export const freePort = Effect.promise(() =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })
)

/** Runs a program, and waits until it has ended or, if it is to go on, has said `ready`. */
export const run = (
  command: string,
  parameters: ReadonlyArray<string>,
  options: SpawnOptionsWithoutStdio & { readonly ready?: string; readonly stop?: NodeJS.Signals }
): Effect.Effect<void, ServerError, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.callback<() => Promise<void>, ServerError>((resume) => {
      const child = spawn(command, parameters, options)
      const kill = () => child.kill("SIGKILL")
      process.once("exit", kill)
      const ended = new Promise<void>((end) => child.once("close", () => end()))
      const stop = () => {
        process.removeListener("exit", kill)
        child.kill(options.stop ?? "SIGKILL")
        return ended
      }
      let log = ""
      const hear = (chunk: unknown) => {
        log += chunk
        if (options.ready === undefined || !log.includes(options.ready)) return
        for (const stream of [child.stdout, child.stderr]) stream.removeAllListeners("data").resume()
        resume(Effect.succeed(stop))
      }
      child.stdout.on("data", hear)
      child.stderr.on("data", hear)
      child.once("error", (cause) => resume(Effect.fail(new ServerError({ message: `${command}: ${cause.message}` }))))
      child.once("close", (code) => {
        process.removeListener("exit", kill)
        resume(
          code === 0 && options.ready === undefined
            ? Effect.succeed(() => ended)
            : Effect.fail(new ServerError({ message: `${command} ended with ${code}:\n${log}` }))
        )
      })
    }),
    (stop) => Effect.promise(stop)
  ))

/** Starts a server on a free port; on another port if a different process took it first. */
export const onFreePort = <R>(
  start: (port: number) => Effect.Effect<void, ServerError, R>
): Effect.Effect<number, never, R> =>
  Effect.flatMap(freePort, (port) => Effect.as(start(port), port)).pipe(Effect.retry({ times: 3 }), Effect.orDie)
