"""The page in a real browser: Chromium, headless, from disk."""

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from semcomp_pl.compare.measure.pictures import picture_path
from semcomp_pl.compare.report.answer import headline, leading
from semcomp_pl.compare.report.charts import looks_of
from semcomp_pl.compare.report.figures import write_figures
from semcomp_pl.compare.report.page import write_report
from semcomp_pl.compare.rows import Results, table
from semcomp_pl.compare.summary import Summary
from semcomp_pl.metrics import describe
from tests.compare.results import write_directory
from tests.compare.rows import street_results

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the path: apt-get install chromium")
RATE = 0  # the place of 0.03, the lowest target that all codecs reach, which is shown first


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def summary(directory: Path) -> Summary:
    results = street_results(4)
    summary = write_directory(directory, results, pictures=3)
    write_report(directory, results, summary)
    return summary


class Visit:
    """An open report, with all that went wrong and all that was asked of the network."""

    def __init__(self, browser: Browser, directory: Path, **options: Any) -> None:
        self.context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        self.context.set_default_timeout(180_000)  # for machines that do other things too
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: self.wrong.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto((directory / "report.html").as_uri())

    def close(self) -> None:
        assert self.wrong == []
        assert [url for url in self.requests if not url.startswith("data:")] == self.requests[:1]
        self.context.close()


@pytest.fixture
def page(browser: Browser, directory: Path, summary: Summary) -> Iterator[Page]:
    visit = Visit(browser, directory)
    yield visit.page
    visit.close()


def pixels(locator: Locator) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB"))


def marks(page: Page, name: str) -> list[str]:
    """What is said of each mark of a chart."""
    page.wait_for_selector(f"#{name}-chart .mark-symbol.role-mark path", state="attached")
    page.wait_for_timeout(300)  # a chart is drawn anew within this time
    script = "marks => marks.map(mark => mark.getAttribute('aria-label'))"
    found: list[str] = page.eval_on_selector_all(f"#{name}-chart .mark-symbol.role-mark path", script)
    return found


def cells(page: Page, table: str) -> list[list[str]]:
    """The first line of every cell."""
    script = "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.split('\\n')[0].trim()))"
    found: list[list[str]] = page.eval_on_selector_all(f"{table} tr", script)
    return found


def at_rest(page: Page) -> None:
    """Wait for the divider, which glides."""
    page.wait_for_function("document.getAnimations().length === 0")


