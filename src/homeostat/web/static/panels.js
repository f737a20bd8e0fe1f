// The charts of a view: lines with their bands, the range before beside them, marks of remedies.
// The numbers in the legend follow the pointer on all charts at once. Holds no state of its own.
"use strict";

(() => {
  const HEIGHT = 170;
  const GAP_STEPS = 2.6; // a hole this many steps wide is drawn as one
  const NULL_EXPAND = 2; // uPlot.join
  const GAP_LOOK = 3; // so many spans on either side tell what a step is
  const LINES = 6;
  const VALUES_WIDTH = 58;
  const WORDS = { kept: "kept", reverted: "undone", ineffective: "no effect" };
  const FROM_ZERO = new Set(["count", "1/s", "bytes/s", "ms"]);
  const plots = new Map();

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const format = (parts) => new Intl.DateTimeFormat(undefined, { hourCycle: "h23", ...parts });
  const clock = format({ hour: "2-digit", minute: "2-digit" });
  const second = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
  const day = format({ day: "numeric", month: "short" });
  const month = format({ month: "short", year: "numeric" });

  // -- numbers

  function short(value) {
    const size = Math.abs(value);
    if (size >= 1e9) return `${+(value / 1e9).toPrecision(3)} G`;
    if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)} M`;
    if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)} k`;
    return `${+value.toPrecision(3)}`;
  }

  function quantity(value, unit) {
    if (value === null || value === undefined) return "unknown";
    if (unit === "share") return `${+(100 * value).toPrecision(3)} %`;
    if (unit === "ms") {
      if (value >= 1000) return `${+(value / 1000).toPrecision(3)} s`;
      if (value > 0 && value < 0.1) return `${Math.round(1000 * value)} \u00b5s`;
      return `${+value.toPrecision(3)} ms`;
    }
    if (unit === "bytes/s") return `${quantity(value, "bytes")}/s`;
    if (unit === "bytes") {
      const power = [12, 9, 6, 3].find((one) => Math.abs(value) >= 10 ** one) || 0;
      const name = { 12: "TB", 9: "GB", 6: "MB", 3: "kB", 0: "B" }[power];
      return `${+(value / 10 ** power).toPrecision(3)} ${name}`;
    }
    return short(value) + (unit === "1/s" ? "/s" : unit === "count" || !unit ? "" : ` ${unit}`);
  }

  // -- columns

  /** The span that is usual around one: what is older has fewer points than what is new. */
  function usual(spans, i) {
    const sides = [spans.slice(Math.max(0, i - GAP_LOOK), i), spans.slice(i + 1, i + 1 + GAP_LOOK)];
    const least = sides.filter((side) => side.length).map((side) => Math.min(...side));
    return least.length ? Math.max(...least) : spans[i];
  }

  function table(points, columns, shift = 0) {
    const spans = points.slice(1).map((point, i) => point[0] - points[i][0]);
    const out = [[], ...columns.map(() => [])];
    points.forEach((point, i) => {
      const step = i && usual(spans, i - 1);
      if (i && spans[i - 1] > step * GAP_STEPS) {
        out[0].push(points[i - 1][0] + step + shift);
        columns.forEach((_, j) => out[j + 1].push(null));
      }
      out[0].push(point[0] + shift);
      columns.forEach((column, j) => out[j + 1].push(point[column]));
    });
    return out;
  }

  function joined(chart) {
    const tables = [];
    const series = [{}];
    const bands = [];
    const several = chart.lines.length > 1;
    chart.lines.forEach((line, i) => {
      const colour = style(`--tone-${i % LINES}`);
      if (line.before.length) {
        tables.push(table(line.before, [1], chart.shift));
        const dashed = { width: 1.25, dash: [4, 3], points: { show: false } };
        series.push({ stroke: colour, ...dashed, kind: "before", line: i });
      }
      const wide = !several && line.points.some((one) => one[3] > one[2]);
      tables.push(table(line.points, wide ? [1, 3, 2] : [1]));
      const dots = { show: line.points.length < 40, size: 4, fill: colour };
      series.push({ stroke: colour, width: 1.75, points: dots, kind: "line", line: i });
      if (wide) {
        const edge = { width: 0, points: { show: false } };
        series.push({ ...edge }, { ...edge });
        bands.push({ series: [series.length - 2, series.length - 1], fill: `${colour}26` });
      }
    });
    // a hole in one line stays one where another line has points within it
    const modes = tables.map((one) => one.map(() => NULL_EXPAND));
    return { data: tables.length > 1 ? uPlot.join(tables, modes) : tables[0], series, bands };
  }

  /** How many times the least value is the greatest: a decade is needed for a logarithmic axis. */
  function spread(data) {
    const values = data.slice(1).flatMap((column) => column.filter((value) => value > 0));
    return values.length ? Math.max(...values) / Math.min(...values) : 1;
  }

  // -- drawing

  function marks(u, ratio) {
    const all = JSON.parse(document.getElementById("marks")?.dataset.marks || "[]");
    const { ctx, bbox } = u;
    for (const mark of all) {
      for (const [at, word, tone] of [
        [mark.applied, "applied", "--accent"],
        [mark.ended, WORDS[mark.state], mark.state === "kept" ? "--good" : "--undone"],
      ]) {
        if (!at || !word || at < u.scales.x.min || at > u.scales.x.max) continue;
        const x = Math.round(u.valToPos(at, "x", true));
        ctx.strokeStyle = ctx.fillStyle = style(tone);
        ctx.lineWidth = 1.25 * ratio;
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        ctx.beginPath();
        ctx.arc(x, bbox.top, 3.5 * ratio, 0, 2 * Math.PI);
        ctx.fill();
      }
    }
  }

  function options(place, chart, made) {
    const ratio = devicePixelRatio;
    const axis = {
      stroke: style("--ink-2"),
      grid: { stroke: style("--line"), width: 1 },
      ticks: { show: false },
      font: "11px system-ui, sans-serif",
    };
    const logarithmic = chart.name === "latency" && spread(made.data) >= 10;
    const span = chart.end - chart.start;
    const times = (_, splits) =>
      splits.map((at) => {
        const then = new Date(at * 1000);
        if (span > 200 * 86400) return month.format(then);
        if (span < 600) return second.format(then);
        const midnight = then.getHours() === 0 && then.getMinutes() === 0;
        return (span > 2 * 86400 || midnight ? day : clock).format(then);
      });
    const values = (_, splits) =>
      splits.map((value) => (value === null ? "" : quantity(value, chart.unit)));
    const decades = (_, splits) =>
      splits.map((value) => {
        const power = Math.log10(value);
        return Math.abs(power - Math.round(power)) < 1e-6 ? value : null;
      });
    const range = (_, low, high) => {
      const top = Math.max(high ?? 0, chart.promise || 0);
      const least = Math.max(low || 0.01, 0.01);
      if (logarithmic) return [10 ** Math.floor(Math.log10(least)), top * 1.5];
      if (FROM_ZERO.has(chart.unit)) return [0, top * 1.1 || 1];
      const pad = (high - low) * 0.1 || Math.abs(high) * 0.02 || 1;
      const bottom = Math.max(0, low - pad);
      if (chart.unit !== "share") return [bottom, high + pad];
      // nothing is above 100 %: only so much room as the line at it needs, and no number in it
      return [bottom, Math.min(1 + (1 - bottom) / HEIGHT, high + pad)];
    };
    const sparse = logarithmic ? { filter: decades, grid: { ...axis.grid, filter: decades } } : {};
    return {
      width: place.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      padding: [8, 8, 0, 0],
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        points: { size: 6 },
        sync: { key: "panels" },
      },
      scales: {
        x: { time: true, range: () => [chart.start, chart.end] },
        y: logarithmic ? { distr: 3, log: 10, range } : { range },
      },
      axes: [
        { ...axis, size: 24, space: span > 200 * 86400 || span < 600 ? 76 : 52, values: times },
        { ...axis, size: VALUES_WIDTH, space: 32, values, ...sparse },
      ],
      series: made.series,
      bands: made.bands,
      hooks: {
        drawClear: [(u) => unknown(u, chart)],
        draw: [(u) => {
          u.ctx.save();
          promised(u, chart, ratio);
          marks(u, ratio);
          u.ctx.restore();
        }],
        setCursor: [(u) => read(u, place, chart)],
        setSelect: [(u) => zoom(u)],
      },
    };
  }

  function unknown(u, chart) {
    const { ctx, bbox } = u;
    const edge = chart.known === null ? u.scales.x.max : chart.known;
    const width = Math.min(u.valToPos(edge, "x", true), bbox.left + bbox.width) - bbox.left;
    if (width <= 0) return;
    ctx.save();
    ctx.fillStyle = style("--hatch");
    ctx.fillRect(bbox.left, bbox.top, width, bbox.height);
    ctx.restore();
  }

  function promised(u, chart, ratio) {
    if (!chart.promise) return;
    const { ctx, bbox } = u;
    const y = u.valToPos(chart.promise, "y", true);
    ctx.strokeStyle = style("--promise");
    ctx.lineWidth = 1.25 * ratio;
    ctx.setLineDash([6 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.setLineDash([]);
  }

  function read(u, place, chart) {
    const index = u.cursor.idx;
    const pointed = index !== null && index !== undefined && u.cursor.left >= 0;
    for (const item of place.parentElement.querySelectorAll("[data-line]")) {
      const text = item.querySelector(".read");
      text.dataset.still ??= text.textContent;
      if (!pointed) {
        text.textContent = text.dataset.still;
        delete item.dataset.pointed;
        continue;
      }
      item.dataset.pointed = "";
      const number = Number(item.dataset.line);
      const column = u.series.findIndex((one) => one.kind === "line" && one.line === number);
      text.textContent = quantity(nearest(u.data[column], index), chart.unit);
    }
  }

  function nearest(values, index) {
    // lines of one chart have times of their own: a place between two of them has no value
    const at = [index, index - 1, index + 1].find((one) => typeof values[one] === "number");
    return at === undefined ? null : values[at];
  }

  function zoom(u) {
    if (u.select.width < 8) return;
    const from = Math.round(u.posToVal(u.select.left, "x"));
    const until = Math.round(u.posToVal(u.select.left + u.select.width, "x"));
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (until - from < 60) return;
    const query = new URLSearchParams(location.search);
    query.delete("range");
    query.set("from", from);
    query.set("until", until);
    document.dispatchEvent(new CustomEvent("homeostat:go", { detail: `?${query}` }));
  }

  function draw(place) {
    const known = plots.get(place);
    if (known && known.text === place.dataset.chart && known.width === place.clientWidth) return;
    known?.plot.destroy();
    const chart = JSON.parse(place.dataset.chart);
    const made = joined(chart);
    const plot = new uPlot(options(place, chart, made), made.data, place);
    plots.set(place, { plot, text: place.dataset.chart, width: place.clientWidth });
    place.parentElement.querySelectorAll(".read").forEach((one) => delete one.dataset.still);
  }

  const widths = new ResizeObserver((entries) => entries.forEach((entry) => draw(entry.target)));

  function drawAll() {
    for (const [place, one] of plots) {
      if (place.isConnected) continue;
      widths.unobserve(place);
      one.plot.destroy();
      plots.delete(place);
    }
    for (const place of document.querySelectorAll("[data-chart]")) {
      widths.observe(place);
      draw(place);
    }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    plots.forEach((one) => one.plot.destroy());
    plots.clear();
    drawAll();
  });
  document.addEventListener("homeostat:parts", drawAll);
  drawAll();
})();
