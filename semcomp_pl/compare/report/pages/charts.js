/* Charts: the specifications of the report, drawn by Vega. */

/** A chart that draws a specification with values of its parameters; buttons hide codecs, arrow keys walk from mark to mark. */
function makeChart(id) {
  const box = byId(`${id}-chart`);
  const inside = box.appendChild(element("div")); // as wide as a chart may be
  const said = byId(`${id}-said`);
  const hint = said.textContent;
  const buttons = [...byId(`${id}-legend`).children];
  const hidden = () => buttons.filter((one) => one.ariaPressed === "false").map((one) => one.dataset.codec);
  const datasets = { points: report.points, ceiling: report.ceiling ? [report.ceiling] : [] };
  // the page's policy forbids eval, hence ast; the scale of a ceiling that a metric lacks is no fault, hence errors only
  const options = { ast: true, renderer: "svg", actions: false, logLevel: 1 };
  let embedded = Promise.resolve(null);

  function draw(spec, values, label) {
    const given = { ...values, hidden: hidden() };
    const params = spec.params.map((one) => ({ ...one, value: given[one.name] ?? one.value }));
    const height = Math.round(Math.min(340, Math.max(220, innerHeight - 455)));
    embedded = embedded.then(async (last) => {
      last?.finalize();
      const made = await vegaEmbed(inside, { ...spec, params, datasets, width: "container", height, background: null }, options);
      made.view.addEventListener("click", (_, item) => item?.datum?.said && (said.textContent = item.datum.said));
      return made;
    });
    box.setAttribute("aria-label", label);
    said.textContent = hint;
  }

  /** Offer only codecs that have marks. */
  const offer = (codecs) => buttons.forEach((one) => (one.hidden = !codecs.has(one.dataset.codec)));

  buttons.forEach((button) =>
    button.addEventListener("click", async () => {
      button.ariaPressed = String(button.ariaPressed === "false");
      (await embedded).view.signal("hidden", hidden()).run();
    }),
  );
  box.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const marks = [...box.querySelectorAll(".mark-symbol.role-mark path")];
    if (!step || !marks.length) return;
    event.preventDefault();
    const place = marks.findIndex((one) => one.classList.contains("at"));
    const next = place < 0 ? 0 : (place + step + marks.length) % marks.length;
    marks.forEach((one, each) => one.classList.toggle("at", each === next));
    said.textContent = marks[next].ariaLabel;
  });
  return { draw, offer };
}

function setUpCurves() {
  const chart = makeChart("curve");
  const classes = Object.keys(report.metrics).filter((name) => about(name).detail);
  const choices = [["Over all", report.curves.map((name) => [name, about(name).label])]];
  if (classes.length) choices.push(["In detail", classes.map((name) => [name, about(name).label])]);
  fill(byId("curve-metric"), choices, report.curves[0]);

  function show() {
    const metric = byId("curve-metric").value;
    if (!metric) return;
    const points = report.points.filter((one) => one.bpp && one.metrics[metric]);
    const shown = new Set(points.map((one) => one.codec));
    const label = `${about(metric).label} over the rate, ${shown.size} codecs; the numbers stand in the table below`;
    chart.draw(report.charts[document.querySelector("[name=curve-axis]:checked").value], { y: metric }, label);
    chart.offer(shown);
    const rows = points.map((one) => [
      rowHead(one.codec, one.point),
      estimateCell(one.bpp, about("bpp").digits),
      estimateCell(one.metrics[metric], about(metric).digits),
    ]);
    const head = [columnHead("Codec"), columnHead("Rate", "bpp"), columnHead(about(metric).label, about(metric).unit)];
    byId("curve-numbers").replaceChildren(tableOf(head, rows));
  }
  byId("curve-metric").addEventListener("change", show);
  document.querySelectorAll("[name=curve-axis]").forEach((input) => input.addEventListener("change", show));
  show();
}

function setUpPerception() {
  if (!byId("perception-chart")) return;
  const chart = makeChart("perception");
  fill(byId("perception-rate"), rateChoices, String(report.first_rate));
  fill(byId("perception-metric"), report.perceptual.map((name) => [name, about(name).label]));

  function show() {
    const [rate, metric] = [byId("perception-rate").value, byId("perception-metric").value];
    const points = codecs.map((codec) => standing(rate, codec)).filter((one) => one?.metrics.psnr && one.metrics[metric]);
    const only = points.length ? points.map((one) => `${one.codec}, ${one.point}`) : [null];
    const where = `${points.length} codecs at or below ${report.rates[rate].target} bpp`;
    chart.draw(report.charts.perception, { y: metric, only }, `PSNR against ${about(metric).label} of ${where}`);
    chart.offer(new Set(points.map((one) => one.codec)));
    byId("perception-said").textContent = points.length ? "" : "No codec has both metrics at this rate.";
  }
  byId("perception-rate").addEventListener("change", show);
  byId("perception-metric").addEventListener("change", show);
  show();
}