def number(text: str) -> float:
    return float(text.split()[0].replace("−", "-"))  # noqa: RUF001


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_follows_the_scheme(
    browser: Browser, directory: Path, summary: Summary, width: int, scheme: str
) -> None:
    visit = Visit(browser, directory, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert visit.page.evaluate("document.documentElement.scrollWidth") == width
    background = pixels(visit.page.locator("h1")).mean()
    assert background < 80 if scheme == "dark" else background > 180
    for _ in range(2 if scheme == "light" else 1):  # system, light, dark
        visit.page.click("#theme")
    assert abs(pixels(visit.page.locator("h1")).mean() - background) > 100
    visit.close()


def test_the_rates_are_chosen_by_keyboard(page: Page, summary: Summary) -> None:
    tables = page.locator("[data-rate]")
    assert [tables.nth(i).is_visible() for i in range(5)] == [i == RATE for i in range(5)]
    page.focus("[name=rate]:checked")
    page.keyboard.press("ArrowRight")
    assert [tables.nth(i).is_visible() for i in range(5)] == [i == RATE + 1 for i in range(5)]
    page.click("label:has([name=rate][value=all])")
    assert all(tables.nth(i).is_visible() for i in range(5))


def test_the_headline_is_that_of_the_summary(page: Page, summary: Summary) -> None:
    rows = cells(page, f"[data-rate='{RATE}'] tbody")
    for entry, row in zip(summary.at_rates[RATE].entries, rows, strict=True):
        assert entry.point
        point = summary.point(entry.codec, entry.point)
        for metric, cell in zip(leading(summary.metrics), row[2:], strict=True):
            if metric in point.metrics:
                assert number(cell) == pytest.approx(point.metrics[metric].value, abs=0.051)
                assert ("★" in cell) == (entry.standing.get(metric) == "best")
                assert ("≈" in cell) == (entry.standing.get(metric) == "tied")
    ceiling = cells(page, f"[data-rate='{RATE}'] tfoot")[0]
    assert summary.ceiling
    assert number(ceiling[2 + leading(summary.metrics).index("miou")]) == pytest.approx(
        summary.ceiling.metrics["miou"].value, abs=1e-3
    )


def test_it_opens_with_the_answer_curve_and_pair_of_pictures(page: Page, summary: Summary) -> None:
    assert page.inner_text("h1") == headline(summary)
    assert page.input_value("#curve-metric") == "miou_ratio"
    for part in ("h1", "#curve-chart svg", "#slider"):
        box = page.locator(part).bounding_box()
        assert box
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 720, part  # a laptop's screen
    text = page.inner_text("main")
    assert text.index("At the same rate") > text.index("Original")


def drawn(page: Page, summary: Summary, metric: str) -> None:
    """Wait until a chart shows every point of a metric."""
    facts = describe(metric)
    expected = {
        f"{one.codec}, {one.point}: Rate (bpp) {one.bpp.value:.3f} [{one.bpp.low:.3f}, {one.bpp.high:.3f}]; "
        f"{facts.axis} {value.value:.{facts.digits}f} [{value.low:.{facts.digits}f}, {value.high:.{facts.digits}f}]"
        for one in summary.points
        for value in [one.metrics[metric]]
        if one.bpp
    }
    script = (
        "expected => { const found = [...document.querySelectorAll('#curve-chart .mark-symbol.role-mark path')].map("
        "mark => mark.getAttribute('aria-label')); return found.length === expected.length && "
        "found.every(one => expected.includes(one)) }"
    )
    page.wait_for_function(script, arg=sorted(expected))


@pytest.mark.parametrize("metric", ["psnr", "miou", "iou_road"])
def test_curves_show_the_chosen_metric(page: Page, summary: Summary, metric: str) -> None:
    page.select_option("#curve-metric", metric)
    drawn(page, summary, metric)
    before = pixels(page.locator("#curve-chart"))
    page.check("[name=curve-axis][value=linear]", force=True)
    page.wait_for_function("document.querySelector('#curve-chart').textContent.includes('0.00')")
    drawn(page, summary, metric)
    assert (pixels(page.locator("#curve-chart")) != before).any()
    page.click(f"#curve-legend button[data-codec='{summary.codecs[0]}']")
    page.wait_for_function(
        f"document.querySelectorAll('#curve-chart .mark-symbol.role-mark path').length === {len(summary.points) - 4}"
    )
    assert not [one for one in marks(page, "curve") if one.startswith(summary.codecs[0] + ",")]


def test_hovering_and_the_keyboard_give_point_and_interval(page: Page, summary: Summary) -> None:
    page.select_option("#curve-metric", "psnr")
    drawn(page, summary, "psnr")
    point = summary.curve(summary.codecs[1])[2]
    psnr = point.metrics["psnr"]
    said = f"PSNR (dB) {psnr.value:.2f} [{psnr.low:.2f}, {psnr.high:.2f}]"
    place = next(i for i, one in enumerate(marks(page, "curve")) if one.startswith(f"{point.codec}, {point.point}:"))
    page.locator("#curve-chart .mark-symbol.role-mark path").nth(place).hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    tooltip = page.inner_text("#vg-tooltip-element")
    assert f"{point.codec}, {point.point}" in tooltip
    assert said in tooltip
    page.mouse.move(0, 0)
    page.focus("#curve-chart")
    for _ in range(place + 1):
        page.keyboard.press("ArrowRight")
    assert said in page.inner_text("#curve-said")
    page.keyboard.press("ArrowLeft")
    assert said not in page.inner_text("#curve-said")


def test_no_text_of_a_figure_is_cut_off(browser: Browser, summary: Summary, tmp_path: Path) -> None:
    write_figures(replace(summary, metrics=["psnr", "miou"]), tmp_path)
    page = browser.new_page()
    for file in ("psnr.svg", "miou.svg"):
        page.goto((tmp_path / file).as_uri())
        boxes = "all => all.map(one => [one.textContent, ...Object.values(one.getBoundingClientRect().toJSON())])"
        (_, _, _, width, height, *_), *texts = page.eval_on_selector_all("svg, text", boxes)
        for text, x, y, wide, high, *_ in texts:
            assert x >= 0, text
            assert y >= 0, text
            assert x + wide <= width, text
            assert y + high <= height, text
        assert {*summary.codecs} <= {text for text, *_ in texts}
    page.close()


def test_codecs_have_the_same_colour_everywhere(page: Page, summary: Summary) -> None:
    marks(page, "curve")
    script = "(one, name) => getComputedStyle(one)[name]"
    for codec, look in looks_of(summary).items():
        rgb = "rgb({}, {}, {})".format(*bytes.fromhex(look.colour[1:]))
        mark = page.locator(f"#curve-chart .mark-symbol path[aria-label^='{codec},']").first
        assert mark.evaluate(script, "stroke") == rgb
        for glyph in (f"[data-codec='{codec}'] .glyph", f"[data-rate='{RATE}'] tr:has-text('{codec}') .glyph"):
            assert page.locator(glyph).first.evaluate(script, "color") == rgb


def test_the_pictures_are_those_of_the_chosen_codecs(page: Page, directory: Path, summary: Summary) -> None:
    page.click("#pictures summary")
    assert page.locator("#picture-note").inner_text().startswith("3 of 4 images, every point")
    read = (
        "async image => { await image.decode(); const c = new OffscreenCanvas(image.naturalWidth, image.naturalHeight)"
        ".getContext('2d'); c.drawImage(image, 0, 0); return [...c.getImageData(0, 0, image.naturalWidth, "
        "image.naturalHeight).data] }"
    )
    page.select_option("#picture-image", "1")
    for side, place in (("left", 3), ("right", 17)):
        page.select_option(f"#picture-{side}", str(place))
        shown = np.array(page.eval_on_selector(f"#{side}-picture", read), np.uint8).reshape(128, 256, 4)[..., :3]
        point = summary.points[place]
        with Image.open(picture_path(directory, summary.images[1], point.codec, point.point)) as file:
            np.testing.assert_array_equal(shown, np.asarray(file))
    head, *rows = cells(page, "#picture-values")
    assert [head[1], head[2]] == [summary.points[3].codec, summary.points[17].codec]
    row = street_results(4).rows.filter(
        pl.col("image") == summary.images[1], pl.col("codec") == head[1], pl.col("point") == summary.points[3].point
    )
    assert rows[0][1] == str(row["bytes"][0])
    assert number(rows[2][1]) == pytest.approx(row["psnr"][0], abs=0.006)
    page.click("#picture-swap")
    assert cells(page, "#picture-values")[0][1:3] == [head[2], head[1]]


def test_the_best_model_and_the_best_reference_are_shown_first(page: Page, summary: Summary) -> None:
    standing = [summary.point(entry.codec, entry.point) for entry in summary.at_rates[RATE].entries if entry.point]
    for side, kind in (("left", "model"), ("right", "reference")):
        best = max((one for one in standing if one.kind == kind), key=lambda one: one.metrics["miou"].value)
        assert page.input_value(f"#picture-{side}") == str(summary.points.index(best))


def test_the_original_is_one_key_away(page: Page, summary: Summary) -> None:
    source = "document.querySelector('#left-picture').src + document.querySelector('#right-picture').src"
    before = page.evaluate(source)
    page.keyboard.press("o")
    assert page.locator("#picture-original").get_attribute("aria-pressed") == "true"
    left, right = (page.get_attribute(f"#{side}-picture", "src") for side in ("left", "right"))
    assert left == right
    assert page.get_attribute("#left-picture", "alt") == f"{summary.images[0]}, Original"
    page.keyboard.press("o")
    assert page.evaluate(source) == before != f"{left}{right}"


def test_the_divider_moves_by_mouse_and_keyboard(page: Page, summary: Summary) -> None:
    page.select_option("#picture-left", "-1")  # the original
    slider = page.locator("#slider")
    slider.scroll_into_view_if_needed()
    slider.focus()
    page.keyboard.press("Home")
    at_rest(page)
    right = pixels(slider)
    page.keyboard.press("End")
    at_rest(page)
    left = pixels(slider)
    assert slider.get_attribute("aria-valuenow") == "100"
    assert (np.abs(left.astype(int) - right).max(axis=2) > 8).mean() > 0.25
    box = slider.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 40)
    page.mouse.up()
    assert slider.get_attribute("aria-valuenow") == "25"
    at_rest(page)
    both, edge = pixels(slider), left.shape[1] // 4
    np.testing.assert_array_equal(both[20:100, 20 : edge - 40], left[20:100, 20 : edge - 40])
    np.testing.assert_array_equal(both[20:100, edge + 40 : -20], right[20:100, edge + 40 : -20])
    page.keyboard.press("ArrowRight", delay=300)
    assert 25 < int(slider.get_attribute("aria-valuenow") or 0) < 100


