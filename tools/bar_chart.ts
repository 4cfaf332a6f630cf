/** Groups of bars with their labels. */
export type Bars = Readonly<Record<string, readonly { label: string; value: number }[]>>;

const COLORS = ["#0969da", "#bf8700", "#8c959f"];

/**
 * Draws a bar chart as SVG: a title, and the name and bars of each group; the largest value is
 * longest.
 */
export function barChart(title: string, groups: Bars): string {
  const most = Math.max(...Object.values(groups).flat().map(({ value }) => value));
  const lines = [`<text x="10" y="20" font-weight="bold">${title}</text>`];
  let y = 32;
  for (const [name, bars] of Object.entries(groups)) {
    lines.push(`<text x="10" y="${y + 13}">${name}</text>`);
    for (const [index, { label, value }] of bars.entries()) {
      const width = Math.round(value / most * 380);
      lines.push(
        `<rect x="120" y="${y}" width="${width}" height="16" fill="${COLORS[index]}"/>`,
        `<text x="${126 + width}" y="${y + 13}">${label}</text>`,
      );
      y += 18;
    }
    y += 8;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="760" height="${y}" font-family="sans-serif" font-size="13">
<rect width="760" height="${y}" fill="#fff"/>
${lines.join("\n")}
</svg>
`;
}
