/**
 * What a cell of the matrix is.
 *
 * @module
 */
import type { Lab } from "./lab.ts";
import type { Outcome } from "./outcome.ts";

/** What a cell reports. */
export interface CellResult extends Outcome {
  /** Versions of what was tested together. */
  readonly versions: string;
}

/** A cell: one combination, or one kind of application. */
export interface Cell {
  readonly name: string;
  /** What it shows, for the table. */
  readonly shows: string;
  /** Whether it stands for its class in the everyday run. */
  readonly representative: boolean;
  run(lab: Lab): Promise<CellResult>;
  /** Reads what all runtimes wrote. */
  read?(lab: Lab): Promise<Outcome>;
}
