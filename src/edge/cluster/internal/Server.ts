/**
 * Does what other nodes ask of the sessions of this one.
 *
 * A request for a place that is about to be opened here waits for that; one for any other place is refused, and its node looks
 * for the owner again.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { describe } from "../../../internal/describe.ts"
import { observe } from "../../../internal/guard.ts"
import type { Kind } from "../../../runtime/internal/host/Kind.ts"
import type { KindSessions } from "../../../runtime/internal/host/KindSessions.ts"
import { isNotHere } from "../../../runtime/internal/host/Placement.ts"
import { address, noRoomYet, submit } from "../../../runtime/internal/messages/deliver.ts"
import { settled, waiting } from "../../../runtime/internal/messages/Envelope.ts"
import { followsMove, PlacedRef } from "../../../runtime/internal/messages/PlacedRef.ts"
import type { CallRequest, Request } from "../../../runtime/internal/messages/Request.ts"
import { withdrawn } from "../../../runtime/internal/messages/withdrawn.ts"
import { CallbackDeadline } from "../../../runtime/internal/time/Deadlines.ts"
import type { KindCodec } from "./KindCodec.ts"
import type { Json, Reply } from "./peers/model.ts"
import type { Place } from "./Place.ts"
import type { Places } from "./Places.ts"
import { serveWatch } from "./serveWatch.ts"
import { decodeRequest, encodeAnswer, failed, spanOf, succeeded, unknown } from "./wire.ts"

/** How long a request waits for its place to be opened, in milliseconds. */
const patience = 1_000

/** A kind of this node. */
export interface ServedKind {
  readonly kind: Kind
  readonly codec: KindCodec
  /** Its sessions in this process. */
  readonly local: KindSessions
}

/** What withdraws a request. */
type Withdraw = (() => void) | undefined

/** Operations that concern all sessions of a node. */
export type ServeNode = (op: string, rest: ReadonlyArray<Json>) => Effect.Effect<Json, unknown>

/** Counts something of another node. */
type ServeHold = (key: string, limit: Json, reply: Reply) => Withdraw

export class Server {
  private readonly places: Places
  private readonly kinds: ReadonlyMap<string, ServedKind>
  private readonly serveNode: ServeNode
  private readonly serveHold: ServeHold
  private readonly run: (effect: Effect.Effect<void>) => unknown

  constructor(
    places: Places,
    kinds: ReadonlyMap<string, ServedKind>,
    serveNode: ServeNode,
    serveHold: ServeHold,
    run: (effect: Effect.Effect<void>) => unknown
  ) {
    this.places = places
    this.kinds = kinds
    this.serveNode = serveNode
    this.serveHold = serveHold
    this.run = run
  }

  /** Takes the request of a peer. */
  handle(json: Json, reply: Reply): Withdraw {
    const [op, name, id, ...rest] = json as [string, string, string, ...Array<Json>]
    if (op === "hold") return this.serveHold(name, id as Json, reply)
    if (op === "node") return this.handleNode(name, [id, ...rest], reply)
    const served = this.kinds.get(name)
    if (served === undefined) return void reply.refuse()
    const place = this.places.of(id)
    if (place.isHere(this.places.now())) return this.serve(served, place, id, op as Request["op"], rest, reply)
    if (!this.places.isMine(place) || place.isOpen || place.isLeaving || this.places.isLeaving) {
      return void reply.refuse()
    }
    return this.whenOpen(served.kind, place, reply, () => this.handle(json, reply))
  }

  /** This node is to own the place, and waits for its lock. */
  private whenOpen(kind: Kind, place: Place, reply: Reply, then: () => Withdraw): Withdraw {
    const { deadlines } = kind.host
    let withdraw: Withdraw
    const stop = () => {
      deadlines.cancel(limit)
      forgetOpen()
      forgetLeave()
    }
    const refuse = () => {
      stop()
      reply.refuse()
    }
    const limit = new CallbackDeadline(refuse)
    const forgetLeave = place.onLeave(refuse)
    const forgetOpen = place.onOpen(() => {
      stop()
      withdraw = then()
    })
    deadlines.set(limit, kind.host.now() + patience)
    return () => {
      stop()
      // It has not begun: whoever withdraws it, or hears that this node leaves, may ask another one.
      if (withdraw === undefined) reply.refuse()
      else withdraw()
    }
  }

