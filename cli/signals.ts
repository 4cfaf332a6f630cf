/** Termination signals. */

import process from "node:process";

/** Exit statuses as in a shell: 128 plus the signal's number. */
const STATUSES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** Calls a listener with each signal's exit status. Returns a function that stops listening. */
export function onSignals(listener: (status: number) => void): () => void {
  const listeners = Object.entries(STATUSES).map(([name, status]) =>
    [name, () => listener(status)] as const
  );
  for (const [name, listener] of listeners) process.on(name, listener);
  return () => {
    for (const [name, listener] of listeners) process.off(name, listener);
  };
}
