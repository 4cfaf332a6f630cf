import { join, repository } from "./paths.ts";

/** What is read of deno.json and jsr.json. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** Modules by their subpaths. */
  readonly exports: Readonly<Record<string, string>>;
  /** Specifiers by the names that modules import. */
  readonly imports: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** Reads a manifest. */
export async function readManifest(root = repository, file = "deno.json"): Promise<Manifest> {
  return JSON.parse(await Deno.readTextFile(join(root, file)));
}
