/**
 * Imports every subpath of the package that runs at the edge, between the traps.
 *
 * @module
 */
import { endOfImports, trapsWork } from "./import_traps.ts";
import { subpaths } from "./subpaths.ts";

/** Names of the subpaths' exports. */
export const imported: Readonly<Record<string, readonly string[]>> = Object.fromEntries(
  Object.entries(subpaths).map(([name, module]) => [name, Object.keys(module)]),
);

/** Whether the traps worked while the subpaths were imported. */
export const trapped: boolean = trapsWork();

/** What the subpaths touched while they were imported. */
export const touchedByImports: readonly string[] = endOfImports();
