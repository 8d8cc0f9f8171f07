/** The phases of the life of a session, in order: code compares them. */
export const starting = 0
export const running = 1
export const ending = 2
export const ended = 3

export type Status = typeof starting | typeof running | typeof ending | typeof ended
