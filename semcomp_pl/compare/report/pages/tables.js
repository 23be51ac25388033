/* Tables that depend on a choice: target rate, IoU by class, Bjontegaard deltas. */

function setUpRates() {
  const show = () => {
    const chosen = document.querySelector("[name=rate]:checked").value;
    document.querySelectorAll("[data-rate]").forEach((table) => {
      table.hidden = chosen !== "all" && table.dataset.rate !== chosen;
    });
  };
  document.querySelectorAll("[name=rate]").forEach((input) => input.addEventListener("change", show));
  show();
}

/** The paired difference of two codecs in a metric at a target rate, the first minus the second; null where there is none. */
function differenceAt(rate, codec, other, metric) {
  for (const one of report.rates[rate].differences) {
    const gap = one.metrics[metric];
    if (gap && one.codec === codec && one.other === other) return gap;
    if (gap && one.codec === other && one.other === codec) {
      const turned = (value) => (value == null ? null : -value);
      return { value: -gap.value, low: turned(gap.high), high: turned(gap.low) };
    }
  }
  return null;
}

const MARKS = { best: "★", tied: "≈" };

function setUpClasses() {
  if (!byId("class-table")) return;
  fill(byId("class-rate"), rateChoices, String(report.first_rate));
  const bases = codecs.map((codec) => [codec, `difference to ${codec}`]);
  fill(byId("class-base"), [["", "IoU"], ...bases]);

  function show() {
    const [rate, base] = [byId("class-rate").value, byId("class-base").value];
    const here = codecs.filter((codec) => standing(rate, codec) && codec !== base);
    const ceiling = report.ceiling && !base;
    const rows = ["miou", ...report.classes.map((name) => `iou_${name}`)].map((metric) => {
      const values = here.map((codec) => standing(rate, codec).metrics[metric]);
      const name = metric === "miou" ? "mean (mIoU)" : metric.slice("iou_".length);
      const cells = here.map((codec, place) => {
        if (!base) {
          const look = report.rates[rate].entries.find((one) => one.codec === codec).standing[metric];
          return estimateCell(values[place], 3, { look, mark: MARKS[look] });
        }
        const gap = differenceAt(rate, codec, base, metric);
        return estimateCell(gap, 3, { signed: true, look: lookOf(gap, metric) });
      });
      return [rowHead(name), ...cells, ceiling ? estimateCell(report.ceiling.metrics[metric], 3) : null];
    });
    const head = [
      columnHead("Class"),
      ...here.map((codec) => columnHead(codec, standing(rate, codec).point)),
      ceiling ? columnHead("Uncompressed", "the ceiling") : null,
    ];
    const trim = (cells) => cells.filter((cell) => cell != null);
    byId("class-table").replaceChildren(tableOf(trim(head), rows.map(trim)));
    if (!here.length || (base && !standing(rate, base))) {
      byId("class-table").replaceChildren(element("p", { style: "padding: 0 1rem" }, "No codec to compare at this rate."));
    }
  }
  byId("class-rate").addEventListener("change", show);
  byId("class-base").addEventListener("change", show);
  show();
}

function setUpDeltas() {
  if (!byId("delta-table")) return;
  const metrics = [...new Set(report.bjontegaard.filter((one) => one.rate || one.quality).map((one) => one.metric))];
  fill(byId("delta-metric"), metrics.map((name) => [name, about(name).label]));

  function show() {
    const metric = byId("delta-metric").value;
    const kind = document.querySelector("[name=delta-kind]:checked").value;
    const found = report.bjontegaard.filter((one) => one.metric === metric);
    const valued = new Set(found.filter((one) => one[kind]).flatMap((one) => [one.test, one.anchor]));
    const here = codecs.filter((codec) => valued.has(codec));
    const rows = here.map((test) => [
      rowHead(test),
      ...here.map((anchor) => {
        const one = found.find((each) => each.test === test && each.anchor === anchor);
        if (!one) return element("td");
        const estimate = one[kind];
        const look = kind === "quality" ? lookOf(estimate, metric) : rateLook(estimate);
        const cell = estimateCell(estimate, kind === "rate" ? 1 : about(metric).digits, { signed: true, look });
        if (one.notes.length) cell.title = one.notes.join("; ");
        return cell;
      }),
    ]);
    const head = [columnHead("Codec, against →"), ...here.map((name) => columnHead(name))];
    byId("delta-table").replaceChildren(...(here.length ? [tableOf(head, rows)] : []));
    const absent = codecs.filter((codec) => !valued.has(codec));
    const told = new Set();
    found.forEach((one) => one.notes.forEach((note) => told.add(`${[one.anchor, one.test].sort().join(" and ")}: ${note}`)));
    const folded = (text, lines) =>
      element("details", {}, element("summary", {}, text), element("ul", {}, ...lines.map((line) => element("li", {}, line))));
    const count = (list, one, many) => `${list.length} ${list.length === 1 ? one : many}`;
    byId("delta-notes").replaceChildren(
      ...(absent.length ? [folded(count(absent, "codec has no value here", "codecs have no value here"), absent)] : []),
      ...(told.size ? [folded(count([...told], "note", "notes") + " on what these values rest on", [...told])] : []),
    );
  }

  function rateLook(estimate) {
    if (!estimate || estimate.low == null || (estimate.low <= 0 && estimate.high >= 0)) return null;
    return estimate.value < 0 ? "up" : "down";
  }
  byId("delta-metric").addEventListener("change", show);
  document.querySelectorAll("[name=delta-kind]").forEach((input) => input.addEventListener("change", show));
  show();
}
