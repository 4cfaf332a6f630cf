/**
 * Serves the cases of an edge one by one: each is a request, as a key that one request has derived has to
 * serve the next. `GET /` tells how many there are, `GET /3` runs the fourth, and `GET /key` uses a key that
 * nothing else uses.
 *
 * @module
 */
import { imported, touched } from "./edge_imports.ts";
import { assert, assertEquals } from "@std/assert";
import { portableCases, type PortableJob } from "../conformance/portable_cases.ts";
import { buildEncryptionKey } from "../../pg/encryption.ts";
import { type BoundCase, runCase } from "../conformance/tap.ts";

/** What to do. */
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
    // Which shows that the traps work.
    assertEquals(touched, ["random"]);
    await Promise.resolve();
  },
});

const key = buildEncryptionKey("password", "salt");

/** Makes a server. */
export function serveCases<TJob extends EdgeJob>(moreCases: (job: TJob) => BoundCase[] = () => []) {
  return async (request: Request, { JOB }: { JOB: TJob }): Promise<Response> => {
    const cases = [importsCase(JOB.subpaths), ...portableCases(JOB), ...moreCases(JOB)];
    const index = new URL(request.url).pathname.slice(1);
    if (index === "key") return new Response(await key.decrypt(await key.encrypt("s3cr3t")));
    if (index === "") return new Response(String(cases.length));
    return new Response(await runCase(Number(index), cases[Number(index)]!));
  };
}
