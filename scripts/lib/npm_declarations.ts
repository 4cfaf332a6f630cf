/**
 * Makes declarations say the same, whichever compiler wrote them.
 *
 * @module
 */

/** How TypeScript's declarations name private fields; whoever has the public members would be refused for it. */
const PRIVATE_FIELDS = /^ *#private;\n/gm;

/** The comment that a module begins with, behind the line that makes it a program. */
const MODULE_COMMENT = /^(?:#!.*\n)?(\/\*\*(?:(?!\*\/)[^])*@module(?:(?!\*\/)[^])*\*\/)\n/;

/**
 * Leaves out private fields, and begins with the module's comment: `deno pack` loses some.
 *
 * @param declarations What a compiler wrote.
 * @param source The module.
 */
export function commonDeclarations(declarations: string, source: string): string {
  const comment = MODULE_COMMENT.exec(source)?.[1];
  const rest = declarations.replace(/^#!.*\n/, "").replace(PRIVATE_FIELDS, "");
  return comment === undefined || rest.includes("@module") ? rest : `${comment}\n${rest}`;
}
