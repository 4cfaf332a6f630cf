/**
 * Cells for applications: one that was written for the original package, and ones that use a single subpath.
 *
 * @module
 */
import { originalCell } from "./original.ts";
import { subpathCells } from "./subpaths.ts";
import type { Cell } from "../cell.ts";

export const applicationCells: readonly Cell[] = [originalCell, ...subpathCells];
