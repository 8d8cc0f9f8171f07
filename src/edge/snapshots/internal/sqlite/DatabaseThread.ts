/**
 * The database in a thread of its own, so that writing does not block sessions. The next request replaces a thread that has
 * died.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { Worker } from "node:worker_threads"
import { listen } from "../../../../internal/guard.ts"
import type { Database } from "./Database.ts"
import type { Answer, Failure, Operation, Request, Settings } from "./protocol.ts"

const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."))
const entry = new URL(`./worker${extension}`, import.meta.url)

type Resume = (answer: Effect.Effect<unknown, Failure>) => void

export class DatabaseThread {
  private readonly settings: Settings
  private worker: Worker | undefined
  private readonly waiting = new Map<number, Resume>()
  private last = 0

  private constructor(settings: Settings) {
    this.settings = settings
  }

  /** Opens the database for as long as the Scope lives. */
  static open(settings: Settings): Effect.Effect<DatabaseThread, Failure, Scope.Scope> {
    return Effect.gen(function*() {
      const thread = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseThread(settings)),
        (thread) => thread.close
      )
      yield* thread.request("open", [])
      return thread
    })
  }

  /** Runs one operation. It is completed even if its caller is interrupted. */
  run<O extends Operation>(
    operation: O,
    ...parameters: Parameters<Database[O]>
  ): Effect.Effect<ReturnType<Database[O]>, Failure> {
    return this.request(operation, parameters) as Effect.Effect<ReturnType<Database[O]>, Failure>
  }

  /** Retries while another process locks the file, at most 20 times. */
  private request(
    operation: Request["operation"],
    parameters: ReadonlyArray<unknown>
  ): Effect.Effect<unknown, Failure> {
    return Effect.retry(this.send(operation, parameters), {
      while: ({ isBusy }) => isBusy,
      schedule: Schedule.spaced("10 millis"),
      times: 20
    })
  }

  private send(operation: Request["operation"], parameters: ReadonlyArray<unknown>): Effect.Effect<unknown, Failure> {
    return Effect.callback((resume) => {
      const number = ++this.last
      this.waiting.set(number, resume)
      const worker = this.worker ??= this.start()
      // A worker has no origin: the rule is for windows.
      // oxlint-disable-next-line unicorn/require-post-message-target-origin
      worker.postMessage({ number, operation, parameters } satisfies Request)
      return Effect.sync(() => this.waiting.delete(number))
    })
  }

  private start(): Worker {
    const worker = new Worker(entry, { workerData: this.settings, name: "effect-sessions/sqlite" })
    const owner = { threw: (defect: unknown) => this.over(worker, `the thread of the database failed: ${defect}`) }
    listen(owner, worker, "message", (_, { failure, number, result }: Answer) => {
      const resume = this.waiting.get(number)
      this.waiting.delete(number)
      resume?.(failure === undefined ? Effect.succeed(result) : Effect.fail(failure))
    })
    listen(owner, worker, "error", (_, error) => this.over(worker, `the thread of the database died: ${error}`))
    listen(owner, worker, "exit", () => this.over(worker, "the thread of the database is over"))
    return worker
  }

  /** Fails the requests that wait for an answer; the next request starts another thread. */
  private over(worker: Worker, message: string): void {
    if (this.worker !== worker) return
    this.worker = undefined
    const waiting = Array.from(this.waiting.values())
    this.waiting.clear()
    for (const resume of waiting) resume(Effect.fail({ message, isBusy: false, isOfKey: false, unusable: undefined }))
  }

  private get close(): Effect.Effect<void> {
    return Effect.suspend(() => this.worker === undefined ? Effect.void : Effect.ignore(this.send("close", [])))
  }
}
