/* Curves over the rate, and distortion against perception, with Chart.js. */

const TICKS = [0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1, 2, 4, 8];
// matplotlib's markers, so that a codec looks as in the figures
const MARKERS = {
  o: { style: "circle", path: "M14 2a4 4 0 1 0 .01 0z" },
  s: { style: "rect", path: "M10 2h8v8h-8z" },
  "^": { style: "triangle", path: "M14 1l5 9h-10z" },
  D: { style: "rectRot", path: "M14 1l5 5-5 5-5-5z" },
  v: { style: "triangle", rotation: 180, path: "M14 11l-5-9h10z" },
  P: { style: "cross", path: "M14 1v10M9 6h10", open: true },
  X: { style: "crossRot", path: "M10 2l8 8M18 2l-8 8", open: true },
};

const charts = [];

/** The colour that a custom property has in the present theme. */
function themeColour(name) {
  const probe = element("span", { style: `color: var(${name})`, hidden: true });
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** Bars for the intervals of both axes, and a line for the ceiling. */
const intervals = {
  id: "intervals",
  beforeDatasetsDraw(chart, _args, { ceiling }) {
    if (!ceiling) return;
    const { ctx, chartArea: area, scales } = chart;
    ctx.save();
    ctx.fillStyle = ctx.strokeStyle = themeColour("--muted");
    if (ceiling.low != null) {
      ctx.globalAlpha = 0.12;
      const [top, bottom] = [scales.y.getPixelForValue(ceiling.high), scales.y.getPixelForValue(ceiling.low)];
      ctx.fillRect(area.left, Math.min(top, bottom), area.width, Math.abs(bottom - top));
    }
    ctx.globalAlpha = 1;
    ctx.setLineDash([6, 4]);
    const height = scales.y.getPixelForValue(ceiling.value);
    ctx.beginPath();
    ctx.moveTo(area.left, height);
    ctx.lineTo(area.right, height);
    ctx.stroke();
    ctx.font = "12px system-ui, sans-serif";
    ctx.fillText("uncompressed", area.left + 6, height - 6);
    ctx.restore();
  },
  beforeDatasetDraw(chart, { index, meta }) {
    const { ctx, scales } = chart;
    const dataset = chart.data.datasets[index];
    ctx.save();
    ctx.strokeStyle = dataset.borderColor;
    ctx.globalAlpha = 0.55;
    ctx.lineWidth = 1.2;
    ctx.beginPath();
    dataset.data.forEach(({ rate, quality }, place) => {
      const { x, y } = meta.data[place];
      if (quality.low != null) {
        ctx.moveTo(x, scales.y.getPixelForValue(quality.low));
        ctx.lineTo(x, scales.y.getPixelForValue(quality.high));
      }
      if (rate.low != null) {
        ctx.moveTo(scales.x.getPixelForValue(rate.low), y);
        ctx.lineTo(scales.x.getPixelForValue(rate.high), y);
      }
    });
    ctx.stroke();
    ctx.restore();
  },
};

/** What is said of a mark: lines of text. */
function sayMark({ rate, quality, names }, metrics) {
  const line = (estimate, metric) => {
    const { label, unit, digits } = about(metric);
    return [label, number(estimate.value, digits), unit, interval(estimate, digits)].filter(Boolean).join(" ");
  };
  return { title: names, lines: [line(rate, metrics[0]), line(quality, metrics[1])] };
}

/** A chart of curves that can be drawn anew, walked with the arrow keys, and that has a legend of buttons. */
function makeChart(id, hint) {
  const canvas = byId(`${id}-chart`);
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "chart");
  const hidden = new Set();
  let metrics = [];
  const chart = new Chart(canvas, {
    type: "scatter",
    plugins: [intervals],
    options: {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "nearest", intersect: false, axis: "xy" },
      plugins: {
        legend: { display: false },
        tooltip: {
          usePointStyle: true,
          displayColors: false,
          padding: 10,
          callbacks: {
            title: (items) => items.map((item) => sayMark(item.raw, metrics).title),
            label: (item) => sayMark(item.raw, metrics).lines,
          },
        },
      },
    },
  });

  function legend(series) {
    byId(`${id}-legend`).replaceChildren(
      ...series.map(({ codec }) => {
        const { colour, marker, dash } = report.codecs[codec];
        const { path, open } = MARKERS[marker];
        const button = element("button", { type: "button", "aria-pressed": String(!hidden.has(codec)) });
        const fillColour = open ? "none" : colour;
        button.innerHTML =
          `<svg viewBox="0 0 28 12" aria-hidden="true"><path d="M0 6h28" stroke="${colour}" stroke-width="2" ` +
          `stroke-dasharray="${dash.join(" ")}"/><path d="${path}" fill="${fillColour}" stroke="${colour}" ` +
          `stroke-width="${open ? 2.5 : 1}"/></svg>`;
        button.append(codec);
        button.addEventListener("click", () => {
          if (!hidden.delete(codec)) hidden.add(codec);
          button.setAttribute("aria-pressed", String(!hidden.has(codec)));
          chart.data.datasets.forEach((one) => (one.hidden = hidden.has(one.label)));
          chart.update();
        });
        return button;
      }),
    );
  }

  function dataset({ codec, marks }) {
    const { colour, marker, dash } = report.codecs[codec];
    const { style, rotation = 0, open } = MARKERS[marker];
    return {
      label: codec,
      hidden: hidden.has(codec),
      data: marks.map((mark) => ({ ...mark, x: mark.rate.value, y: mark.quality.value })),
      showLine: true,
      borderColor: colour,
      backgroundColor: colour,
      borderWidth: 2,
      borderDash: dash,
      pointStyle: style,
      pointRotation: rotation,
      pointRadius: style === "circle" ? 4.5 : 5.5,
      pointHoverRadius: 8,
      pointBorderWidth: open ? 2.5 : 1,
    };
  }

  function axis(values, title, { type = "linear", reverse = false } = {}) {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const logarithmic = type === "logarithmic";
    const room = (high - low || Math.abs(high) || 1) * 0.06;
    return {
      type,
      reverse,
      min: logarithmic ? low / 1.08 : low - room,
      max: logarithmic ? high * 1.08 : high + room,
      afterBuildTicks(scale) {
        const inside = TICKS.filter((tick) => tick >= scale.min && tick <= scale.max);
        if (logarithmic && inside.length > 1) scale.ticks = inside.map((value) => ({ value }));
      },
      title: { display: true, text: title, color: themeColour("--text"), font: { size: 13 } },
      grid: { color: themeColour("--line") },
      border: { color: themeColour("--line") },
      ticks: {
        color: themeColour("--muted"),
        includeBounds: false,
        maxRotation: 0,
        autoSkip: !logarithmic,
        callback: (value) => (logarithmic ? String(value) : String(Number(value.toPrecision(6)))).replace("-", "−"),
      },
    };
  }

  let last = null;

  /** Draw series of {codec, marks: [{rate, quality, names}]}. */
  function draw(drawn) {
    last = drawn;
    const { series, x, y, xTitle, yTitle, axisType, reverse, fromZero, ceiling, label } = drawn;
    metrics = [x, y];
    const ends = (estimate) => [estimate.value, estimate.low ?? estimate.value, estimate.high ?? estimate.value];
    const marks = series.flatMap((one) => one.marks);
    chart.data.datasets = series.map(dataset);
    chart.options.scales = {
      x: axis(marks.flatMap((one) => ends(one.rate)), xTitle, { type: axisType }),
      y: axis([...marks.flatMap((one) => ends(one.quality)), ...(ceiling ? ends(ceiling) : [])], yTitle, { reverse }),
    };
    if (fromZero) chart.options.scales.x.min = 0;
    chart.options.plugins.intervals = { ceiling };
    chart.setActiveElements([]);
    chart.tooltip.setActiveElements([], { x: 0, y: 0 });
    chart.update();
    canvas.setAttribute("aria-label", label);
    byId(`${id}-said`).textContent = hint;
    legend(series);
  }

  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    const visible = chart.data.datasets.map((_, place) => place).filter((place) => chart.isDatasetVisible(place));
    if (!step || !visible.length) return;
    event.preventDefault();
    const [active] = chart.getActiveElements();
    const row = active ? visible.indexOf(active.datasetIndex) : 0;
    const datasetIndex = visible[(row + (active ? step[0] : 0) + visible.length) % visible.length];
    const count = chart.data.datasets[datasetIndex].data.length;
    const index = active ? Math.min(Math.max(active.index + step[1], 0), count - 1) : 0;
    chart.setActiveElements([{ datasetIndex, index }]);
    chart.tooltip.setActiveElements([{ datasetIndex, index }], { x: 0, y: 0 });
    chart.update();
    const said = sayMark(chart.data.datasets[datasetIndex].data[index], metrics);
    byId(`${id}-said`).textContent = `${said.title}: ${said.lines.join("; ")}`;
  });
  charts.push({ redraw: () => last && draw(last) });
  return draw;
}

