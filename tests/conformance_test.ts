/** What every runtime runs of `tests/conformance/`, on Deno, from source; `deno task test:runtimes` has the others. */
import { portableCases } from "./conformance/portable_cases.ts";

const cases = portableCases({ nativeScrypt: true, nativeAes: true });
for (const { name, run } of cases) Deno.test(name, run);
