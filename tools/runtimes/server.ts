import { join, repository } from "../paths.ts";
import { bundle, DRIZZLE_1 } from "./bundle.ts";
import { type Dependencies, installedVersion } from "../npm/project.ts";
import { nodeProgram, type Program } from "../npm/programs.ts";
import { runTap } from "./run_tap.ts";
import type { DrizzleLine, Shared } from "./shared.ts";
import type { Target } from "./target.ts";

const runners = join(repository, "tests/runtimes");

/** A proxy or pooler between a driver and a database. */
export interface Between extends AsyncDisposable {
  readonly url: string;
  /** Name and version, if it has one. */
  readonly version?: string;
}

export interface ServerTarget extends Pick<Target, "name"> {
  /** Default: the drivers' names. */
  readonly shows?: string;
  /** Names of modules in `tests/runtimes/drivers`, in lower case with underscores. */
  readonly drivers: readonly string[];
  /** Those that represent its class in everyday runs. */
  readonly everyday?: readonly string[];
  /** Whether it represents a runtime and also runs the cases that depend only on that. */
  readonly portable?: boolean;
  /** Default: Node 24. */
  readonly program?: () => Promise<Program>;
  /** Default: 0.45. */
  readonly drizzle?: DrizzleLine;
  /** Packages in versions other than the newest. */
  readonly install?: Dependencies;
  /** Starts a proxy or pooler between driver and database. */
  readonly between?: (shared: Shared, url: string) => Promise<Between>;
}

export function serverTarget({
  name,
  drivers,
  everyday,
  shows = `all suites on ${drivers.join(", ")}`,
  portable = false,
  program = () => nodeProgram(24),
  drizzle = "0.45",
  install = {},
  between: startBetween,
}: ServerTarget): Target {
  return {
    name,
    shows,
    everyday: everyday !== undefined,
    async run(shared) {
      const url = await shared.database();
      await using between = await startBetween?.(shared, url);
      const through = between?.url;
      const job = {
        nativeScrypt: true,
        nativeAes: true,
        portable,
        drivers: shared.everyday ? everyday : drivers,
        url,
        through,
        everyday: shared.everyday,
      };
      const { name: runtime, path, version } = await program();
      const cwd = await shared.project(drizzle, install);
      const versions = [between?.version ?? [], `${runtime} ${version}`].flat();
      for (const name of ["drizzle-orm", ...Object.keys(install)]) {
        versions.push(`${name} ${await installedVersion(cwd, name)}`);
      }
      const runner = await runnerIn(shared, cwd, drizzle);
      const args = runtime === "Deno"
        ? ["run", "-A", "--node-modules-dir=manual", runner]
        : [runner];
      return await runTap({ path, args, cwd, versions: versions.join(", ") }, job);
    },
  };
}

function runnerIn(shared: Shared, project: string, drizzle: DrizzleLine): Promise<string> {
  const outDir = join(project, "runner");
  return shared.once(outDir, async () => {
    const drivers = Array.from(Deno.readDirSync(join(runners, "drivers")), ({ name }) => name);
    const modules = ["run_server.ts", ...drivers.map((name) => `drivers/${name}`)];
    await bundle({
      entries: Object.fromEntries(
        modules.map((path) => [path.replace(".ts", ""), join(runners, path)]),
      ),
      outDir,
      ...drizzle === "1.0" && { replacements: DRIZZLE_1 },
    });
    return join(outDir, "run_server.js");
  });
}
