/**
 * A wire between a browser and the shop, of which the test decides what gets through.
 */
import { Effect, type Scope } from "effect"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

export class Wire {
  private readonly sockets = new Set<Socket>()
  private state: "whole" | "one-way" | "cut" = "whole"
  /** Bytes per second, and milliseconds each way. */
  private speed: { readonly rate: number; readonly latency: number } | undefined
  private busyUntil = 0
  private readonly underWay: Array<() => void> = []
  private held: Array<() => void> | undefined
  private port = 0

  /** The address of the shop through this wire. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  /** All connections break, and new ones are refused. */
  cut(): void {
    this.state = "cut"
    for (const socket of this.sockets) socket.destroy()
  }

  /** Bytes to the shop arrive, bytes from the shop do not. */
  muteShop(): void {
    this.state = "one-way"
  }

  mend(): void {
    this.state = "whole"
  }

  /** Nothing gets through until a speed is set. */
  hold(): void {
    this.held ??= []
  }

  slow(speed: Wire["speed"]): void {
    this.speed = speed
    const held = this.held ?? []
    this.held = undefined
    for (const act of held) act()
  }

  private join(from: Socket, to: Socket, isHeard: () => boolean): void {
    this.sockets.add(from)
    from.on("data", (bytes) => {
      if (!isHeard()) return
      this.inTime(bytes.length, () => to.write(bytes))
    })
    from.on("error", () => {})
    from.on("close", () => {
      this.sockets.delete(from)
      if (this.state === "cut") to.destroy()
      // What was said before is still on its way.
      else this.inTime(0, () => to.destroySoon())
    })
  }

  /** Does something when so many bytes, and those before them, are through. */
  private inTime(length: number, act: () => void): void {
    if (this.held !== undefined) {
      this.held.push(() => this.inTime(length, act))
      return
    }
    if (this.speed === undefined) return act()
    const now = performance.now()
    this.busyUntil = Math.max(now, this.busyUntil) + length / this.speed.rate * 1_000
    // Timers that were set in different turns need not fire in the order in which they were set; bytes arrive in theirs.
    this.underWay.push(act)
    setTimeout(() => this.underWay.shift()!(), this.busyUntil + this.speed.latency - now)
  }

  static readonly to = (shop: string): Effect.Effect<Wire, never, Scope.Scope> =>
    Effect.map(
      Effect.acquireRelease(
        Effect.callback<readonly [Wire, ReturnType<typeof createServer>]>((resume) => {
          const wire = new Wire()
          const { hostname, port } = new URL(shop)
          const server = createServer((browser) => {
            const shop = connect(Number(port), hostname)
            wire.join(browser, shop, () => true)
            wire.join(shop, browser, () => wire.state === "whole")
            if (wire.state === "cut") browser.destroy()
          })
          server.listen(0, "127.0.0.1", () => {
            wire.port = (server.address() as AddressInfo).port
            resume(Effect.succeed([wire, server]))
          })
        }),
        ([wire, server]) =>
          Effect.sync(() => {
            wire.cut()
            server.close()
          })
      ),
      ([wire]) => wire
    )
}
