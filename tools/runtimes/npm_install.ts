/** npm installs the package next to supported peers, and refuses others. */
import { DRIVERS, MITTHOOKS, NPM_NAME } from "../npm/manifest.ts";
import { npmPackage } from "../npm/package.ts";
import { createProject, type Dependencies } from "../npm/project.ts";
import type { Shared } from "./shared.ts";
import { messageOf, runSteps, type Target } from "./target.ts";

const LOWEST_DRIVERS: Dependencies = Object.fromEntries(
  Object.entries(DRIVERS).map(([name, { lowest }]) => [name, lowest]),
);

/** Versions of Drizzle, and drivers that no other target installs with it; npm's verdict. */
const VERDICTS: readonly (readonly [string, Dependencies, "taken" | "refused"])[] = [
  ["~0.45.0", { ...LOWEST_DRIVERS, [MITTHOOKS]: "0.3.0" }, "taken"],
  [
    "~0.45.0",
    {
      "@electric-sql/pglite": "~0.3.0",
      "@neondatabase/serverless": "1.0.0",
      "pg": "8.16.3",
    },
    "taken",
  ],
  ["~0.45.0", { "@electric-sql/pglite": "~0.4.0", "postgres": "3.4.5" }, "taken"],
  // Builds between release candidates, which sort after every candidate, and untested lines.
  ["1.0.0-rc.3-fe92e22", {}, "refused"],
  ["1.0.0-rc.4", {}, "refused"],
  ["1.0.0-rc.4-273829f", {}, "refused"],
  ["0.43.1", {}, "refused"],
  ["~0.45.0", { [MITTHOOKS]: "0.2.5" }, "refused"],
];

async function assertVerdict(shared: Shared, install: Dependencies, expected: string) {
  const directory = await Deno.makeTempDir({ dir: shared.path() });
  const dependencies = { [NPM_NAME]: `file:${(await npmPackage()).tarball}`, ...install };
  const found = await createProject(directory, dependencies, "--dry-run")
    .then(() => "taken", (error) => /ERESOLVE/.test(error.message) ? "refused" : messageOf(error));
  if (found !== expected) throw new Error(`not ${expected}, but ${found}`);
}

export const npmInstall: Target = {
  name: "npm install",
  shows: "next to each line of the drivers; refused next to others, and to other lines of Drizzle",
  everyday: true,
  run: (shared) =>
    runSteps(
      "npm",
      Object.fromEntries(
        VERDICTS.map(([drizzle, drivers, expected]) => {
          const install = { "drizzle-orm": drizzle, ...drivers };
          return [JSON.stringify(install), () => assertVerdict(shared, install, expected)];
        }),
      ),
    ),
};
