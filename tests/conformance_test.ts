/** What every runtime runs of `tests/conformance/`, on Deno, from source; `deno task test:runtimes` has the others. */
import { portableCases } from "./conformance/portable_cases.ts";

const cases = portableCases({
  nativeScrypt: true,
  // In Deno before 2.7 the cipher of node:crypto takes no Uint8Array.
  nativeAes: !/^2\.[0-6]\./.test(Deno.version.deno),
});
for (const { name, run } of cases) Deno.test(name, run);
