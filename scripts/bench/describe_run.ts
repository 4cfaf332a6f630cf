/**
 * When and on what a run takes place.
 *
 * @module
 */
import { cpus, totalmem } from "node:os";
import type { BenchResult } from "./result.ts";

/** Looks at the clock and the machine. */
export function describeRun(): Pick<BenchResult, "date" | "machine"> {
  const cores = cpus();
  return {
    date: new Date().toISOString(),
    machine: {
      cpu: cores[0]?.model.trim() ?? "unknown",
      cores: cores.length,
      memory: totalmem(),
      system: `${Deno.build.os} ${Deno.osRelease()} ${Deno.build.arch}`,
    },
  };
}
