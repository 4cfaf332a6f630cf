/**
 * Renews the picture and the README's table.
 *
 * @module
 */
import { renewSection } from "../../tools/marked_section.ts";
import { dirname, join, repository } from "../../tools/paths.ts";
import { figuresSection, PICTURE } from "./markdown_table.ts";
import { picture } from "./picture.ts";
import type { BenchResult } from "./result.ts";
import { allRows } from "./rows.ts";

/** The README's section. */
const SECTION = "bench";

/**
 * Writes both.
 *
 * @param result What was measured.
 * @param root The directory that has them.
 * @throws {Error} The README has no place for the table.
 */
export async function writeDocuments(
  result: BenchResult,
  root: string = repository,
): Promise<void> {
  const file = join(root, PICTURE);
  await Deno.mkdir(dirname(file), { recursive: true });
  await Deno.writeTextFile(file, picture(result));
  const shown = allRows(0).filter(({ short }) => short).map(({ name }) => name);
  const readme = join(root, "README.md");
  if (!await renewSection(readme, SECTION, figuresSection(result, shown))) {
    throw new Error(`Renewing ${readme}: it has no section "${SECTION}"`);
  }
}