def test_worst_and_best_are_one_click_away(page: Page, summary: Summary) -> None:
    rows = street_results(4).rows.filter(pl.col("image").is_in(summary.images[:3]))
    page.click("#pictures summary")
    page.select_option("#picture-left", "2")
    page.select_option("#picture-metric", "lpips")
    point = summary.points[2]
    mine = rows.filter(pl.col("codec") == point.codec, pl.col("point") == point.point).sort("lpips")["image"]
    page.get_by_role("button", name=f"worst of {point.codec}", exact=True).click()
    assert page.locator("#picture-image option:checked").inner_text() == mine[-1]
    page.get_by_role("button", name=f"best of {point.codec}", exact=True).click()
    assert page.locator("#picture-image option:checked").inner_text() == mine[0]
    assert page.locator("#thumbnails [aria-pressed=true]").get_attribute("title") == mine[0]
    page.locator("#thumbnails button").nth(1).click()
    assert page.input_value("#picture-image") == "1"


def test_the_judge_can_be_laid_over_and_pictures_enlarged(page: Page, summary: Summary) -> None:
    slider = page.locator("#slider")
    before = pixels(slider)
    page.check("#picture-overlay")
    page.fill("#picture-opacity", "100")
    page.locator("#left-labels").evaluate("image => image.decode()")
    after = pixels(slider)
    assert (before != after).any(axis=2).mean() > 0.5
    assert page.locator("#class-legend .chip").all_inner_texts() == summary.classes
    page.select_option("#picture-zoom", "8")
    assert slider.evaluate("one => one.clientWidth") == 8 * 256
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_classes_show_paired_differences(page: Page, summary: Summary) -> None:
    page.select_option("#class-base", "WebP")
    rows = cells(page, "#class-table")
    others = [codec for codec in summary.codecs if codec != "WebP"]
    assert rows[0][1:] == others
    for name, row in zip(["miou", *(f"iou_{one}" for one in summary.classes)], rows[1:], strict=True):
        for codec, cell in zip(others, row[1:], strict=True):
            (gap,) = (one for one in summary.at_rates[RATE].differences if {one.codec, one.other} == {codec, "WebP"})
            sign = 1 if gap.codec == codec else -1
            assert number(cell) == pytest.approx(sign * gap.metrics[name].value, abs=6e-4)


