import { runProgram } from "./program.ts";

/**
 * Replaces a section of a file between `<!-- NAME:begin -->` and `<!-- NAME:end -->`, and formats
 * the file.
 *
 * @returns Whether the file has the section.
 */
export async function renewSection(path: string, name: string, content: string): Promise<boolean> {
  const text = await Deno.readTextFile(path).catch(() => "");
  const marker = `<!-- ${name}:begin -->`;
  const begin = text.indexOf(marker);
  const end = text.indexOf(`<!-- ${name}:end -->`, begin);
  if (begin === -1 || end === -1) return false;
  const before = text.slice(0, begin + marker.length);
  await Deno.writeTextFile(path, `${before}\n\n${content}\n\n${text.slice(end)}`);
  await runProgram("/", Deno.execPath(), ["fmt", "--quiet", path]);
  return true;
}
