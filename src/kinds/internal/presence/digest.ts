/**
 * A number that stands for a set of trackings, to which one more is added, and from which one is taken, without looking
 * at the others: the sum of one number for each. A topic and an owner that have the same know the same.
 */

/** The number that stands for a tracking at this revision. Two trackings of an owner never have the same revision. */
export const mix = (revision: number): number => {
  const mixed = Math.imul(revision ^ revision >>> 15, 0x2c1b3c6d)
  return Math.imul(mixed ^ mixed >>> 12, 0x297a2d39)
}
