/** Stand-ins for mStudio's bridge and TanStack Start in the documentation's code. */

const fixture = import.meta.resolve("../fixtures/tanstack_start.ts");

export const SESSION_FIXTURES: Readonly<Record<string, string>> = {
  "@mittwald/ext-bridge/browser": fixture,
  "@tanstack/react-start": fixture,
  "@tanstack/react-start/server": fixture,
};
