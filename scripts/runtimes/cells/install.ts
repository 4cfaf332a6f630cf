/**
 * npm installs the package next to what it says it works with, and to nothing else.
 *
 * @module
 */
import { DRIVERS, DRIZZLE_LINES, NPM_NAME } from "../../lib/npm_manifest.ts";
import type { Cell } from "../cell.ts";
import type { Install, Lab } from "../lab.ts";
import { resolveProject } from "../npm_project.ts";
import { outcomeOfStep, sumOfOutcomes } from "../outcome.ts";

const [PGLITE, NEON, PG, POSTGRES] = [
  "@electric-sql/pglite",
  "@neondatabase/serverless",
  "pg",
  "postgres",
] as const;

const lowest: Install = Object.fromEntries(
  Object.entries(DRIVERS).map(([name, { lowest }]) => [name, lowest]),
);
const newest: Install = Object.fromEntries(
  Object.entries(DRIVERS).map(([name, { below }]) => [name, `<${below}`]),
);

const TAKEN: readonly Install[] = [
  ...DRIZZLE_LINES.map(({ install }) => ({ "drizzle-orm": install, ...newest })),
  { "drizzle-orm": "~0.45.0", ...lowest },
  // Where a driver's range has more than one line.
  { "drizzle-orm": "~0.45.0", [PGLITE]: "~0.3.0", [NEON]: "1.0.0", [PG]: "8.16.3" },
  { "drizzle-orm": "~0.45.0", [PGLITE]: "~0.4.0", [POSTGRES]: "3.4.5" },
];

/** Builds between release candidates, which sort behind every candidate, and lines that nobody has tried. */
const REFUSED = ["1.0.0-rc.3-fe92e22", "1.0.0-rc.4", "1.0.0-rc.4-273829f", "0.43.1"];

async function resolves(lab: Lab, install: Install): Promise<string> {
  const { tarball } = await lab.package();
  const directory = await Deno.makeTempDir({ dir: lab.directory.path });
  const dependencies = { [NPM_NAME]: `file:${tarball}`, ...install };
  return await resolveProject(directory, dependencies).then(
    () => "taken",
    ({ message }: Error) => /ERESOLVE/.test(message) ? "refused" : message,
  );
}

export const installCell: Cell = {
  name: "npm install",
  shows: "next to each line of Drizzle and of the drivers; refused next to others",
  representative: true,
  async run(lab) {
    const expected: [Install, string][] = [
      ...TAKEN.map((install): [Install, string] => [install, "taken"]),
      ...REFUSED.map((line): [Install, string] => [{ "drizzle-orm": line }, "refused"]),
    ];
    const outcomes = [];
    for (const [install, verdict] of expected) {
      outcomes.push(
        await outcomeOfStep(JSON.stringify(install), async () => {
          const found = await resolves(lab, install);
          if (found !== verdict) throw new Error(`not ${verdict}, but ${found}`);
        }),
      );
    }
    return { ...sumOfOutcomes(outcomes), versions: "npm" };
  },
};
