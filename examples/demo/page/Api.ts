/**
 * The requests that the page sends to the shop by HTTP: everything about the cookie, and the history.
 */
import { Data, Effect, Schedule, Schema } from "effect"

/** The shop refused a request or did not answer. `message` is for the visitor. */
export class Refusal extends Data.TaggedError("Refusal")<{ readonly reason: string; readonly message: string }> {}

const noAnswer = () => new Refusal({ reason: "NoAnswer", message: "The shop does not answer. Please try again." })

const Refused = Schema.Struct({ _tag: Schema.String, message: Schema.String })

const request = (method: string, path: string, body?: unknown): Effect.Effect<unknown, Refusal> =>
  Effect.tryPromise({
    try: async (signal) => {
      const json = body === undefined
        ? {}
        : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
      const response = await fetch(path, { method, signal, ...json })
      const text = await response.text()
      return { ok: response.ok, answer: text === "" ? undefined : JSON.parse(text) as unknown }
    },
    catch: noAnswer
  }).pipe(
    Effect.flatMap(({ answer, ok }) =>
      ok ? Effect.succeed(answer) : Effect.flatMap(
        Effect.mapError(Schema.decodeUnknownEffect(Refused)(answer), noAnswer),
        ({ _tag, message }) => Effect.fail(new Refusal({ reason: _tag, message: `Sorry: ${message}.` }))
      )
    ),
    // Another tab has just logged in: send the request again, with the new cookie of the browser.
    Effect.retry({
      while: ({ reason }) => reason === "CookieReplaced",
      schedule: Schedule.spaced("200 millis"),
      times: 5
    })
  )

const ask = <A, I>(
  method: string,
  path: string,
  schema: Schema.Codec<A, I>,
  body?: unknown
): Effect.Effect<A, Refusal> =>
  Effect.flatMap(
    request(method, path, body),
    (answer) => Effect.orDie(Schema.decodeUnknownEffect(schema)(answer))
  )

const get = <A, I>(path: string, schema: Schema.Codec<A, I>) => ask("GET", path, schema)

const Time = Schema.DateFromString

const Visit = Schema.Struct({ id: Schema.String, version: Schema.Int, crashes: Schema.Int })

/** The visit that the cookie names; a new one, and its cookie, if there is none. Counts as activity. */
export const visit = get("/api/session", Visit)

const Node = Schema.Struct({ here: Schema.NullOr(Schema.String), owner: Schema.NullOr(Schema.String) })

/** The node that answers, and the node that has the visit with this id. Nulls if the shop is one process. */
export const node = (visit: string) => get(`/api/node?visit=${encodeURIComponent(visit)}`, Node)

/** Ends the visit. */
export const leave = request("DELETE", "/api/session")

const Step = Schema.Struct({ version: Schema.Int, type: Schema.String, at: Time, current: Schema.Boolean })
export type Step = typeof Step.Type

/** The actions of this visit, oldest first. The visit answers after the messages that already wait. */
export const history = get("/api/history", Schema.Array(Step))

/** Travels to the state after this step; 0 is the first state. */
export const travel = (version: number) => request("POST", `/api/history/${version}`)

export const logIn = (user: string) => request("POST", "/api/login", { user })

/** Logs out by ending the visit. */
export const logOut = request("POST", "/api/logout")

const Device = Schema.Struct({
  id: Schema.String,
  startedAt: Time,
  address: Schema.NullOr(Schema.String),
  agent: Schema.NullOr(Schema.String),
  connections: Schema.Int,
  current: Schema.Boolean
})
export type Device = typeof Device.Type

/** The devices on which this user is logged in. Fails with `NotLoggedIn` if there is no user. */
export const devices = get("/api/devices", Schema.Array(Device))

export const endDevice = (id: string) => request("DELETE", `/api/devices/${encodeURIComponent(id)}`)

/** Leaves a message in a user's inbox. */
export const write = (user: string, text: string) =>
  request("POST", "/api/notifications", { user, kind: "message", text })

/** Sends an announcement to all visits in the shop, and gives how many received it. */
export const announce = (text: string) =>
  ask("POST", "/api/broadcast", Schema.Struct({ delivered: Schema.Int }), { text })

/** Changes a stock, and gives how many users were notified. */
export const restock = (sku: string, left: number) =>
  ask("PUT", `/api/stock/${sku}`, Schema.Struct({ left: Schema.Int, notified: Schema.Int }), { left })
