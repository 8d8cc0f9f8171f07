/** The pauses between attempts while the store fails, in milliseconds: they grow. */
const first = 100
const longest = 30_000

export const pauseAfter = (failures: number): number => Math.min(longest, first * 2 ** (failures - 1))
