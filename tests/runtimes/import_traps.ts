/**
 * Detects side effects of imports: randomness, timers, derivations, the environment, the network.
 * Import it before the modules, and call {@linkcode endOfImports} after them.
 */

const touched: string[] = [];
const undo: (() => void)[] = [];

function trap(target: object | undefined, ...names: string[]): void {
  for (const name of names) {
    const original = (target as Record<string, unknown> | undefined)?.[name];
    if (target === undefined || original === undefined) continue;
    const own = Object.getOwnPropertyDescriptor(target, name);
    // Edge VM's timers cannot be replaced. Workers' can, and are forbidden there anyway.
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

/** Ends the traps. Returns the accesses, followed by `random`, which it causes itself. */
export function endOfImports(): readonly string[] {
  void Math.random;
  for (const step of undo.splice(0)) step();
  return touched;
}
