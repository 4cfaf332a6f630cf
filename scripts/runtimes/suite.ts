/**
 * What all targets have in common that run the suites.
 *
 * @module
 */
import type { RunnerOutcome } from "./run_tap.ts";
import type { Shared } from "./shared.ts";
import type { Target } from "./target.ts";

/** A target that runs the suites; all of them read what each has written. */
export interface Suite extends Required<Pick<Target, "name" | "shows" | "everyday">> {
  /** Starts the runner in `tests/runtimes`. */
  start(shared: Shared, job: Readonly<Record<string, unknown>>): Promise<RunnerOutcome>;
}

export function suiteTarget({ name, shows, everyday, start }: Suite): Target {
  return {
    name,
    shows,
    everyday,
    async run(shared) {
      const interop = await shared.interop();
      const outcome = await start(shared, {
        writer: name,
        everyday: shared.everyday,
        interopUrl: interop.url,
        url: await shared.database(),
      });
      if (outcome.note !== undefined) await interop.add(name, JSON.parse(outcome.note));
      return outcome;
    },
    async read(shared) {
      const { url: interopUrl, values: read } = await shared.interop();
      return await start(shared, { writer: name, interopUrl, read, drivers: [] });
    },
  };
}
