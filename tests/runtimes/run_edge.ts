/** Runs the cases where no database can be reached: in `@edge-runtime/vm`, and in workerd without Node's modules. */

import { serveCases } from "./edge_server.ts";

const fetch = serveCases();
Object.assign(globalThis, { serve: fetch });

export default { fetch };
