// The latency chart: p50 and p99 as measured, the promise as a line, marks where remedies acted.
// Draws gaps where nothing was measured, and says from when on anything is known.
"use strict";

(() => {
  const place = document.getElementById("chart");
  const main = document.getElementById("main");
  const database = main.dataset.database;
  const promise = Number(main.dataset.promise) || null;
  const attached = Number(main.dataset.attached);
  const HEIGHT = 280;
  const MARKS_HEIGHT = 52; // three rows of words above the plot
  const POINTS = 400;
  const VALUES_WIDTH = 56; // of the axis at the left, in pixels
  const EDGE = 8; // free at the right
  const LABEL_HALF = 30; // of the widest time at the axis below
  const RELOAD_MS = 60000;
  const YOUNG_SECONDS = 120; // the shortest time that the chart spans
  const GAP_STEPS = 2.5; // a hole this many steps wide is drawn as one
  const WORDS = { kept: "kept", reverted: "undone", ineffective: "no effect" };

  let seconds = 900;
  let plot = null;
  let points = []; // [at, p50, p99], in order
  let step = 10;
  let knownSince = null;
  let marked = false; // whether there is room for the marks' words

  const format = (parts) => new Intl.DateTimeFormat(undefined, { hourCycle: "h23", ...parts });
  const minute = { hour: "2-digit", minute: "2-digit" };
  const date = { day: "numeric", month: "short" };
  const clock = format({ ...minute, second: "2-digit" });
  const day = format({ ...date, ...minute });
  const axisTime = format(minute);
  const axisDay = format(date);
  const moment = (at) => {
    const then = new Date(at * 1000);
    return (then.toDateString() === new Date().toDateString() ? clock : day).format(then);
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function latency(ms) {
    if (ms === null || ms === undefined) return "unknown";
    if (ms >= 1000) return `${(ms / 1000).toFixed(ms >= 10000 ? 0 : 1)} s`;
    if (ms >= 10) return `${Math.round(ms)} ms`;
    return ms >= 0.1 || ms === 0 ? `${ms.toFixed(1)} ms` : `${Math.round(ms * 1000)} \u00b5s`;
  }

  // -- what was measured

  async function read(metric, start, end) {
    const query = new URLSearchParams({ database, metric, start, end, points: POINTS });
    const answer = await fetch(`/api/v1/series?${query}`);
    if (!answer.ok) throw new Error(`series: ${answer.status}`);
    return answer.json();
  }

  async function load() {
    const end = Date.now() / 1000;
    const start = end - seconds;
    try {
      const [low, high] = await Promise.all([
        read("operation.p50_ms", start, end),
        read("operation.p99_ms", start, end),
      ]);
      const byTime = new Map(low.points.map((point) => [point[0], [point[0], point[1], null]]));
      for (const point of high.points) {
        const known = byTime.get(point[0]);
        if (known) known[2] = point[1];
        else byTime.set(point[0], [point[0], null, point[1]]);
      }
      points = [...byTime.values()].sort((a, b) => a[0] - b[0]);
      step = high.step_seconds || low.step_seconds || step;
      knownSince = high.known_since ?? low.known_since;
    } catch {
      caption("The measurements could not be read; trying again in a minute.");
    }
    draw();
  }

  function add(tick) {
    const newest = points.length ? points[points.length - 1][0] : 0;
    if (tick.at <= newest || (tick.p50_ms === null && tick.p99_ms === null)) return;
    knownSince ??= tick.at;
    points.push([tick.at, tick.p50_ms, tick.p99_ms]);
    while (points.length && points[0][0] < tick.at - seconds) points.shift();
    draw();
  }

  function columns() {
    const out = [[], [], []];
    let before = null;
    for (const point of points) {
      if (before !== null && point[0] - before > step * GAP_STEPS) {
        out[0].push(before + step);
        out[1].push(null);
        out[2].push(null);
      }
      // a logarithmic axis has no zero: what took no measurable time is drawn at the bottom
      out[0].push(point[0]);
      for (const i of [1, 2]) out[i].push(point[i] === null ? null : Math.max(point[i], 0.01));
      before = point[0];
    }
    return out;
  }

  function marks() {
    const found = [];
    for (const one of JSON.parse(document.getElementById("marks")?.dataset.marks || "[]")) {
      found.push({ at: one.applied, text: "applied", title: one.title, tone: "--accent" });
      if (one.ended && WORDS[one.state]) {
        const tone = one.state === "kept" ? "--good" : "--undone";
        found.push({ at: one.ended, text: WORDS[one.state], title: one.title, tone });
      }
    }
    return found.sort((a, b) => a.at - b.at);
  }

  // -- drawing

  function write(ctx, size) {
    ctx.font = `${size} system-ui, sans-serif`;
    ctx.textAlign = "left"; // the axes leave their own behind
    ctx.textBaseline = "alphabetic";
  }

  function below(u) {
    const { ctx, bbox } = u;
    const unknown = knownSince === null ? u.scales.x.max : knownSince;
    const edge = Math.min(u.valToPos(unknown, "x", true), bbox.left + bbox.width);
    ctx.save();
    if (edge > bbox.left + 1) {
      ctx.fillStyle = colour("--hatch");
      ctx.fillRect(bbox.left, bbox.top, edge - bbox.left, bbox.height);
    }
    ctx.restore();
  }

  function between(u) {
    const { ctx, bbox } = u;
    ctx.save();
    if (promise) {
      const y = u.valToPos(promise, "y", true);
      ctx.strokeStyle = colour("--promise");
      ctx.lineWidth = 1.5 * devicePixelRatio;
      ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
    }
    ctx.restore();
  }

  function above(u) {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio;
    ctx.save();
    write(ctx, `600 ${11 * ratio}px`);
    const rows = [-Infinity, -Infinity, -Infinity];
    for (const mark of marks()) {
      if (mark.at < u.scales.x.min || mark.at > u.scales.x.max) continue;
      const x = Math.round(u.valToPos(mark.at, "x", true));
      ctx.strokeStyle = ctx.fillStyle = colour(mark.tone);
      ctx.lineWidth = 1.5 * ratio;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top - 4 * ratio);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.beginPath();
      ctx.arc(x, bbox.top - 4 * ratio, 4 * ratio, 0, 2 * Math.PI);
      ctx.fill();
      const width = ctx.measureText(mark.text).width + 10 * ratio;
      const left = Math.min(x - 4 * ratio, bbox.left + bbox.width - width);
      const row = rows.findIndex((end) => end <= left);
      if (row < 0) continue; // too dense for words; the list of remedies names them
      rows[row] = left + width;
      ctx.fillText(mark.text, left, bbox.top - (13 + row * 14) * ratio);
    }
    ctx.restore();
  }

  function range(u, low, high) {
    const top = Math.max(high || 0, promise || 0, 1) * 1.6;
    const bottom = Math.min(low || 1, promise || 1, 1);
    return [10 ** Math.floor(Math.log10(bottom)), top];
  }

  function options() {
    const times = (u, splits, index, space, step) =>
      splits.map((value) => (fits(u, value) ? timed(value, step) : null));
    const axis = {
      stroke: colour("--ink-2"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    const line = (label, name, width) => ({
      label,
      stroke: colour(name),
      width,
      points: { show: points.length < 60, size: 4, fill: colour(name) },
    });
    return {
      width: place.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      padding: [marked ? MARKS_HEIGHT : 12, EDGE, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { time: true, range: () => window_() },
        y: { distr: 3, log: 10, range },
      },
      axes: [
        { ...axis, size: 30, space: 60, values: times },
        { ...axis, size: VALUES_WIDTH, values: (u, splits) => splits.map((v) => labelled(v)) },
      ],
      series: [{}, line("p50", "--p50", 1.5), line("p99", "--p99", 2)],
      hooks: { drawClear: [below], drawAxes: [between], draw: [above], setCursor: [readOut] },
    };
  }

  function labelled(value) {
    if (!Number.isInteger(Math.round(Math.log10(value) * 1e6) / 1e6)) return null;
    if (value >= 1000) return `${value / 1000} s`;
    return value >= 1 ? `${value} ms` : `${Math.round(value * 1000)} \u00b5s`;
  }

  function fits(u, value) {
    const { min, max } = u.scales.x;
    const width = place.clientWidth - VALUES_WIDTH - EDGE;
    const left = ((value - min) / (max - min)) * width;
    return left >= LABEL_HALF && left <= width + EDGE - LABEL_HALF;
  }

  function timed(value, step) {
    const at = new Date(value * 1000);
    if (step < 60) return clock.format(at);
    const midnight = at.getHours() === 0 && at.getMinutes() === 0;
    return (midnight ? axisDay : axisTime).format(at);
  }

  function window_() {
    const newest = points.length ? points[points.length - 1][0] : 0;
    const end = Math.max(Date.now() / 1000, newest);
    const known = knownSince === null ? seconds : end - knownSince;
    // a young operator: what it knows fills the chart, with a margin for what it does not know
    return [end - Math.min(seconds, Math.max(known * 1.12, YOUNG_SECONDS)), end];
  }

  function draw() {
    const none = points.length === 0;
    document.getElementById("chart-empty")?.toggleAttribute("hidden", !none);
    if (none) {
      plot?.destroy();
      plot = null;
      const since = knownSince
        ? `Nothing was measured in this time; known since ${moment(knownSince)}.`
        : `Nothing was measured yet; observed since ${moment(attached)}.`;
      document.getElementById("chart-empty").textContent = since;
      place.setAttribute("aria-label", since);
      caption("");
      return;
    }
    const found = marks().length > 0;
    if (plot && found !== marked) {
      plot.destroy();
      plot = null;
    }
    marked = found;
    if (!plot) plot = new uPlot(options(), columns(), place);
    else plot.setData(columns());
    readOut(plot);
    const newest = points[points.length - 1];
    const since = knownSince ? ` Known since ${moment(knownSince)}, nothing before.` : "";
    caption(`Logarithmic scale. Gaps are times without a measurement.${since}`);
    place.setAttribute(
      "aria-label",
      `Latency, last measured ${moment(newest[0])}: p50 ${latency(newest[1])}, ` +
        `p99 ${latency(newest[2])}` + (promise ? `, promised ${latency(promise)}.` : "."),
    );
  }

  function readOut(u) {
    const index = u.cursor.idx;
    const pointed = index !== null && index !== undefined;
    const at = pointed ? index : u.data[0].length - 1;
    document.getElementById("read-p50").textContent = latency(u.data[1][at]);
    document.getElementById("read-p99").textContent = latency(u.data[2][at]);
    const past = pointed || "cut" in document.body.dataset;
    document.getElementById("read-at").textContent = past ? moment(u.data[0][at]) : "now";
  }

  function caption(text) {
    document.getElementById("chart-caption").textContent = text;
  }

  function anew() {
    plot?.destroy();
    plot = null;
    draw();
  }

  for (const button of document.querySelectorAll(".range")) {
    button.addEventListener("click", () => {
      seconds = Number(button.dataset.seconds);
      document
        .querySelectorAll(".range")
        .forEach((one) => one.setAttribute("aria-pressed", String(one === button)));
      load();
    });
  }

  const fit = () => plot?.setSize({ width: place.clientWidth, height: HEIGHT });
  new ResizeObserver(fit).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
  document.addEventListener("homeostat:tick", (event) => add(event.detail));
  document.addEventListener("homeostat:parts", () => plot && draw());
  setInterval(load, RELOAD_MS);
  load();
})();
