/** What every runtime runs of `tests/conformance/`, on Deno, from source; `deno task test:runtimes` has the others. */
import { portableCases } from "./conformance/portable_cases.ts";

for (const { name, run } of portableCases({ nativeScrypt: true })) Deno.test(name, run);
