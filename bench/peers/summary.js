// What the measurements say.
//
//   node summary.js --add RESULTS ONE PEER SCENARIO RAW_BEFORE RAW_AFTER [LOOP]
//       adds the result in file ONE to the file RESULTS, prints it in short;
//       LOOP, if it is there, is what the raw loop beside it has printed
//   node summary.js DIR
//       all figures of all results, one line a peer and scenario
"use strict";
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { execFileSync } = require("node:child_process");

const ROOM = 5;                  // members of a room in S3

const WHAT = {
  S1: ["paced fan-out to 1,000", "CPU µs per delivery"],
  S1L: ["the same, load on another CPU", "CPU µs per delivery"],
  S2: ["burst fan-out to 1,000", "CPU µs per delivery"],
  S2L: ["the same, load on another CPU", "CPU µs per delivery"],
  S3: ["publish to rooms of 5", "CPU µs per publish"],
  S4: ["10,000 idle connections, 5 rooms each", "bytes per connection"],
  S4b: ["18,000 idle connections, 5 rooms each", "bytes per connection"],
  S4x1: ["10,000 idle connections, 1 channel", "bytes per connection"],
  S5: ["new connection with HS256 token", "CPU µs per connection"],
  S5a: ["the same clients again", "CPU µs per connection"],
  S5rs: ["the same with RS256, 2048 bits", "CPU µs per connection"],
  S5es: ["the same with ES256", "CPU µs per connection"],
  S6: ["ping and pong", "CPU µs per ping"],
};

function median(values) {
  const v = values.filter((x) => Number.isFinite(x)).sort((a, b) => a - b);
  return v.length ? v[v.length >> 1] : undefined;
}

const mean = (list) => list.reduce((sum, it) => sum + it, 0) / list.length;

function fixed(value, digits = 2) {
  return Number.isFinite(value) ? value.toFixed(digits) : "-";
}

// What the raw loop says.
function loop(run, scenario) {
  const times = scenario === "S3" ? ROOM : 1;
  return {
    cost: run.cpu_us_per_delivery * times,
    user: run.user_us_per_delivery * times,
    sys: run.sys_us_per_delivery * times,
    p50ms: run.lat_p50_ms || undefined,
    p99ms: run.lat_p99_ms || undefined,
    lost: run.complete ? 0 : 1,
  };
}

// cost is the figure that the scenario is about
function figures(run, scenario) {
  if (run.us_per_call !== undefined) {
    return loop(run, scenario);
  }
  const { connect = {}, recv = {}, idle = {} } = run;
  const common = { ok: connect.up, up_end: run.up_at_end };

  switch (scenario.slice(0, 2)) {
    case "S1":
    case "S2":
      return {
        cost: recv.cpu_us_per_event,
        user: recv.cpu_user_us_per_event,
        sys: recv.cpu_sys_us_per_event,
        p50ms: recv.lat_p50_us / 1e3,
        p99ms: recv.lat_p99_us / 1e3,
        loop_p50ms: run.loop?.lat_p50_ms,
        loop_p99ms: run.loop?.lat_p99_ms,
        wall: recv.first_to_last_s,
        per_recv: recv.events / recv.recv_calls,
        redis_s: (recv.aux_user_s || 0) + (recv.aux_sys_s || 0),
        lost: recv.expected - recv.events,
        gaps: recv.seq_gaps + recv.seq_backward,
        ...common,
      };
    case "S3": {
      const published = recv.expected / 5;
      return {
        cost: recv.cpu_total_s * 1e6 / published,
        user: recv.cpu_user_s * 1e6 / published,
        sys: recv.cpu_sys_s * 1e6 / published,
        p50ms: recv.lat_p50_us / 1e3,
        p99ms: recv.lat_p99_us / 1e3,
        wall: recv.first_to_last_s,
        lost: recv.expected - recv.events,
        ...common,
      };
    }
    case "S4":
      return {
        cost: idle.pss_bytes_per_conn,
        start_mb: run.mem_start.pss / 1e6,
        end_mb: idle.mem && idle.mem.pss / 1e6,
        ...common,
      };
    case "S5":
      return {
        cost: connect.cpu_us_per_conn,
        user: connect.cpu_user_us_per_conn,
        sys: connect.cpu_sys_us_per_conn,
        per_s: connect.per_second,
        p50ms: connect.hs_p50_us / 1e3,
        p99ms: connect.hs_p99_us / 1e3,
        ...common,
      };
    default:
      return {
        cost: idle.cpu_total_s * 1e6 / idle.pings,
        percent_per_10k: idle.cpu_percent_per_10k,
        pings: idle.pings,
        ...common,
      };
  }
}

