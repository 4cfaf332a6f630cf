/**
 * Stands in for `@deno/dnt` where JSR does not answer: the part of its options that the build of the npm package uses,
 * so that types can be checked there, too. It builds nothing.
 */
export interface BuildOptions {
  cwd?: string;
  entryPoints: { name?: string; path: string }[];
  outDir: string;
  shims: Record<string, never>;
  scriptModule?: "cjs" | "umd" | false;
  skipSourceOutput?: boolean;
  polyfills?: boolean;
  test?: boolean;
  compilerOptions?: { target?: "Latest"; lib?: ("ESNext" | "DOM" | "DOM.Iterable")[] };
  package: { name: string; version: string; devDependencies?: Record<string, string> };
}

/** @throws {Error} Always. */
export function build(_options: BuildOptions): Promise<void> {
  return Promise.reject(new Error("Building with dnt: JSR does not answer"));
}
