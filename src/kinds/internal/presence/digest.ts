/**
 * A digest of a set of trackings: the sum of one number per tracking, so that adding or removing one does not look at the
 * others. A topic and an owner with equal digests know the same trackings.
 */

/** The number of a tracking at a revision. Two trackings of one owner never have the same revision. */
export const mix = (revision: number): number => {
  const mixed = Math.imul(revision ^ revision >>> 15, 0x2c1b3c6d)
  return Math.imul(mixed ^ mixed >>> 12, 0x297a2d39)
}