def test_deltas_are_of_the_row_against_the_column(page: Page, summary: Summary) -> None:
    page.select_option("#delta-metric", "miou")
    rows = cells(page, "#delta-table")
    assert [row[0] for row in rows[1:]] == rows[0][1:] == summary.codecs
    checked = 0
    for one in (one for one in summary.bjontegaard if one.metric == "miou" and one.rate):
        cell = rows[1 + summary.codecs.index(one.test)][1 + summary.codecs.index(one.anchor)]
        assert one.rate
        assert number(cell) == pytest.approx(one.rate.value, rel=1e-4, abs=0.051)
        checked += 1
    assert checked > 10


def test_codecs_without_curves_are_a_count_beside_the_deltas(browser: Browser, tmp_path: Path) -> None:
    given = street_results(3)
    few = (pl.col("codec") == "PlainGAN") & (pl.col("point") != "d4C2")
    results = replace(given, rows=given.rows.filter(~few))
    summary = write_directory(tmp_path, results, pictures=0)
    write_report(tmp_path, results, summary)
    visit = Visit(browser, tmp_path)
    rows = cells(visit.page, "#delta-table")
    assert [row[0] for row in rows[1:]] == rows[0][1:] == [codec for codec in summary.codecs if codec != "PlainGAN"]
    folded = visit.page.locator("#delta-notes details").first
    assert folded.inner_text() == "1 codec has no value here"
    visit.close()


