/**
 * Runs the cases without a database, in `@edge-runtime/vm` and in workerd without Node's modules.
 */

import { serveCases } from "./edge_server.ts";

const fetch = serveCases();
Object.assign(globalThis, { serve: fetch });

export default { fetch };
