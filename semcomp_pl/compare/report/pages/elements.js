/* What the other scripts share: the data, elements, numbers. */

const report = JSON.parse(document.getElementById("report-data").textContent);

const byId = (id) => document.getElementById(id);

/** A new element; attributes that are true are empty, those that are false or null are left out. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

/** Fill a select with [value, text] pairs, or groups of them as [label, [...pairs]]. */
function fill(select, choices, chosen) {
  const option = ([value, text]) => element("option", { value, selected: value === chosen }, text);
  select.replaceChildren(
    ...choices.map((choice) =>
      Array.isArray(choice[1]) ? element("optgroup", { label: choice[0] }, ...choice[1].map(option)) : option(choice),
    ),
  );
}

/** A number with a true minus sign and, where asked for, a plus sign. */
function number(value, digits, signed = false) {
  if (value == null) return "–";
  const text = Math.abs(value).toFixed(digits);
  if (value < 0 && Number(text) !== 0) return `−${text}`;
  return signed && Number(text) !== 0 ? `+${text}` : text;
}

function interval(estimate, digits, signed = false) {
  if (!estimate || estimate.low == null) return "";
  return `[${number(estimate.low, digits, signed)}, ${number(estimate.high, digits, signed)}]`;
}

/** A cell with a value and, below it, its interval. */
function estimateCell(estimate, digits, { signed = false, look = null, mark = null } = {}) {
  if (!estimate) return element("td", {}, element("span", { class: "none" }, "–"));
  const range = interval(estimate, digits, signed);
  const marked = mark && element("span", { class: "mark", role: "img", "aria-label": look }, mark);
  const value = number(estimate.value, digits, signed);
  return element("td", { class: look }, value, marked && " ", marked, range && element("small", {}, range));
}

/** A name that may break between its words, as CodecNames have none. */
function breakable(name) {
  return element("span", {}, ...name.split(/(?<=[a-z])(?=[A-Z])/).flatMap((part) => [part, element("wbr")]));
}

function columnHead(text, small = null) {
  return element("th", { scope: "col" }, breakable(text), small && element("small", {}, small));
}

function rowHead(text, small = null) {
  return element("th", { scope: "row" }, breakable(text), small && element("small", {}, small));
}

function tableOf(head, rows, foot = null) {
  return element(
    "table",
    {},
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells))),
    foot && element("tfoot", {}, element("tr", {}, ...foot)),
  );
}

const about = (metric) => report.metrics[metric];

/** How a difference of a metric looks: better, worse, or not told apart from zero. */
function lookOf(gap, metric) {
  const higher = about(metric).higher_is_better;
  if (higher == null || !gap || gap.low == null || (gap.low <= 0 && gap.high >= 0)) return null;
  return gap.value > 0 === higher ? "up" : "down";
}

/** The point that stands for a codec at a target rate, or null. */
function standing(rate, codec) {
  const entry = report.rates[rate].entries.find((one) => one.codec === codec);
  if (!entry || entry.point == null) return null;
  return report.points.find((one) => one.codec === codec && one.point === entry.point);
}

const codecs = Object.keys(report.colours);
const rateChoices = report.rates.map((one, place) => [String(place), `${one.target} bpp`]);
