/**
 * What the host calls inside of `@edge-runtime/vm`.
 *
 * @module
 */
import { edgeCases, type EdgeJob, written } from "./cases.ts";
import { runCases } from "../../conformance/report.ts";

Object.assign(globalThis, {
  listCases: (job: EdgeJob) => edgeCases(job).map(({ name }) => name),
  async runCase(job: EdgeJob, index: number): Promise<string> {
    const [result] = await runCases([edgeCases(job)[index]!]);
    return JSON.stringify({ ...result, written: written.values });
  },
});
