/**
 * How does a suite work with what must have a process, and so a memory and a processor's time, of its own? It is forked,
 * does what it is asked for, says so, and ends when the one who forked it goes.
 */
import { fork, type Serializable } from "node:child_process"

/** What is said has a type by which it is told apart. */
interface Typed {
  readonly type: string
}

/** A process of its own, which answers one question at a time. */
export interface Remote<Asked, Said extends Typed> {
  /** Asks for something; what is said has the type `answer`. */
  readonly ask: <T extends Said["type"]>(asked: Asked, answer: T) => Promise<Extract<Said, { readonly type: T }>>
  readonly stop: () => void
}

/** A server in a process of its own. */
export interface RemoteServer<Asked, Said extends Typed> extends Remote<Asked, Said> {
  readonly port: number
}

/** What a server says first. */
export interface Listening extends Typed {
  readonly type: "listening"
  readonly port: number
}

/** Starts the module `file`, which is told `what` to be. */
export const startRemote = <Asked extends Serializable, Said extends Typed>(file: URL, what: string) => {
  const child = fork(file, [what])
  const next = <T extends Said["type"]>(type: T) =>
    new Promise<Extract<Said, { readonly type: T }>>((resolve, reject) => {
      child.once("exit", () => reject(new Error(`the process of ${what} has ended`)))
      child.once("message", (said: Said) => {
        child.removeAllListeners("exit")
        if (said.type === type) resolve(said as never)
        else reject(new Error(`the process of ${what} said ${said.type}, not ${type}`))
      })
    })
  const remote: Remote<Asked, Said> = {
    ask: (asked, answer) => {
      child.send(asked)
      return next(answer)
    },
    // It ends by itself.
    stop: () => child.disconnect()
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
