import type { Cell } from "../cell.ts";
export const applicationCells: readonly Cell[] = [];
