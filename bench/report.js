'use strict';

// One report of a run: node report.js DIR
//
// Reads the results in DIR and in DIR/series, and leaves report.md and bench.svg
// there.

const fs = require('node:fs');
const path = require('node:path');

const {
  results, markdown, about, fixed, median,
} = require('./peers/summary');
const { picture } = require('./picture');
const { ALL } = require('./series/run');

const NOTE = '¹ It checks no token, and speaks plain WebSocket, not Socket.IO.';

const PEERS = {
  raw: 'raw loop',
  sio: 'this module',
  sio2: 'this module, 2 workers',
  nchan: 'nchan ¹',
  nchan2: 'nchan ¹, 2 workers',
  node: 'socket.io on Node',
  node2: 'socket.io, 2 processes',
  eiows: 'socket.io on eiows',
  bun: 'socket.io on Bun',
  ext: 'other ¹',
  'ext-sio': 'other',
};

// What is shown of a scenario, and the target of the module: a multiple of a raw
// send, or absolute.  base: the loop of the same scenario rather than the probe,
// loop: that which ran beside each run.
const ROWS = [
  { id: 'S1', key: 'cost', what: 'paced fan-out to 1,000',
    unit: 'CPU µs per delivery', base: 'cost', target: 1.10 },
  { id: 'S1', key: 'user', what: 'of it in user space, by ticks',
    unit: 'CPU µs per delivery', bars: false },
  { id: 'S1', key: 'own', what: 'of it in user space, by the counter ²',
    unit: 'CPU µs per delivery', absolute: 0.15, bars: false },
  { id: 'S1L', key: 'p50ms', what: 'the same, two CPUs: latency',
    unit: 'p50, ms', loop: 'loop_p50ms', absolute: 0.9, bars: false },
  { id: 'S1L', key: 'p99ms', what: 'latency of a fan-out, two CPUs',
    unit: 'p99, ms', loop: 'loop_p99ms', absolute: 3 },
  { id: 'S2', key: 'cost', what: 'burst fan-out to 1,000',
    unit: 'CPU µs per delivery', target: 0.08 },
  { id: 'S3', key: 'cost', what: 'publish to rooms of 5',
    unit: 'CPU µs per publish', target: 20 },
  { id: 'S4', key: 'cost', what: '10,000 idle, 5 rooms each',
    unit: 'bytes per connection', absolute: 1400, digits: 0, memory: true },
  { id: 'S5', key: 'cost', what: 'new connection, HS256 token',
    unit: 'CPU µs per connection', target: 16 },
  { id: 'S6', key: 'cost', what: 'ping and pong', unit: 'CPU µs per ping',
    target: 3 },
];

// What bench/usertime has printed: user time of a delivery, in µs.
const COUNTED = { raw: 'rawfan', sio: 'nginx' };

function counted(dir) {
  const file = path.join(dir, 'usertime.lines');
  const lines = fs.existsSync(file)
    ? fs.readFileSync(file, 'utf8').trim().split('\n').map((line) => (
      JSON.parse(line))) : [];
  return Object.fromEntries(Object.entries(COUNTED).map(([peer, program]) => [
    peer, median(lines.filter((it) => it.program === program)
      .map((it) => it.user_ns / 1e3))]));
}

const grouped = (value) => Math.round(value).toLocaleString('en');

function number(value, row) {
  if (row.digits === 0 || value >= 100) {
    return grouped(value);
  }
  return fixed(value, value < 10 ? 2 : 1);
}

class Report {
  constructor(dir) {
    this.dir = dir;
    this.list = results(dir);
    const own = counted(dir);
    for (const it of this.list.filter(({ scenario }) => scenario === 'S1')) {
      it.own = own[it.peer];
    }
    this.about = about();
    this.peers = Object.keys(PEERS).filter((peer) => (
      this.list.some((it) => it.peer === peer)
      || fs.readdirSync(dir).some((name) => (
        name.startsWith(`${peer}.`) && name.endsWith('.failed')))));
    this.rows = ROWS.filter((row) => (
      this.list.some((it) => it.scenario === row.id)));
  }

  find(peer, id) {
    return this.list.find((it) => it.peer === peer && it.scenario === id);
  }

  value(peer, row) {
    return this.find(peer, row.id)?.[row.key];
  }

  /** Times of what the raw loop needs, or undefined. */
  ratio(peer, row) {
    const it = this.find(peer, row.id);
    if (!it || row.memory || ['user', 'own'].includes(row.key)) {
      return undefined;
    }
    const { base, loop } = row;
    const by = base ? this.find('raw', row.id)?.[base] : it[loop || 'raw'];
    return by ? it[row.key] / by : undefined;
  }

  cell(peer, row) {
    const failed = path.join(this.dir, `${peer}.${row.id}.failed`);
    const value = this.value(peer, row);
    const ratio = this.ratio(peer, row);

    if (fs.existsSync(failed)) {
      return `failed: ${fs.readFileSync(failed, 'utf8').trim()}`;
    }
    if (!Number.isFinite(value)) {
      return '-';
    }
    const text = number(value, row);
    return ratio && peer !== 'raw'
      ? `${text} (${fixed(ratio, ratio < 10 ? 2 : 0)} x)` : text;
  }