def test_perception_has_a_mark_a_codec(page: Page, summary: Summary) -> None:
    page.select_option("#perception-rate", "0")
    page.select_option("#perception-metric", "fid")
    points = [summary.point(one.codec, one.point) for one in summary.at_rates[0].entries if one.point]
    digits = describe("fid").digits
    expected = sorted(f"{one.codec}, {one.point}: FID {one.metrics['fid'].value:.{digits}f}" for one in points)
    page.wait_for_function("document.querySelector('#perception-chart').textContent.includes('FID')")
    said = [one.partition(":")[0] + ":" + one.rpartition(";")[2] for one in marks(page, "perception")]
    assert sorted(said) == expected


def test_names_are_text_whatever_they_hold(browser: Browser, tmp_path: Path) -> None:
    name = "</script><img src=x onerror=alert(1)>\"'&amp;"
    results = street_results(2)
    rows = results.rows.with_columns(
        pl.col("codec").replace("PlainGAN", name), pl.lit(name).alias("image") + pl.col("image")
    )
    named = Results(rows, {**results.provenance, "classes": [name] * 11, "command": name})
    write_report(tmp_path, named, write_directory(tmp_path, named, pictures=1))
    visit = Visit(browser, tmp_path)
    assert name in visit.page.locator("#curve-legend").inner_text()
    visit.page.click("#pictures summary")
    assert name in visit.page.locator("#picture-values").inner_text()
    assert visit.page.locator("#command").inner_text() == name
    visit.close()


def test_hardly_any_results_are_shown_too(browser: Browser, tmp_path: Path) -> None:
    row = {"codec": "one", "point": "p", "kind": "model", "image": "a", "height": 128, "width": 256}
    fine = Results(table([{**row, "status": "ok", "bytes": 100, "bpp": 800 / 2**15, "psnr": 20.0}]), {})
    failed = Results(table([{**row, "status": "failed", "error": "it failed"}]), {})
    for number, results in enumerate([fine, failed, Results(table([]), {})]):
        place = tmp_path / str(number)
        place.mkdir()
        summary = write_directory(place, results)
        for file in place.rglob("*.label.png"):  # there was no judge
            file.unlink()
        write_report(place, results, summary)
        visit = Visit(browser, place)
        assert not visit.page.locator("#picture-overlay").is_visible()
        for part in ("#pictures", "#pictures-link"):
            assert visit.page.locator(part).is_visible() == bool(results.rows.height)
        visit.close()
