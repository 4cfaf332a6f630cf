/** Runs a test step for each row of a table, with the row's name. */
export async function eachRow<T>(
  t: Deno.TestContext,
  rows: Readonly<Record<string, T>>,
  run: (row: T, name: string) => Promise<unknown> | void,
): Promise<void> {
  for (const [name, row] of Object.entries(rows)) {
    await t.step(name, async () => void await run(row, name));
  }
}
