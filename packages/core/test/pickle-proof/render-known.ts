/**
 * How the stand-ins of the mapping table are rendered, one row per class; see fixtures/README.md.
 *
 * @module
 */

import type { Node, Renderer } from './render.ts';

// biome-ignore lint/suspicious/noExplicitAny: each row takes an instance of its own class
type Row = readonly [maker: abstract new (...args: any[]) => object, known: (r: Renderer, value: any) => Node];

/** Checked in order; subclasses come before their base. */
export const KNOWN: readonly Row[] = [];