  /** The target, and whether the module meets it. */
  target(row) {
    const [limit, value] = row.target
      ? [row.target, this.ratio('sio', row)]
      : [row.absolute, this.value('sio', row)];
    if (!limit) {
      return '';
    }
    const text = row.target ? `${limit} x` : number(limit, row);

    if (!Number.isFinite(value)) {
      return text;
    }
    const least = this.find('sio', row.id)[row.loop];
    return `${text}: ${value <= limit ? 'met' : '**missed**'}${
      least > limit ? `; the loop alone takes ${number(least, row)}` : ''}`;
  }

  table() {
    const head = ['', 'scenario', 'figure', ...this.peers.map((p) => PEERS[p]),
                  'target'];
    return [
      `| ${head.join(' | ')} |`,
      `|${head.map(() => '---|').join('')}`,
      ...this.rows.map((row) => `| ${[
        row.id, row.what, row.unit,
        ...this.peers.map((peer) => this.cell(peer, row)), this.target(row),
      ].join(' | ')} |`),
    ];
  }

  panels() {
    return this.rows.filter((row) => row.bars !== false).map((row) => ({
      title: `${row.id}  ${row.what}`,
      unit: row.unit,
      bars: this.peers.map((peer) => ({
        name: PEERS[peer], own: peer.startsWith('sio'), raw: peer === 'raw',
        value: this.value(peer, row),
        text: number(this.value(peer, row), row),
      })).filter((bar) => Number.isFinite(bar.value)),
    })).filter((panel) => panel.bars.length > 0);
  }
}

function series(dir) {
  const folder = path.join(dir, 'series');
  return ALL.map((name) => path.join(folder, `${name}.json`))
    .filter((file) => fs.existsSync(file))
    .flatMap((file) => section(JSON.parse(fs.readFileSync(file, 'utf8'))));
}

function section(it) {
  const lines = [`### ${it.title}`, '', `${it.what[0].toUpperCase()}${
    it.what.slice(1)}.`, ''];

  if (it.error) {
    return [...lines, `Failed: ${it.error}`, ''];
  }
  lines.push(`| ${it.columns.join(' | ')} |`,
             `|${it.columns.map(() => '---|').join('')}`,
             ...it.rows.map((row) => `| ${row.join(' | ')} |`), '');
  for (const c of it.checks || []) {
    const shown = (value) => value.toLocaleString('en', {
      maximumFractionDigits: c.digits,
    });
    lines.push(`- ${c.what}: ${shown(c.value)}, target ${shown(c.limit)}: ${
      c.met ? 'met' : '**missed**'}${
      c.least > c.limit ? `; the loop alone has ${shown(c.least)}` : ''}`);
  }
  for (const note of it.notes || []) {
    lines.push(`- ${note}`);
  }
  return [...lines, ''];
}

function main(dir) {
  const report = new Report(dir);
  const { date, machine, system, commit } = report.about;
  const seconds = Number(process.env.RUNTIME || 0);
  const runs = report.list.length === 0 ? 0
    : Math.min(...report.list.map((it) => it.runs));
  const rate = process.env.RATE || 100;
  const lines = [
    '# Benchmark', '',
    `${date}, ${machine}, ${system}, commit ${commit}; ${
      seconds ? `${Math.ceil(seconds / 60)} minutes, ` : ''}${
      runs} run${runs === 1 ? '' : 's'} of each scenario. Lower is better. `
    + '[What is measured](../bench/README.md).', '',
  ];

  if (report.list.length > 0) {
    fs.writeFileSync(path.join(dir, 'bench.svg'),
                     picture(report.panels(), `${date} · ${machine} · ${
                       system} · commit ${commit}`, NOTE));
    lines.push(
      '![All of it as bars](bench.svg)', '', '## Peers', '', ...report.table(),
      '',
      `"x" is a multiple of the raw loop. In S1 and S1L that is the loop with `
      + `the same fan-out at the same rate, ${rate} messages a second; `
      + 'elsewhere one `send` of the same frame, measured before and after each '
      + 'run. The loop of S2 makes one `send` for each delivery.', '',
      NOTE, '',
      '² `bench/usertime`: all of it but what reading the counter takes. Ticks '
      + 'do not tell so short a time from the calls of the kernel around it.',
      '');
  }

  const more = series(dir);
  if (more.length > 0) {
    lines.push('## How it grows', '', ...more);
  }
  if (report.list.length > 0) {
    lines.push('## All figures', '',
               'Medians; "raw" is one `send`, in µs.', '', markdown(dir));
  }
  fs.writeFileSync(path.join(dir, 'report.md'), `${lines.join('\n').trim()}\n`);
}

main(process.argv[2]);
