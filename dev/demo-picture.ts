/**
 * Draws the start of the demo as the terminal shows it: `npm run -s demo | npx node dev/demo-picture.ts > docs/demo.svg`.
 * Long lines are cut, with "…" at their end.
 */
import { text } from "node:stream/consumers";

const COLUMNS = 112;
const CHARACTER = { width: 7.8, height: 18 };
const MARGIN = 16;
/** Headings of the demo whose parts are shown. */
const SHOWN = [/^Create a user/, /^REST/, /^A stranger/, /^Now the right password/];
/** Of the guesses, which look alike, only the first is shown. */
const LINES_EACH = 10;
const COLORS = { heading: "#ffffff", sent: "#79c0ff", good: "#7ee787", refused: "#ffa198", other: "#8b949e" };

const parts = (await text(process.stdin)).trim().split("\n\n");
const shown = parts
  .filter((part) => SHOWN.some((heading) => heading.test(part)))
  .map((part) => part.split("\n"))
  .map((lines) => (lines.length <= LINES_EACH ? lines : [...lines.slice(0, 3), "  …", ...lines.slice(-4)]));
const lines = ["$ npm run demo", ...shown.flatMap((part) => ["", ...part])];

const cut = (line: string) => (line.length <= COLUMNS ? line : `${line.slice(0, COLUMNS - 1)}…`);
const escaped = (line: string) => line.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
function colorOf(line: string): string {
  if (/^ +> /.test(line)) return COLORS.sent;
  if (/^ +< (HTTP 2|OK)/.test(line)) return COLORS.good;
  if (/^ +< /.test(line)) return COLORS.refused;
  return line.startsWith(" ") ? COLORS.other : COLORS.heading;
}

const width = Math.ceil(COLUMNS * CHARACTER.width + 2 * MARGIN);
const height = lines.length * CHARACTER.height + 2 * MARGIN;
const rows = lines.map((line, index) => {
  const y = MARGIN + (index + 0.75) * CHARACTER.height;
  return `<text x="${MARGIN}" y="${y}" fill="${colorOf(line)}" xml:space="preserve">${escaped(cut(line))}</text>`;
});
process.stdout.write(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">
<title>The demo in a terminal</title>
<rect width="100%" height="100%" rx="8" fill="#0d1117"/>
<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13">
${rows.join("\n")}
</g>
</svg>
`);
