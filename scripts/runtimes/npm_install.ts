/**
 * npm installs the package next to what it says it works with, and to nothing else.
 *
 * @module
 */
import { DRIVERS, DRIZZLE_LINES, NPM_NAME } from "../lib/npm_manifest.ts";
import { createProject, type Dependencies } from "./npm_project.ts";
import { NEWEST_DRIVERS, type Shared } from "./shared.ts";
import { messageOf, runSteps, type Target } from "./target.ts";

const LOWEST_DRIVERS: Dependencies = Object.fromEntries(
  Object.entries(DRIVERS).map(([name, { lowest }]) => [name, lowest]),
);

const TAKEN: readonly Dependencies[] = [
  ...DRIZZLE_LINES.map(({ install }) => ({ "drizzle-orm": install, ...NEWEST_DRIVERS })),
  { "drizzle-orm": "~0.45.0", ...LOWEST_DRIVERS },
  // Where a driver's range has more than one line.
  {
    "drizzle-orm": "~0.45.0",
    "@electric-sql/pglite": "~0.3.0",
    "@neondatabase/serverless": "1.0.0",
    "pg": "8.16.3",
  },
  { "drizzle-orm": "~0.45.0", "@electric-sql/pglite": "~0.4.0", "postgres": "3.4.5" },
];

/** Builds between release candidates, which sort behind every candidate, and lines that nobody has tried. */
const REFUSED: readonly Dependencies[] = [
  "1.0.0-rc.3-fe92e22",
  "1.0.0-rc.4",
  "1.0.0-rc.4-273829f",
  "0.43.1",
].map((version) => ({ "drizzle-orm": version }));

async function assertVerdict(shared: Shared, install: Dependencies, expected: string) {
  const directory = await Deno.makeTempDir({ dir: shared.path() });
  const { tarball } = await shared.package();
  const dependencies = { [NPM_NAME]: `file:${tarball}`, ...install };
  const found = await createProject(directory, dependencies, "--dry-run")
    .then(() => "taken", (error) => /ERESOLVE/.test(error.message) ? "refused" : messageOf(error));
  if (found !== expected) throw new Error(`not ${expected}, but ${found}`);
}

export const npmInstall: Target = {
  name: "npm install",
  shows: "next to each line of Drizzle and of the drivers; refused next to others",
  everyday: true,
  run: (shared) =>
    runSteps(
      "npm",
      Object.fromEntries(
        [...TAKEN, ...REFUSED].map((install) => [
          JSON.stringify(install),
          () => assertVerdict(shared, install, TAKEN.includes(install) ? "taken" : "refused"),
        ]),
      ),
    ),
};
