/**
 * What is measured: each row is one piece of work, done by contestants in turn.
 *
 * @module
 */
import type { Quantity } from "./result.ts";

/** Somebody who does a row's work. */
export interface Contestant {
  /** The name in the row. */
  readonly name: string;
  /** The module in `contestants/` that does it. */
  readonly program:
    | "ours"
    | "original"
    | "floor"
    | "drizzle"
    | "cold_ours"
    | "cold_original"
    | "reencrypt";
  /** How it calls the work. */
  readonly workload: string;
  /** The database: by the number of instances in it. */
  readonly instances: number;
  readonly lastEvents?: boolean;
}

/** One row. */
export interface Row {
  readonly name: string;
  readonly work: string;
  /** The first is divided by each of the others. */
  readonly contestants: readonly Contestant[];
  readonly quantities: readonly Quantity[];
  /** How many pieces of work are under way at once. */
  readonly concurrency: number;
  /** A process that goes on, or a new one for each sample. */
  readonly processes: "one" | "fresh";
  /** Only with `--full`. */
  readonly full?: boolean;
  /** In the README's table. */
  readonly short?: boolean;
}

/** How many instances the ordinary table holds. */
const SMALL = 1_000;

/** From how many rows on re-encryption is measured. */
const FEW_ROWS = 10_000;

const STORAGE_CALLS = ["upsertExtension", "rotateSecret", "updateExtension", "getExtension"];

const contestant = (
  program: Contestant["program"],
  workload: string,
  name: string = program,
  instances = SMALL,
): Contestant => ({ name, program, workload, instances });

/** Ours, and plain Drizzle with what it takes to do the same. */
const besideDrizzle = (workload: string, drizzle: string, ours = "ours"): Contestant[] => [
  contestant("ours", workload, ours),
  contestant("drizzle", workload, drizzle),
];

const count = (value: number) => value.toLocaleString("en-US");

/**
 * All rows.
 *
 * @param large How many rows the large tables have.
 */
export function allRows(large: number): Row[] {
  const many = { quantities: ["rate"], concurrency: 16, processes: "one" } as const;
  const single = { quantities: ["time"], concurrency: 1, processes: "one" } as const;
  const inTables = (
    program: Contestant["program"],
    workload: string,
    sizes: readonly number[],
  ) => sizes.map((size) => contestant(program, workload, `${count(size)} rows`, size));
  return [
    {
      name: "webhook",
      work: "signed webhook stored, 16 at once",
      contestants: [
        contestant("ours", "webhook", "ours", 0),
        contestant("original", "webhook", "original", 0),
        contestant("floor", "webhook", "floor", 0),
      ],
      ...many,
      short: true,
    },
    {
      name: "webhookRequest",
      work: "signed webhook out of a `Request` stored, 16 at once",
      contestants: [
        contestant("ours", "webhook", "ours", 0),
        contestant("floor", "webhookRequest", "floor with Request and JSON", 0),
      ],
      ...many,
    },
    {
      name: "lastEvents",
      work: "signed webhook stored with `lastEvents`, 16 at once",
      contestants: [
        { ...contestant("ours", "webhook", "with lastEvents", 0), lastEvents: true },
        contestant("ours", "webhook", "without", 0),
      ],
      ...many,
    },
    ...STORAGE_CALLS.map((call) => ({
      name: call,
      work: `\`${call}\`, 16 at once`,
      contestants: [contestant("ours", call), contestant("original", call)],
      ...many,
      short: true,
    })),
    ...[100, 10_000].map((rows) => ({
      name: `select${rows}`,
      work: `select of ${count(rows)} encrypted rows`,
      contestants: besideDrizzle(`select${rows}`, "plain select + bare decrypt"),
      ...single,
      short: rows === 10_000,
    })),
    {
      name: "insert1000",
      work: "insert of 1,000 encrypted rows in one statement",
      contestants: besideDrizzle("insert1000", "plain insert + bare encrypt"),
      ...single,
      short: true,
    },
    {
      name: "selectPlain",
      work: "select of one row without encrypted columns, 16 at once",
      contestants: besideDrizzle("selectPlain", "undecorated", "withEncryption"),
      ...many,
      quantities: ["time"],
      short: true,
    },
    {
      name: "coldStart",
      work: "cold start, process start to first webhook stored",
      contestants: [
        contestant("cold_ours", "", "ours", 0),
        contestant("cold_original", "", "original", 0),
      ],
      ...single,
      processes: "fresh",
      short: true,
    },
    ...[...STORAGE_CALLS, "removeInstance"].map((call) => ({
      name: `${call}Large`,
      work: `\`${call}\` in a large table, 16 at once`,
      contestants: inTables("ours", call, [large, SMALL]),
      ...many,
      quantities: ["time"] as const,
      full: true,
    })),
    ...["upsertExtension", "getExtension"].map((call) => ({
      name: `${call}LargeFloor`,
      work: `bare SQL and Web Crypto like \`${call}\` in a large table, 16 at once`,
      contestants: inTables("floor", call, [large, SMALL]),
      ...many,
      quantities: ["time"] as const,
      full: true,
    })),
    {
      name: "reencrypt",
      work: "`reencrypt` and `keyStatus` of a large table",
      contestants: inTables("reencrypt", "", [large, FEW_ROWS]),
      ...single,
      quantities: ["rate", "memory", "counting"],
      processes: "fresh",
      full: true,
    },
  ];
}
