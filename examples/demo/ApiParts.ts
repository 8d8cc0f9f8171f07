/**
 * What the endpoints of the API have in common.
 */
import { Schema } from "effect"
import { SessionError } from "effect-sessions"
import { HttpApiSchema, OpenApi } from "effect/http-api"
import { CartUnavailable, RateExceeded } from "./ShopError.ts"

/** Why a visitor who is new may not come in now. Those who have a cart never see these. */
export const startErrors = [
  RateExceeded,
  SessionError.SessionLimitReached,
  SessionError.SessionsClosed,
  CartUnavailable
] as const

/** What an endpoint is for, as `/openapi.json` and `/docs` tell it. */
export const about = (summary: string, description?: string) => OpenApi.annotations({ summary, description })

/** The cookie is not required: who brings none is a new visitor, and is given one. */
export const openToAll = OpenApi.annotations({
  transform: (operation) => ({ ...operation, security: [{}, ...operation["security"]] })
})

/** In JSON, an ISO 8601 text. */
export const Time = Schema.DateTimeUtcFromString.pipe(Schema.annotateEncoded({ format: "date-time" }))

/** No answer is the answer. */
export const Done = HttpApiSchema.NoContent.annotate({ description: "Done" })
