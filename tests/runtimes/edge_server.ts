/**
 * Serves the cases of an edge runtime, one per request, because a key derived in one request must
 * work in the next. `GET /` returns their number, `GET /3` runs the fourth, and `GET /key` uses a
 * separate key.
 */
import { imported, touched } from "./edge_imports.ts";
import { assert, assertEquals } from "@std/assert";
import { portableCases, type PortableJob } from "../conformance/portable_cases.ts";
import { buildEncryptionKey } from "../../pg/encryption.ts";
import { type BoundCase, runCase } from "../conformance/tap.ts";

/** The job. */
export type EdgeJob = PortableJob & {
  /** Subpaths of the package that run at the edge. */
  readonly subpaths: readonly string[];
};

const importsCase = (subpaths: readonly string[]): BoundCase => ({
  name: "imports: every subpath, without randomness, timers, environment or derivation",
  async run() {
    assertEquals(Object.keys(imported).sort(), [...subpaths].sort());
    for (const [name, module] of Object.entries(imported)) {
      assert(Object.keys(module).length > 0, name);
    }
    // Shows that the traps work.
    assertEquals(touched, ["random"]);
    await Promise.resolve();
  },
});

const key = buildEncryptionKey("password", "salt");

/** Creates the server. */
export function serveCases<TJob extends EdgeJob>(moreCases: (job: TJob) => BoundCase[] = () => []) {
  return async (request: Request, { JOB }: { JOB: TJob }): Promise<Response> => {
    const cases = [importsCase(JOB.subpaths), ...portableCases(JOB), ...moreCases(JOB)];
    const index = new URL(request.url).pathname.slice(1);
    if (index === "key") return new Response(await key.decrypt(await key.encrypt("s3cr3t")));
    if (index === "") return new Response(String(cases.length));
    return new Response(await runCase(Number(index), cases[Number(index)]!));
  };
}