  private serve(
    served: ServedKind,
    place: Place,
    id: string,
    op: Request["op"],
    rest: ReadonlyArray<Json>,
    reply: Reply
  ): Withdraw {
    const { codec, kind } = served
    const isMessage = op === "call" || op === "once" || op === "cast"
    if (isMessage && codec.message(String(rest[0])) === undefined) {
      return void reply.end([unknown, `its owner runs a program without the message ${kind.name}.${String(rest[0])}`])
    }
    let request: Request
    try {
      request = decodeRequest(codec, op, rest)
    } catch (defect) {
      return void reply.end([unknown, `its owner does not understand the request: ${describe(defect)}`])
    }
    const ref = new PlacedRef(kind, id, kind.sessions.get(id), place)
    const span = spanOf(op, rest)
    if (request.op === "call" && span === undefined) {
      const taken = this.take(codec, ref, request, reply)
      if (taken !== undefined) return taken
    }
    if (request.op === "watch") return serveWatch(codec, ref, reply)
    const effect = perform(served, ref, request, reply)
    const fiber = kind.runFork(span === undefined ? effect : Effect.withParentSpan(effect, span))
    observe(kind, fiber, (_, exit) => respond(codec, request, exit, reply))
    const isAbsent = !kind.sessions.has(id)
    return () => {
      fiber.interruptUnsafe()
      // A message to a session that was being loaded, and still is, has not begun.
      if (isMessage && isAbsent && !kind.sessions.has(id)) reply.refuse()
    }
  }

  /** The usual call, to a session in memory, takes no fiber. `undefined`: it does. */
  private take(codec: KindCodec, ref: PlacedRef, request: CallRequest, reply: Reply): (() => void) | undefined {
    const now = this.places.now()
    const session = ref.live(now)
    if (session === undefined) return undefined
    const envelope = address(session, request.tag, request.payload, true, undefined)
    const refused = submit(session, envelope, now, true)
    if (refused === noRoomYet) return undefined
    const answer = (exit: Exit.Exit<unknown, unknown>) => respond(codec, request, exit, reply)
    if (refused !== undefined) answer(Exit.fail(refused))
    else if (envelope.exit !== undefined) answer(envelope.exit)
    else {
      envelope.resume = answer
      return () => {
        envelope.resume = undefined
        if (envelope.status !== waiting) return
        envelope.status = settled
        withdrawn(session)
        reply.refuse()
      }
    }
    return nothing
  }

  private handleNode(op: string, rest: ReadonlyArray<Json>, reply: Reply): Withdraw {
    this.run(
      Effect.map(
        Effect.exit(this.serveNode(op, rest)),
        (exit) => reply.end(Exit.isSuccess(exit) ? [succeeded, exit.value] : [failed, { defect: describe(exit.cause) }])
      )
    )
    return undefined
  }
}

const nothing = () => {}

/** Answers with the outcome; or sends the node on, when the session has moved before it did anything. */
const respond = (codec: KindCodec, request: Request, exit: Exit.Exit<unknown, unknown>, reply: Reply): void => {
  if (Exit.isFailure(exit)) {
    const error = Exit.findErrorOption(exit)
    if ((error._tag === "Some" && isNotHere(error.value)) || followsMove(exit, request.op)) return reply.refuse()
  }
  let answer: Json
  try {
    answer = encodeAnswer(codec, request, exit)
  } catch (defect) {
    answer = [failed, { defect: `its answer does not fit its schema: ${describe(defect)}` }]
  }
  reply.end(answer)
}

const perform = (
  { kind, local }: ServedKind,
  ref: PlacedRef,
  request: Request,
  reply: Reply
): Effect.Effect<unknown, unknown> => {
  switch (request.op) {
    case "call":
      return ref.call(request.tag, request.payload, { timeout: request.timeout })
    case "once":
      return ref.callOnce(request.tag, request.payload, { ...request.action, timeout: request.timeout })
    case "cast":
      return ref.cast(request.tag, request.payload)
    case "start":
      return kind.activator.start(ref.id, request.options)
    case "reach":
      return Effect.map(local.reachHere(ref.id), Option.match({ onNone: () => undefined, onSome: ({ info }) => info }))
    case "end":
      return ref.end({ drain: request.drain, reason: request.reason })
    case "setIdleTimeout":
      return ref.setIdleTimeout(request.timeout)
    case "identify":
      return ref.identify(request.change, request.expected)
    case "note":
      return ref.note(request.metadata)
    case "attach":
      return Effect.scoped(Effect.andThen(
        Effect.tap(ref.attach, () => Effect.sync(() => reply.event(["here"]))),
        ref.awaitEnd
      ))
    case "awaitEnd":
      return Effect.tap(ref.isLive, () => Effect.sync(() => reply.event(["here"]))).pipe(Effect.andThen(ref.awaitEnd))
    case "state":
    case "info":
    case "isLive":
    case "touch":
      return ref[request.op]
    case "watch":
      return Effect.die(new Error("a watch is served by events"))
  }
}
