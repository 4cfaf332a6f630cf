/**
 * Notices what modules do while they are imported: randomness, timers, derivations, the environment, the
 * network. Has to be imported before them, and {@linkcode endOfImports} called after them.
 *
 * @module
 */

const touched: string[] = [];
const undo: (() => void)[] = [];

type Runtime = typeof globalThis & {
  process?: { env?: unknown; getBuiltinModule?: unknown };
};

function trap(target: object | undefined, names: readonly string[], title: string): void {
  for (const name of names) {
    const original = (target as Record<string, unknown> | undefined)?.[name];
    if (target === undefined || original === undefined) continue;
    const own = Object.getOwnPropertyDescriptor(target, name);
    // Edge VM's timers are fixed. Workers forbid them by themselves, and let them be replaced.
    if (own?.configurable === false) continue;
    Object.defineProperty(target, name, {
      configurable: true,
      get() {
        touched.push(title + name);
        return typeof original === "function" ? original.bind(target) : original;
      },
    });
    undo.push(() => {
      if (own) Object.defineProperty(target, name, own);
      else Reflect.deleteProperty(target, name);
    });
  }
}

const runtime = globalThis as Runtime;
trap(crypto, ["getRandomValues", "randomUUID"], "crypto.");
trap(crypto.subtle, [
  "decrypt",
  "deriveBits",
  "deriveKey",
  "digest",
  "encrypt",
  "exportKey",
  "generateKey",
  "importKey",
  "sign",
  "verify",
], "crypto.subtle.");
trap(Math, ["random"], "Math.");
trap(runtime, ["setTimeout", "setInterval", "setImmediate", "fetch"], "");
trap(runtime.process, ["env", "getBuiltinModule"], "process.");

/** Ends the traps. Returns what was touched. */
export function endOfImports(): readonly string[] {
  for (const step of undo.splice(0)) step();
  return [...touched];
}

/** Whether the traps work: touches one on purpose. */
export function trapsWork(): boolean {
  const before = touched.length;
  void Math.random;
  return touched.splice(before).join() === "Math.random";
}