function setUpCurves() {
  const draw = makeChart("curve", byId("curve-said").textContent);
  const classes = Object.keys(report.metrics).filter((name) => about(name).detail);
  const choices = [["Over all", report.curves.map((name) => [name, about(name).label])]];
  if (classes.length) choices.push(["By class", classes.map((name) => [name, about(name).label])]);
  fill(byId("curve-metric"), choices, report.curves.includes("psnr") ? "psnr" : report.curves[0]);

  function show() {
    const metric = byId("curve-metric").value;
    if (!metric) return;
    const axisType = document.querySelector("[name=curve-axis]:checked").value;
    const series = codecs
      .map((codec) => ({
        codec,
        marks: report.points
          .filter((one) => one.codec === codec && one.bpp && one.metrics[metric])
          .map((one) => ({ rate: one.bpp, quality: one.metrics[metric], names: `${codec}, ${one.point}`, point: one.point })),
      }))
      .filter((one) => one.marks.length);
    draw({
      series,
      x: "bpp",
      y: metric,
      xTitle: innerWidth < 500 ? "Rate (bits per pixel)" : "Rate of the files (bits per pixel, mean over images)",
      yTitle: axisTitle(metric),
      axisType,
      fromZero: axisType === "linear",
      ceiling: about(metric).ceiling ? report.ceiling?.metrics[metric] : null,
      label: `${about(metric).label} over the rate, ${series.length} codecs; the numbers stand in the table below`,
    });
    const { label, unit, digits } = about(metric);
    const rows = series.flatMap(({ codec, marks }) =>
      marks.map(({ rate, quality, point }) => [
        rowHead(codec, point),
        estimateCell(rate, about("bpp").digits),
        estimateCell(quality, digits),
      ]),
    );
    byId("curve-numbers").replaceChildren(
      tableOf([columnHead("Codec"), columnHead("Rate", "bpp"), columnHead(label, unit)], rows),
    );
  }
  byId("curve-metric").addEventListener("change", show);
  document.querySelectorAll("[name=curve-axis]").forEach((input) => input.addEventListener("change", show));
  show();
}

