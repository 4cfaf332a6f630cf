/**
 * Puts content between the markers of a section, `<!-- NAME:begin -->` and `<!-- NAME:end -->`.
 *
 * @returns The document with the content, or `undefined` where it has no such markers.
 */
export function withSection(text: string, name: string, content: string): string | undefined {
  const marker = `<!-- ${name}:begin -->`;
  const begin = text.indexOf(marker);
  const end = text.indexOf(`<!-- ${name}:end -->`, begin);
  if (begin === -1 || end === -1) return undefined;
  return `${text.slice(0, begin + marker.length)}\n\n${content}\n\n${text.slice(end)}`;
}

/**
 * Renews a section of a file and formats the file.
 *
 * @returns Whether the file has the section.
 */
export async function renewSection(path: string, name: string, content: string): Promise<boolean> {
  const text = await Deno.readTextFile(path).catch(() => "");
  const renewed = withSection(text, name, content);
  if (renewed === undefined) return false;
  if (renewed === text) return true;
  await Deno.writeTextFile(path, renewed);
  await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", path] }).output();
  return true;
}
