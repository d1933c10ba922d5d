"""The page of a sweep: what is in the file, and what a browser makes of it."""

import base64
import json
import os
import re
import shutil
from html.parser import HTMLParser
from itertools import product

import numpy as np
import pytest

from cosched.schedules.annealing import CosineAnnealing
from cosched.schedules.phases import branched
from cosched.schedules.shapes import Constant
from cosched.sweeps.curves import curve, over
from cosched.sweeps.page import Shown, write_page
from cosched.sweeps.pictures import Page
from cosched.sweeps.trunks import bound

pytestmark = pytest.mark.browser

NASTY = '<img src=x onerror="window.hit=1">&lt;b&gt;</script><script>window.hit=2</script>'
KEYS = {"scheduler.cycle_mult": ["1", "1.5", "2"], "model": ["conv", NASTY]}
FIELDS = {"_target_": "cosched.CosineAnnealingScheduler", "start_value": 0.1, "end_value": 0.001, "cycle_size": "1ep"}


def shown(number, overrides, score, length=20):
    fields = {**FIELDS, "cycle_mult": float(overrides["scheduler.cycle_mult"])}
    return Shown(
        number=number,
        overrides=overrides,
        command=f"python app.py scheduler.cycle_mult={overrides['scheduler.cycle_mult']}",
        curves=[curve("scheduler", fields, 10, length)],
        score=score,
        notes=["it is odd"] if number == 4 else [],
    )


@pytest.fixture
def jobs():
    scores = [0.3, 0.1, 0.5, None, 0.2, 0.4]
    return [
        shown(i, dict(zip(KEYS, values, strict=True)), scores[i]) for i, values in enumerate(product(*KEYS.values()))
    ]


@pytest.fixture
def file(jobs, tmp_path):
    return write_page(tmp_path / "sweep.html", jobs, Page(title=f"a sweep {NASTY}", epoch_length=20, maximize=True))


class Scripts(HTMLParser):
    def __init__(self):
        super().__init__()
        self.data, self.tags, self.json = "", [], False

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.json = ("type", "application/json") in attributes

    def handle_endtag(self, tag):
        self.json = False

    def handle_data(self, data):
        self.data += data if self.json else ""


def read(file):
    scripts = Scripts()
    scripts.feed(file.read_text(encoding="utf-8"))
    return scripts, json.loads(scripts.data)


def test_it_holds_each_value_with_gaps_where_a_restart_is_a_jump(file, jobs):
    _, data = read(file)
    for job, saved in zip(jobs, data["jobs"], strict=True):
        (points,), (c,) = saved["curves"], job.curves
        values = np.frombuffer(base64.b64decode(points["values"]), "<f4")
        events = np.frombuffer(base64.b64decode(points["events"]), "<u2")
        there = np.isfinite(values)
        np.testing.assert_array_equal(events[there], c.events)
        np.testing.assert_allclose(values[there], c.values, rtol=1e-7)
        assert events[~there].tolist() == c.schedule.restarts(c.num_events).tolist()


def test_a_text_of_an_override_is_data_and_no_markup(file):
    scripts, data = read(file)
    assert "img" not in scripts.tags
    assert scripts.tags.count("script") == 3
    assert data["jobs"][1]["overrides"]["model"] == NASTY


def test_it_fetches_nothing(file):
    html = re.sub(r"<script>/\*\*\n\* plotly.*?</script>", "", file.read_text(encoding="utf-8"), flags=re.S)
    assert len(html) < 10**5
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", html)


def test_sixty_jobs_are_below_6_mb(tmp_path):
    jobs = [shown(i, {"scheduler.cycle_mult": str(1 + i / 40)}, i / 60, length=200) for i in range(60)]
    assert min(len(job.curves[0].events) for job in jobs) >= 1900
    assert write_page(tmp_path / "sweep.html", jobs).stat().st_size < 6e6


def test_a_sweep_without_values_or_curves_has_a_page(tmp_path):
    jobs = [Shown(number=i, overrides={}, notes=["no schedule"]) for i in range(2)]
    _, data = read(write_page(tmp_path / "sweep.html", jobs))
    assert [job["notes"] for job in data["jobs"]] == [["no schedule"]] * 2


@pytest.fixture
def open_page():
    """Opens a file in Chromium, and refuses what it complains of."""
    from playwright import sync_api

    chromium = shutil.which("chromium")
    assert chromium, "the tests of pages need Debian's chromium: apt-get install chromium"
    complaints = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )

        def opened(file, width=1300):
            page = browser.new_page(viewport={"width": width, "height": 1000})
            page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: complaints.append(request.url) if "http" in request.url[:5] else None)
            page.goto(file.as_uri())
            page.wait_for_selector("#panels .plot-container .trace, #panels .gl-canvas")
            return page

        yield opened
        browser.close()
    assert complaints == []


def numbers(page):
    """The jobs in the table, in its order, as far as they are seen."""
    return [int(row.locator("td").first.inner_text()) for row in page.locator("#rows tr:visible").all()]


def at(page, event, value):
    """Where in the window the first plot has a point."""
    return page.evaluate(
        """([event, value]) => {
            const div = document.querySelector("#panels .js-plotly-plot"), full = div._fullLayout;
            const box = div.getBoundingClientRect(), {xaxis: x, yaxis: y} = full;
            return [box.x + x._offset + x.d2p(event), box.y + y._offset + y.d2p(value)];
        }""",
        [event, value],
    )


