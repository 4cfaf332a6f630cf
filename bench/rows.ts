/** The measurements: each row is one kind of work. */

export interface Row {
  /** As in `contestants/serve.ts`. */
  readonly name: string;
  readonly work: string;
  readonly quantity: "rate" | "time";
  /** Modules in `contestants/`, by name in the row; the first is divided by each of the others. */
  readonly programs: Readonly<Record<string, string>>;
}

const ours = { "this library": "ours" };
const original = { ...ours, original: "original" };
const all = { ...original, "hand-written SQL": "floor" };
const many = { quantity: "rate", programs: all } as const;
const single = { quantity: "time", programs: all } as const;

export const ROWS: readonly Row[] = [
  { ...many, name: "webhook", work: "signed webhook stored, 16 at once" },
  { ...many, name: "webhookInOrder", work: "the same, here with `lastEvents`" },
  { ...many, name: "upsert", work: "`upsertExtension`, 16 at once" },
  { ...many, name: "rotate", work: "`rotateSecret`, 16 at once" },
  { ...many, name: "update", work: "`updateExtension`, 16 at once" },
  { ...many, name: "get", work: "`getExtension`, 16 at once" },
  { ...single, name: "selectOne", work: "select of one encrypted row, one at a time" },
  { ...single, name: "select100", work: "select of 100 encrypted rows" },
  { ...single, name: "select10000", work: "select of 10,000 encrypted rows" },
  { ...single, name: "insert1000", work: "insert of 1,000 encrypted rows in one statement" },
  { ...many, name: "selectPlain", work: "select of one row that is not encrypted, 16 at once" },
  { ...single, programs: original, name: "coldStart", work: "process start to first webhook" },
  { ...single, programs: ours, name: "reencrypt", work: "`reencrypt` of 100,000 rows" },
];
