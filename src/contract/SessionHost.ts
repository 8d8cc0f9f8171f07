/**
 * What a definition needs of a runtime.
 *
 * Definitions do not know the runtime that hosts them: `toLayer` asks for this service, and
 * `Sessions.layer` (or another host, such as a cluster) provides it. Programs rarely name it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { KindOptions } from "./KindOptions.ts"
import type * as Session from "./Session.ts"
import type { InvalidConfig } from "./SessionError.ts"

/**
 * Hosts kinds of sessions.
 *
 * @since 0.1.0
 * @category services
 */
export class SessionHost extends Context.Service<SessionHost, {
  /**
   * Registers a kind for as long as the Scope lives, and gives its sessions. The context holds the
   * services that the behavior needs. Fails with `InvalidConfig` when an option is unusable or the
   * name is taken.
   */
  readonly register: (
    definition: Session.Any,
    behavior: Session.Behavior<any, any, any, any, any>,
    options: KindOptions<string>,
    context: Context.Context<never>
  ) => Effect.Effect<Session.SessionKind<any, any, any, any>, InvalidConfig, Scope.Scope>
}>()("effect-sessions/SessionHost") {}
