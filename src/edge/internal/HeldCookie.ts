/**
 * The cookie under which a connection was opened.
 *
 * Whichever node replaces a cookie, the session notes how, and each open connection of the session learns of it by its own watch.
 */
import * as Noted from "./device.ts"

export class HeldCookie {
  private readonly client: Noted.Device
  private ticket: string | undefined
  /** The ticket before the latest replacement, which is reverted if it cannot be written. */
  private before: string | undefined = undefined

  constructor(ticket: string | undefined, client: Noted.Device) {
    this.ticket = ticket
    this.client = client
  }

  /**
   * Follows a change of the session's metadata. `false`: the cookie was replaced, and the connection must end. A connection
   * that missed a replacement ends, too.
   */
  follow(identity: Noted.Noting): boolean {
    const ticket = Noted.ticketOf(identity)
    if (ticket === this.ticket) return true
    if (ticket === undefined) return false
    if (ticket !== this.before) {
      const rotation = Noted.rotationOf(identity)
      if (rotation === undefined || rotation.from !== this.ticket) return false
      if (rotation.keeps === undefined || !Noted.isSameDevice(rotation.keeps, this.client)) return false
    }
    this.before = this.ticket
    this.ticket = ticket
    return true
  }
}