function setUpPerception() {
  if (!byId("perception-chart")) return;
  const draw = makeChart("perception", "");
  fill(byId("perception-rate"), rateChoices, String(usualRate));
  fill(byId("perception-metric"), report.perceptual.map((name) => [name, about(name).label]));

  function show() {
    const [rate, metric] = [byId("perception-rate").value, byId("perception-metric").value];
    const series = codecs
      .map((codec) => [codec, standing(rate, codec)])
      .filter(([, one]) => one?.metrics.psnr && one.metrics[metric])
      .map(([codec, one]) => {
        const names = `${codec}, ${one.point}, ${number(one.bpp.value, 3)} bpp`;
        return { codec, marks: [{ rate: one.metrics.psnr, quality: one.metrics[metric], names }] };
      });
    draw({
      series,
      x: "psnr",
      y: metric,
      xTitle: axisTitle("psnr"),
      yTitle: axisTitle(metric),
      reverse: about(metric).higher_is_better === false,
      label: `PSNR against ${about(metric).label} of ${series.length} codecs at or below ${report.rates[rate].target} bpp`,
    });
    if (!series.length) byId("perception-said").textContent = "No codec has both metrics at this rate.";
  }
  byId("perception-rate").addEventListener("change", show);
  byId("perception-metric").addEventListener("change", show);
  show();
}
