import type { Cell } from "../cell.ts";
export const driverCells: readonly Cell[] = [];
