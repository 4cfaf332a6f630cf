/** Suggests the intended name for a misspelt one. */

/** Limit of differing letters; commands have short names. */
const MAX_DISTANCE = 2;

/** The name that a word is close to or a prefix of; `undefined` if there is none. */
export function closestTo(word: string, names: Iterable<string>): string | undefined {
  return [...names]
    .map((name) => [name.startsWith(word) ? 0 : distance(word, name), name] as const)
    .filter(([letters]) => letters <= MAX_DISTANCE)
    .sort(([one], [other]) => one - other)[0]?.[1];
}

/** The number of insertions, deletions and substitutions (Levenshtein). */
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
