/** Finds the name that somebody meant who has misspelt it. */

/** So many letters may differ, of names as short as those of commands. */
const MAX_DISTANCE = 2;

/** The name that a word is closest to, or the beginning of; `undefined` where none is close. */
export function closestTo(word: string, names: Iterable<string>): string | undefined {
  return [...names]
    .map((name) => [name.startsWith(word) ? 0 : distance(word, name), name] as const)
    .filter(([letters]) => letters <= MAX_DISTANCE)
    .sort(([one], [other]) => one - other)[0]?.[1];
}

/** The number of letters that have to be put in, left out or replaced (Levenshtein). */
function distance(one: string, other: string): number {
  let row = Array.from(other, (_, index) => index + 1);
  for (const [index, letter] of [...one].entries()) {
    let [left, above] = [index + 1, index];
    row = row.map((up, column) => {
      left = Math.min(left + 1, up + 1, above + Number(letter !== other[column]));
      above = up;
      return left;
    });
  }
  return row.at(-1) ?? one.length;
}
