/**
 * How much memory and time an archive may take.
 *
 * @module
 */

/** Budgets for hostile archives; raise them for trusted ones. */
export const NPZ_LIMITS = {
  /** Members in an archive: zip.js keeps 9 KB for each. */
  members: 50_000,
  /** Bytes that one member may unpack to. */
  memberBytes: 17_179_869_184,
} as const;

/** A key of {@link NPZ_LIMITS} with its value. */
export type NpzLimits = { readonly [Name in keyof typeof NPZ_LIMITS]?: number | undefined };
