/**
 * The portable cases of `tests/conformance/` on Deno, from source; see `deno task test:runtimes`
 * for others.
 */
import { portableCases } from "./conformance/portable_cases.ts";

const cases = portableCases({
  nativeScrypt: true,
  // Before Deno 2.7, the cipher of node:crypto accepts no Uint8Array.
  nativeAes: !/^2\.[0-6]\./.test(Deno.version.deno),
});
for (const { name, run } of cases) Deno.test(name, run);
