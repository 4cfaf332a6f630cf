/** Modules of Node.js that a runtime may have built in. */

interface Runtime {
  readonly process?: { getBuiltinModule?(name: string): unknown };
}

/**
 * Takes a module that a runtime may lack, so that it cannot be imported. Node.js from 20.16 on, Deno, Bun, and
 * workerd with `nodejs_compat` have `process.getBuiltinModule`.
 *
 * @param name With its scheme, as `node:crypto`.
 * @returns `undefined` where the runtime does not have it.
 */
export function builtinModule<T>(name: string): T | undefined {
  return (globalThis as Runtime).process?.getBuiltinModule?.(name) as T | undefined;
}
