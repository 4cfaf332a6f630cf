/**
 * Notices what modules do while they are imported: randomness, timers, derivations, the environment, the
 * network. Has to be imported before them, and {@linkcode endOfImports} called after them.
 *
 * @module
 */

const touched: string[] = [];
const undo: (() => void)[] = [];

function trap(target: object | undefined, ...names: string[]): void {
  for (const name of names) {
    const original = (target as Record<string, unknown> | undefined)?.[name];
    if (target === undefined || original === undefined) continue;
    const own = Object.getOwnPropertyDescriptor(target, name);
    // Edge VM's timers are fixed. Workers forbid them by themselves, and let them be replaced.
    if (own?.configurable === false) continue;
    Object.defineProperty(target, name, {
      configurable: true,
      get() {
        touched.push(name);
        return typeof original === "function" ? original.bind(target) : original;
      },
    });
    undo.push(() => {
      if (own) Object.defineProperty(target, name, own);
      else Reflect.deleteProperty(target, name);
    });
  }
}

trap(crypto, "getRandomValues", "randomUUID");
trap(crypto.subtle, "decrypt", "deriveBits", "deriveKey", "digest", "encrypt", "exportKey");
trap(crypto.subtle, "generateKey", "importKey", "sign", "verify");
trap(Math, "random");
trap(globalThis, "setTimeout", "setInterval", "setImmediate", "fetch");
trap((globalThis as { process?: object }).process, "env", "getBuiltinModule");

/** Ends the traps. Returns what was touched, and in the end `random`, which this does itself. */
export function endOfImports(): readonly string[] {
  void Math.random;
  for (const step of undo.splice(0)) step();
  return touched;
}
