import { join, repository } from "./paths.ts";

/** The fields read from deno.json and jsr.json. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** Modules by subpath. */
  readonly exports: Readonly<Record<string, string>>;
  /** Specifiers by import name. */
  readonly imports: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

export async function readManifest(root = repository, file = "deno.json"): Promise<Manifest> {
  return JSON.parse(await Deno.readTextFile(join(root, file)));
}
