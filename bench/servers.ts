/**
 * How does a suite work with a server that needs its own process, and so its own memory and processor time? The server is
 * forked, answers requests, and ends with its parent process.
 */
import { fork, type Serializable } from "node:child_process"

/** A message has a type. */
interface Typed {
  readonly type: string
}

/** A child process that answers one request at a time. */
export interface Remote<Asked, Said extends Typed> {
  /** Sends a request, and waits for the message of type `answer`. */
  readonly ask: <T extends Said["type"]>(asked: Asked, answer: T) => Promise<Extract<Said, { readonly type: T }>>
  readonly stop: () => void
}

/** A server in a child process. */
export interface RemoteServer<Asked, Said extends Typed> extends Remote<Asked, Said> {
  readonly port: number
}

/** The first message of a server. */
export interface Listening extends Typed {
  readonly type: "listening"
  readonly port: number
}

/** Starts the module `file` with the argument `what`. */
export const startRemote = <Asked extends Serializable, Said extends Typed>(file: URL, what: string) => {
  const child = fork(file, [what])
  const next = <T extends Said["type"]>(type: T) =>
    new Promise<Extract<Said, { readonly type: T }>>((resolve, reject) => {
      const gone = () => reject(new Error(`the process of ${what} has ended`))
      child.once("exit", gone)
      child.once("message", (said: Said) => {
        child.off("exit", gone)
        if (said.type === type) resolve(said as never)
        else reject(new Error(`the process of ${what} said ${said.type}, not ${type}`))
      })
    })
  const remote: Remote<Asked, Said> = {
    ask: (asked, answer) => {
      child.send(asked)
      return next(answer)
    },
    // The process ends by itself.
    stop: () => {
      if (child.connected) child.disconnect()
    }
  }
  return { remote, next }
}

/** Starts a server, and waits until it listens. */
export const startServer = async <Asked extends Serializable, Said extends Typed>(
  file: URL,
  what: string
): Promise<RemoteServer<Asked, Said>> => {
  const { next, remote } = startRemote<Asked, Said | Listening>(file, what)
  const { port } = await next("listening") as Listening
  return { ...remote as Remote<Asked, Said>, port }
}
