import { runProgram } from "./program.ts";

/**
 * Replaces what a file has between `<!-- NAME:begin -->` and `<!-- NAME:end -->`, and formats the
 * file.
 */
export async function renewSection(path: string, name: string, content: string): Promise<void> {
  const text = await Deno.readTextFile(path);
  const section = new RegExp(`(?<=<!-- ${name}:begin -->)[^]*(?=<!-- ${name}:end -->)`);
  if (!section.test(text)) throw new Error(`Renewing a section of ${path}: there is no ${name}`);
  await Deno.writeTextFile(path, text.replace(section, () => `\n\n${content}\n\n`));
  await runProgram("/", Deno.execPath(), ["fmt", "--quiet", path]);
}
