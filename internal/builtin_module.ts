/** Node.js modules that a runtime may have built in. */

interface Runtime {
  readonly process?: { getBuiltinModule?(name: string): unknown };
}

/**
 * Loads a module that some runtimes lack, so a static import would fail there. Node.js from 20.16,
 * Deno, Bun, and workerd with `nodejs_compat` have `process.getBuiltinModule`.
 *
 * @param name The module with its scheme, for example `node:crypto`.
 * @returns The module, or `undefined` if the runtime lacks it.
 */
export function builtinModule<T>(name: string): T | undefined {
  return (globalThis as Runtime).process?.getBuiltinModule?.(name) as T | undefined;
}
