/**
 * The parts that the endpoints of the API share.
 */
import { Schema } from "effect"
import { SessionError } from "effect-sessions"
import { HttpApiSchema, OpenApi } from "effect/http-api"
import { CartUnavailable, RateExceeded } from "./ShopError.ts"

/** Why a new visitor may not come in now. A visitor who has a cart never gets these errors. */
export const startErrors = [
  RateExceeded,
  SessionError.SessionLimitReached,
  SessionError.SessionsClosed,
  CartUnavailable
] as const

/** The description of an endpoint in `/openapi.json` and `/docs`. */
export const about = (summary: string, description?: string) => OpenApi.annotations({ summary, description })

/** The cookie is optional: a request without one comes from a new visitor, and its answer sets one. */
export const openToAll = OpenApi.annotations({
  transform: (operation) => ({ ...operation, security: [{}, ...operation["security"]] })
})

/** A time; an ISO 8601 text in JSON. */
export const Time = Schema.DateTimeUtcFromString.pipe(Schema.annotateEncoded({ format: "date-time" }))

/** An answer without a body. */
export const Done = HttpApiSchema.NoContent.annotate({ description: "Done" })
