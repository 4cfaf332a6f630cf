/** Signals that ask a program to end. */

import process from "node:process";

/** What a shell reports of a program that a signal has ended: 128 and the signal's number. */
const STATUSES = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

/** Calls a listener with the exit status of each signal that comes, until what it returns is called. */
export function onSignals(listener: (status: number) => void): () => void {
  const listeners = Object.entries(STATUSES).map(([name, status]) =>
    [name, () => listener(status)] as const
  );
  for (const [name, listener] of listeners) process.on(name, listener);
  return () => {
    for (const [name, listener] of listeners) process.off(name, listener);
  };
}
