/**
 * The thread of a `SqliteStore`: runs one operation after the other.
 */
import { parentPort, workerData } from "node:worker_threads"
import { listen, nobody } from "../../../../internal/guard.ts"
import { Database } from "./Database.ts"
import { codeOf, isBusy, isDamage, Unusable } from "./openDatabase.ts"
import type { Answer, Failure, Request, Settings } from "./protocol.ts"

const { busyTimeout, file, synchronous } = workerData as Settings

let database: Database | undefined

const full = 13
const readOnly = 8
const tooBig = 18

const failureOf = (error: unknown): Failure => {
  const message = error instanceof Error ? error.message : String(error)
  return {
    message: codeOf(error) === full
      ? `there is no room left for ${file}`
      : codeOf(error) === readOnly
      ? `${file} cannot be written: ${message}`
      : isDamage(error)
      ? `${file} is damaged: ${message}`
      : message,
    isBusy: isBusy(error),
    isOfKey: codeOf(error) === tooBig,
    unusable: error instanceof Unusable ? error.reason : undefined
  }
}

const run = ({ operation, parameters }: Request): unknown => {
  if (operation === "close") {
    database?.close()
    database = undefined
    parentPort!.close()
    return undefined
  }
  // The first request opens the file, and fails when that fails.
  database ??= new Database(file, synchronous, busyTimeout)
  return operation === "open"
    ? undefined
    : (database[operation] as (...all: ReadonlyArray<unknown>) => unknown)(...parameters)
}

listen(nobody, parentPort!, "message", (_, request: Request) => {
  let answer: Answer
  try {
    answer = { number: request.number, result: run(request), failure: undefined }
  } catch (error) {
    answer = { number: request.number, result: undefined, failure: failureOf(error) }
  }
  // A worker has no origin: the rule is for windows.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  parentPort!.postMessage(answer)
})
