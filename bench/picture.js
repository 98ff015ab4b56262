'use strict';

// Bars on a logarithmic scale, as SVG.  A decade is as wide in each panel, so
// that equal distances are equal factors everywhere.

const COLUMN = 444;             // of a panel with its margin
const MARGIN = 24;
const NAME = 144;               // names of bars
const LENGTH = 230;             // the longest bar
const DECADES = 3.2;            // that fit into it
const BAR = 10;
const PITCH = 18;
const HEAD = 42;
const GAP = 26;
const TOP = 66;
const BOTTOM = 52;

const STYLE = `
    svg { font: 12px system-ui, -apple-system, "Segoe UI", "Inter",
          "Helvetica Neue", sans-serif; }
    .back { fill: #ffffff; stroke: #d8dee4; }
    .grid { stroke: #e6eaef; }
    .title { fill: #1f2328; font-weight: 600; }
    .head { fill: #1f2328; font-weight: 600; font-size: 15px; }
    .soft { fill: #656d76; font-size: 11px; }
    .name { fill: #424a53; }
    .own { fill: #0b5fd7; font-weight: 600; }
    .bar { fill: #b4bdc8; }
    .bar-own { fill: #0b5fd7; }
    .bar-raw { fill: none; stroke: #8c959f; stroke-dasharray: 2 2; }
    @media (prefers-color-scheme: dark) {
      .back { fill: #0d1117; stroke: #30363d; }
      .grid { stroke: #21262d; }
      .title, .head { fill: #e6edf3; }
      .soft { fill: #8d96a0; }
      .name { fill: #b7c0ca; }
      .own { fill: #58a6ff; }
      .bar { fill: #57606a; }
      .bar-own { fill: #58a6ff; }
      .bar-raw { stroke: #8d96a0; }
    }`;

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => (
  { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }[c]));

const text = (x, y, kind, content, anchor = 'start') => (
  `<text x="${x}" y="${y}" class="${kind}" text-anchor="${anchor}">${
    escape(content)}</text>`);

/** The decade at which bars begin: the smallest one is still to be seen. */
function lowest(bars) {
  const least = Math.min(...bars.map((it) => it.value));
  return Math.floor(Math.log10(least) - 0.15);
}

const label = (decade) => (
  decade < 0 ? (10 ** decade).toFixed(-decade)
    : decade < 3 ? 10 ** decade : `${10 ** (decade - 3)}k`);

function panel({ title, unit, bars }, x, y) {
  const low = lowest(bars);
  const per = LENGTH / DECADES;
  const left = x + NAME;
  const at = (value) => Math.min((Math.log10(value) - low) * per, LENGTH);
  const bottom = y + HEAD + bars.length * PITCH;
  const out = [text(x, y + 12, 'title', title), text(x, y + 27, 'soft', unit)];

  for (let decade = 0; decade <= DECADES; decade++) {
    const gx = (left + decade * per).toFixed(1);
    out.push(`<line x1="${gx}" x2="${gx}" y1="${y + HEAD - 6}" y2="${
      bottom}" class="grid"/>`,
             text(gx, y + 27, 'soft', label(low + decade), 'middle'));
  }
  bars.forEach((bar, i) => {
    const by = y + HEAD + i * PITCH;
    const width = at(bar.value).toFixed(1);
    const kind = bar.own ? 'bar-own' : bar.raw ? 'bar-raw' : 'bar';
    out.push(
      text(left - 8, by + BAR, bar.own ? 'own' : 'name', bar.name, 'end'),
      `<rect x="${left}" y="${by + 0.5}" width="${width}" height="${
        BAR}" rx="2" class="${kind}"/>`,
      text((left + Number(width) + 6).toFixed(1), by + BAR,
           bar.own ? 'own' : 'name', bar.text));
  });
  return out.join('\n');
}

const height = ({ bars }) => HEAD + bars.length * PITCH + GAP;

/**
 * panels: [{ title, unit, bars: [{ name, value, text, own, raw }] }]; caption
 * and note are lines below them.
 */
function picture(panels, caption, note) {
  const out = [];
  let y = TOP;

  for (let i = 0; i < panels.length; i += 2) {
    const pair = panels.slice(i, i + 2);
    pair.forEach((it, k) => out.push(panel(it, MARGIN + k * COLUMN, y)));
    y += Math.max(...pair.map(height));
  }

  const width = 2 * COLUMN + MARGIN;
  const total = y + BOTTOM - GAP + 10;

  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${
    total}" viewBox="0 0 ${width} ${total}" role="img">
<title>Cost of a Socket.IO gateway in nginx, beside other servers</title>
<style>${STYLE}
</style>
<rect x="0.5" y="0.5" width="${width - 1}" height="${
  total - 1}" rx="8" class="back"/>
${text(MARGIN, 30, 'head', 'What a server takes')}
${text(MARGIN, 47, 'soft', 'Shorter is better. Logarithmic: from line to line '
       + 'it is ten times as much.')}
${out.join('\n')}
${text(MARGIN, total - 31, 'soft', note)}
${text(MARGIN, total - 14, 'soft', caption)}
</svg>
`;
}

module.exports = { picture };
