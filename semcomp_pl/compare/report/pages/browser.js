/* The image browser: two pictures under a divider, what the judge predicts of them, and their values. */

function setUpBrowser() {
  if (!report.gallery.images.length) return;
  byId("pictures").hidden = byId("pictures-link").hidden = false;
  byId("picture-note").textContent = report.gallery.note;
  const { images, values, colours } = report.gallery;
  const original = -1;
  const slider = byId("slider");
  let image = 0;

  const pointOf = (place) => (place === original ? report.ceiling : report.points[place]);
  const nameOf = (place) => (place === original ? "Original" : pointOf(place).codec);
  const sides = { left: byId("picture-left"), right: byId("picture-right") };
  const placeOf = (side) => Number(sides[side].value);
  const bare = () => byId("picture-original").ariaPressed === "true";

  const shown = [...new Set(report.sources.flatMap((one) => Object.keys(one)))].map(Number).sort((a, b) => a - b);
  const measured = (metric) => values.some((one) => shown.some((place) => one[place]?.[metric] != null));
  const metrics = Object.keys(report.metrics).filter(
    (name) => about(name).higher_is_better != null && !about(name).detail && measured(name),
  );

  function fillSides() {
    const groups = codecs
      .map((codec) => {
        const places = shown.filter((place) => place !== original && pointOf(place).codec === codec);
        const label = (place) => {
          const { point, bpp } = pointOf(place);
          return `${codec}, ${point}${bpp ? ` (${number(bpp.value, 3)} bpp)` : ""}`;
        };
        return [codec, places.map((place) => [String(place), label(place)])];
      })
      .filter(([, options]) => options.length);
    if (shown.includes(original)) groups.unshift([String(original), "Original"]);
    const [left = shown[0], right = shown.find((place) => place !== left) ?? left] = report.pair.filter((place) => shown.includes(place));
    fill(sides.left, groups, String(left));
    fill(sides.right, groups, String(right));
  }

  function showPictures() {
    for (const side of ["left", "right"]) {
      const place = bare() ? original : placeOf(side);
      const [picture, labels] = report.sources[image][place] ?? [null, null];
      const target = byId(`${side}-picture`);
      if (picture) target.src = picture;
      else target.removeAttribute("src");
      target.alt = picture ? `${images[image]}, ${nameOf(place)}` : `No picture of ${nameOf(place)}`;
      const overlay = byId(`${side}-labels`);
      if (labels) overlay.src = labels;
      overlay.hidden = !labels || !byId("picture-overlay").checked;
    }
    byId("class-legend").hidden = byId("opacity").hidden = !byId("picture-overlay").checked;
    byId("left-picture").decode().then(resize, () => {});
    describeDivider();
  }

  function describeDivider() {
    const share = Math.round(slider.value);
    slider.setAttribute("aria-valuenow", share);
    slider.setAttribute("aria-valuetext", `${share} % ${nameOf(placeOf("left"))}, the rest ${nameOf(placeOf("right"))}`);
  }

  /** A zoom keeps what is in the middle there, and leaves dragging outside the handle to panning. */
  function resize() {
    const zoom = Number(byId("picture-zoom").value);
    const stage = byId("stage");
    const width = byId("left-picture").naturalWidth || byId("right-picture").naturalWidth;
    const height = byId("left-picture").naturalHeight || byId("right-picture").naturalHeight;
    const middle = [stage.scrollLeft + stage.clientWidth / 2, stage.scrollTop + stage.clientHeight / 2];
    const before = slider.clientWidth || 1;
    // title, controls and thumbnails stay in sight with the picture
    const fit = `min(100%, ${((Math.max(0.5 * innerHeight, innerHeight - 420) * width) / height).toFixed(0)}px)`;
    slider.style.width = zoom ? `${zoom * width}px` : fit;
    stage.classList.toggle("pixels", zoom >= 4);
    slider.setAttribute("handle", String(slider.clientWidth > stage.clientWidth));
    slider.handle = slider.getAttribute("handle");
    const grown = slider.clientWidth / before;
    stage.scrollTo(middle[0] * grown - stage.clientWidth / 2, middle[1] * grown - stage.clientHeight / 2);
    keepHandle();
  }

  /** The handle stays in sight of a picture higher than its window. */
  function keepHandle() {
    const stage = byId("stage");
    const middle = stage.scrollTop + Math.min(stage.clientHeight, slider.clientHeight) / 2;
    slider.style.setProperty("--handle-position-start", `${((100 * middle) / (slider.clientHeight || 1)).toFixed(1)}%`);
  }

  function showValues() {
    const [left, right] = ["left", "right"].map(placeOf);
    const [mine, other] = [left, right].map((place) => values[image][place] ?? {});
    const rows = ["bytes", "bpp", ...Object.keys(report.metrics)]
      .filter((name, place, all) => all.indexOf(name) === place && (mine[name] != null || other[name] != null))
      .map((name) => {
        const { axis, digits, higher_is_better: higher } =
          name === "bytes" ? { axis: "File (bytes)", digits: 0, higher_is_better: null } : about(name);
        const wins = higher == null || mine[name] == null || other[name] == null ? 0 : (mine[name] - other[name]) * (higher ? 1 : -1);
        const cell = (one, better) => element("td", { class: better ? "better" : null }, number(one[name], digits));
        const gap = mine[name] != null && other[name] != null ? mine[name] - other[name] : null;
        return [rowHead(axis), cell(mine, wins > 0), cell(other, wins < 0), element("td", {}, gap == null ? "–" : number(gap, digits, true))];
      });
    const faults = [mine, other].some((one) => one.error)
      ? [[rowHead("Error"), element("td", {}, mine.error ?? ""), element("td", {}, other.error ?? ""), element("td")]]
      : [];
    const head = (place) => {
      const made = columnHead(nameOf(place), pointOf(place).point);
      if (place !== original) made.style.borderBottom = `3px solid ${report.colours[nameOf(place)]}`;
      return made;
    };
    byId("picture-values").replaceChildren(
      tableOf([columnHead(images[image]), head(left), head(right), columnHead("Left − right")], [...faults, ...rows]),
    );
  }

  /** Buttons to the images where a codec, or the gap between both, is at its worst and best. */
  function showJumps() {
    const metric = byId("picture-metric").value;
    const [left, right] = ["left", "right"].map(placeOf);
    if (!metric) return;
    const sign = about(metric).higher_is_better ? 1 : -1;
    const score = (place) => (one) => (one[place]?.[metric] == null ? null : sign * one[place][metric]);
    const gap = (one) => (score(left)(one) == null || score(right)(one) == null ? null : score(left)(one) - score(right)(one));
    const jump = (text, judge, worst) => {
      const judged = values.map((one, place) => [judge(one), place]).filter(([value]) => value != null);
      judged.sort((a, b) => (worst ? a[0] - b[0] : b[0] - a[0]));
      const button = element("button", { type: "button", disabled: !judged.length }, text);
      button.addEventListener("click", () => choose(judged[0][1]));
      return button;
    };
    const names = left === right ? [left] : [left, right];
    const ends = names.filter((place) => place !== original).flatMap((place) => [
      jump(`worst of ${nameOf(place)}`, score(place), true),
      jump(`best of ${nameOf(place)}`, score(place), false),
    ]);
    const gaps = left === right ? [] : [jump("left leads most", gap, false), jump("right leads most", gap, true)];
    byId("picture-jumps").replaceChildren(...ends, ...gaps);
  }

  function show() {
    showPictures();
    showValues();
    showJumps();
  }

  function choose(place) {
    image = place;
    byId("picture-image").value = String(place);
    [...byId("thumbnails").children].forEach((one, each) => {
      one.setAttribute("aria-pressed", String(each === place));
      if (each === place) byId("thumbnails").scrollTo({ left: one.offsetLeft - byId("thumbnails").offsetLeft - 60 });
    });
    show();
  }

  fillSides();
  fill(byId("picture-image"), images.map((name, place) => [String(place), name]));
  fill(byId("picture-metric"), metrics.map((name) => [name, about(name).label]));
  byId("thumbnails").append(
    ...images.map((name, place) => {
      const [source] = report.sources[place][original] ?? Object.values(report.sources[place])[0];
      const button = element("button", { type: "button", title: name }, element("img", { src: source, alt: name }));
      button.addEventListener("click", () => choose(place));
      return button;
    }),
  );
  byId("class-legend").append(
    ...report.classes.map((name, place) =>
      element("span", { class: "chip" }, element("i", { style: `background: ${colours[place]}` }), name),
    ),
  );
  const judged = report.sources.some((one) => Object.values(one).some(([, labels]) => labels));
  byId("picture-overlay").parentElement.hidden = !judged;

  byId("picture-image").addEventListener("change", (event) => choose(Number(event.target.value)));
  Object.values(sides).forEach((select) => select.addEventListener("change", show));
  const toggleOriginal = () => {
    byId("picture-original").ariaPressed = String(!bare());
    showPictures();
  };
  byId("picture-original").disabled = !shown.includes(original);
  byId("picture-original").addEventListener("click", toggleOriginal);
  document.addEventListener("keydown", (event) => {
    const typing = ["INPUT", "SELECT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey;
    if (event.key.toLowerCase() === "o" && !typing && !byId("picture-original").disabled) toggleOriginal();
  });
  byId("picture-swap").addEventListener("click", () => {
    [sides.left.value, sides.right.value] = [sides.right.value, sides.left.value];
    show();
  });
  byId("picture-zoom").addEventListener("change", resize);
  byId("picture-overlay").addEventListener("change", showPictures);
  byId("picture-opacity").addEventListener("input", (event) => byId("stage").style.setProperty("--overlay", event.target.value / 100));
  byId("picture-metric").addEventListener("change", showJumps);
  byId("stage").addEventListener("scroll", keepHandle);
  addEventListener("resize", resize);
  slider.addEventListener("slide", describeDivider);
  slider.addEventListener("keydown", (event) => {
    if (["ArrowLeft", "ArrowRight", "Home", "End"].includes(event.key)) event.preventDefault(); // the stage would scroll
    if (event.key === "Home" || event.key === "End") {
      slider.value = event.key === "Home" ? 0 : 100;
      describeDivider();
    }
  });
  choose(0);
}