def opacities(page):
    return page.evaluate("document.querySelector('#panels .js-plotly-plot').data.map(t => t.opacity ?? 1)")


def test_a_browser_shows_the_job_under_the_pointer_and_isolates_it_with_a_click(open_page, file, jobs):
    page = open_page(file)
    event = 195  # there the curves of each cycle_mult are apart
    x, y = at(page, event, jobs[5].curves[0].values[event])
    page.mouse.move(x, y)
    page.wait_for_selector(".hoverlayer .hovertext")
    said = page.locator(".hoverlayer .hovertext").text_content()
    assert "cycle_mult=2" in said
    assert "job 4" in said or NASTY in said
    page.mouse.click(x, y)
    page.wait_for_selector("#rows tr.alone")
    shown_alone = int(page.locator("#rows tr.alone td").first.inner_text())
    assert shown_alone in (4, 5)
    assert [i for i, opacity in enumerate(opacities(page)) if opacity == 1] == [shown_alone]
    page.click("#all")
    assert set(opacities(page)) == {1}
    page.locator("#rows tr").nth(2).click()
    assert [i for i, opacity in enumerate(opacities(page)) if opacity == 1] == [2]
    assert page.evaluate("window.hit") is None


def test_a_browser_sorts_the_table_by_the_column_that_is_clicked(open_page, file):
    page = open_page(file)
    assert numbers(page) == [0, 1, 2, 3, 4, 5]
    page.get_by_text("returned value", exact=True).last.click()
    assert numbers(page) == [1, 4, 0, 5, 2, 3]  # what has none comes last
    page.get_by_text("returned value", exact=True).last.click()
    assert numbers(page) == [2, 5, 0, 4, 1, 3]
    page.get_by_text("scheduler.cycle_mult", exact=True).click()
    assert numbers(page)[:2] == [0, 1] or set(numbers(page)[:2]) == {0, 1}


def test_a_brush_on_a_key_filters_the_curves_and_the_table(open_page, file):
    page = open_page(file)
    axis = page.locator("#brushes .axis-brush .background").first.bounding_box()
    middle = axis["x"] + axis["width"] / 2
    # From the middle to the top: cycle_mult from 1.5 on, without the lower end at 1.
    page.mouse.move(middle, axis["y"] + axis["height"] * 0.4)
    page.mouse.down()
    page.mouse.move(middle, axis["y"] + axis["height"] * 0.2, steps=5)
    page.mouse.move(middle, axis["y"] - 10, steps=5)
    page.mouse.up()
    page.wait_for_selector("#rows tr.out", state="attached")
    assert numbers(page) == [4, 5]
    assert page.evaluate("document.querySelector('#panels .js-plotly-plot').data.map(t => t.visible)") == (
        [False] * 4 + [True] * 2
    )
    page.click("#all")
    assert numbers(page) == [0, 1, 2, 3, 4, 5]


def test_axes_change_and_a_command_is_copied(open_page, file):
    page = open_page(file)
    plot = "document.querySelector('#panels .js-plotly-plot')"
    page.click("#log")
    assert page.evaluate(f"{plot}._fullLayout.yaxis.type") == "log"
    page.click("#epochs")
    assert page.evaluate(f"Math.max(...{plot}.data[0].x)") == pytest.approx(199 / 20)
    page.evaluate("navigator.clipboard.writeText = async text => { window.copied = text; }")
    page.locator("#rows button").nth(2).click()
    assert page.evaluate("window.copied") == "python app.py scheduler.cycle_mult=1.5"


def test_a_branch_leaves_a_grey_trunk_and_groups_have_values_of_their_own(open_page, tmp_path):
    trunk, then = CosineAnnealing(start_value=1, end_value=0, cycle_size=100), Constant(value=0.5)
    declared = curve("scheduler", {**FIELDS, "relative": True}, 10, 20).declared
    branch = bound(declared, branched(trunk, 50, then))
    c = over("scheduler", branch, [], 10, 20)
    job = Shown(number=0, overrides={}, curves=[c], groups={"scheduler": {"body": 0.1, "head": 10.0}})
    page = open_page(write_page(tmp_path / "a.html", [job]))
    drawn = page.evaluate("""[...document.querySelectorAll("#panels .js-plotly-plot")].map(
        div => div.data.map(t => [t.line.color, [...t.x], [...t.y], t.hovertemplate]))""")
    whole = [*trunk.values(range(50)), *[0.5] * 150]
    for lines, factors in zip(drawn, ([1.0], [0.1, 10.0]), strict=True):
        trunks, branches = lines[: len(factors)], lines[len(factors) :]
        for (grey, x, y, said), (color, x2, y2, _), times in zip(trunks, branches, factors, strict=True):
            assert grey.lower() == "#b0b0b0" != color.lower()
            assert "the run before" in said
            assert x == list(range(50))
            assert x2 == list(range(49, 200))
            assert y + y2[1:] == pytest.approx([value * times for value in whole], abs=1e-6)
    assert ["body: 0.1" in said for *_, said in drawn[1]] == [True, False] * 2


def test_a_narrow_window_has_no_overflow(open_page, file):
    page = open_page(file, width=400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
