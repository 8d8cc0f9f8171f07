/**
 * Sends the server another token before the one of the connection expires, so that the connection goes on.
 *
 * If that fails, it is tried again when half of the remaining time is over. If the token expires nevertheless, the server
 * closes the connection, and the next connection brings a token of its own.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Live from "../../contract/Live.ts"
import type { Requests } from "./Requests.ts"
import { noop, type Scheduler } from "./Scheduler.ts"
import * as Wire from "./Wire.ts"

/** How long before the token expires another one is asked for, at most. Milliseconds. */
const lead = 60_000

/** The shortest pause between two attempts. Milliseconds. */
const shortest = 1_000

const decodeExit = Wire.exitDecoder(Live.token)

export interface TokenRenewalOptions {
  /** Gives the current token; `undefined` if tokens are not renewed. */
  readonly token: Effect.Effect<string, unknown> | undefined
  readonly requests: Requests
  readonly timers: Scheduler
  /** Runs what follows from an event in a batch. */
  readonly batch: (f: () => void) => void
}

export class TokenRenewal {
  private readonly options: TokenRenewalOptions
  /** When the token of the connection expires, on the monotonic clock. */
  private expiresAt = 0
  private cancel = noop

  constructor(options: TokenRenewalOptions) {
    this.options = options
  }

  /** The token of the connection expires in so many milliseconds. */
  begin(expiresIn: number): void {
    this.expiresAt = this.options.timers.now() + expiresIn
    this.schedule()
  }

  /** The connection is lost. */
  stop(): void {
    this.cancel()
    this.cancel = noop
  }

  private schedule(): void {
    const { timers, token } = this.options
    const left = this.expiresAt - timers.now()
    const pause = Math.max(left - lead, left / 2)
    if (token === undefined || pause < shortest) return
    this.cancel = timers.run(Effect.matchCause(Effect.andThen(Effect.sleep(pause), token), {
      onSuccess: (token) => this.options.batch(() => this.send(token)),
      onFailure: (cause) => this.failed("there is no token for the next time of the live connection", cause)
    }))
  }

  private send(token: string): void {
    const id = this.options.requests.send(Live.token._tag, JSON.stringify({ token }), [], {
      decode: decodeExit,
      exit: (exit) => {
        if (Exit.isSuccess(exit)) this.begin(exit.value.expiresIn)
        else this.failed("the server does not take the token of the live connection", exit.cause)
      }
    })
    if (id === undefined) this.schedule()
  }

  private failed(text: string, cause: Cause.Cause<unknown>): void {
    this.options.timers.run(Effect.logWarning(text, cause))
    this.schedule()
  }
}