function text(f) {
  return Object.entries(f)
    .filter(([, v]) => v !== undefined)
    .map(([k, v]) => `${k}=${fixed(v, Number.isInteger(v) ? 0 : 2)}`)
    .join(" ");
}

// Medians of a file of results; over is the cost over the raw loop beside it.
function read(file) {
  const [peer, scenario] = path.basename(file).split(".");
  const runs = fs.readFileSync(file, "utf8").trim().split("\n")
    .map((line) => JSON.parse(line))
    .map((run) => ({
      ...figures(run, scenario),
      raw: mean([run.raw_before, run.raw_after].filter((it) => it > 0)),
    }));

  for (const run of runs) {
    if (!scenario.startsWith("S4")) {
      run.over = run.cost / run.raw;
    }
  }

  const medians = {};
  for (const key of Object.keys(runs[0])) {
    medians[key] = median(runs.map((run) => run[key]));
  }

  const quiet = runs.reduce((a, b) => (b.raw < a.raw ? b : a));
  return { peer, scenario, runs: runs.length, quiet: quiet.cost, ...medians };
}

function results(dir) {
  return fs.readdirSync(dir).filter((name) => name.endsWith(".json"))
    .map((name) => read(path.join(dir, name)))
    .sort((a, b) => (a.scenario + a.peer < b.scenario + b.peer ? -1 : 1));
}

function first(command, args) {
  try {
    const options = { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] };
    return execFileSync(command, args, options).trim().split("\n")[0];
  } catch (e) {
    return "";
  }
}

// When, on what machine, of which commit.
function about() {
  const git = (...args) => first("git", ["-C", __dirname, ...args]);
  const changed = git("status", "--porcelain", "--untracked-files=no",
    "--", "..", "../../src", "../../config");
  const cpus = os.cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus.length} x ${cpus[0].model.trim()}`,
    system: `Linux ${os.release()}`,
    commit: git("rev-parse", "--short", "HEAD") + (changed ? ", changed" : ""),
  };
}

function markdown(dir) {
  const lines = [
    "| scenario | figure | peer | median | user + sys | raw | over raw "
    + "| p50 / p99 ms | lost | runs |",
    "|---|---|---|---|---|---|---|---|---|---|",
  ];

  for (const r of results(dir)) {
    const memory = r.scenario.startsWith("S4");
    const lost = r.lost || (r.ok > r.up_end ? r.ok - r.up_end : 0);
    lines.push(`| ${[
      `${r.scenario} ${WHAT[r.scenario][0]}`,
      WHAT[r.scenario][1],
      r.peer,
      fixed(r.cost, memory ? 0 : 2),
      r.user === undefined ? "-" : `${fixed(r.user)} + ${fixed(r.sys)}`,
      fixed(r.raw),
      fixed(r.over),
      r.p50ms === undefined ? "-" : `${fixed(r.p50ms)} / ${fixed(r.p99ms)}`,
      lost,
      r.runs,
    ].join(" | ")} |`);
  }

  return lines.join("\n");
}

function add(results_file, file, peer, scenario, before, after, loop_file) {
  const json = (name) => JSON.parse(fs.readFileSync(name, "utf8"));
  const run = json(file);
  Object.assign(run, {
    peer, scenario, raw_before: Number(before), raw_after: Number(after),
    loop: fs.existsSync(loop_file) ? json(loop_file) : undefined,
  });
  fs.appendFileSync(results_file, JSON.stringify(run) + "\n");

  console.log(peer, scenario, text(figures(run, scenario)),
    `raw=${before}/${after}`,
    run.first_error ? `error: ${run.first_error.slice(0, 80)}` : "");
}

function main([what, ...args]) {
  if (what === "--add") {
    add(...args);
    return;
  }
  for (const { peer, scenario, runs, ...f } of results(what)) {
    console.log(peer.padEnd(8), scenario.padEnd(5), `runs=${runs}`, text(f));
  }
}

module.exports = { results, markdown, about, fixed, median };

if (require.main === module) {
  main(process.argv.slice(2));
}
