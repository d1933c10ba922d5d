"""The page of a sweep: what is in the file, and what a browser makes of it."""

import base64
import json
import os
import pickle
import re
import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise, product

import numpy as np
import pytest

from cosched.schedules.annealing import CosineAnnealing
from cosched.schedules.phases import branched
from cosched.schedules.shapes import Constant
from cosched.sweeps.command import main
from cosched.sweeps.curves import curve, over
from cosched.sweeps.page import Shown, write_page
from cosched.sweeps.pictures import Page
from cosched.sweeps.report import ScheduleReport
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
    scores, ranks = [0.3, 0.1, 0.5, None, 0.2, 0.4], [3, 5, 1, None, 4, 2]
    found = [
        shown(i, dict(zip(KEYS, values, strict=True)), scores[i]) for i, values in enumerate(product(*KEYS.values()))
    ]
    return [replace(job, rank=rank) for job, rank in zip(found, ranks, strict=True)]


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


def decoded(text):
    return np.frombuffer(base64.b64decode(text[3:]), text[:3])


def test_it_holds_each_value_and_where_a_restart_is_a_jump(file, jobs):
    _, data = read(file)
    for job, saved in zip(jobs, data["jobs"], strict=True):
        (points,), (c,) = saved["curves"], job.curves
        np.testing.assert_array_equal(decoded(data["events"][points["events"]]).cumsum(), c.events)
        np.testing.assert_allclose(decoded(points["values"]), c.values, rtol=1e-7)
        assert c.events[points["jumps"]].tolist() == c.schedule.restarts(c.num_events).tolist()


@pytest.mark.parametrize("epoch_length", [300, 10**8])
def test_it_holds_the_events_of_a_long_run(tmp_path, epoch_length):
    c = curve("scheduler", FIELDS, 10, epoch_length)
    _, data = read(write_page(tmp_path / "a.html", [Shown(number=0, overrides={}, curves=[c])]))
    np.testing.assert_array_equal(decoded(data["events"][0]).cumsum(dtype=np.float64), c.events)


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
            page.wait_for_selector("#panels .plot-container .trace")
            return page

        yield opened
        browser.close()
    assert complaints == []


def numbers(page):
    """The jobs in the table, in its order, as far as they are seen."""
    return page.evaluate("[...document.querySelectorAll('#rows tr:not(.out)')].map(row => Number(row.dataset.job))")


def column(page, name):
    """The texts of a column of the table, in the order of the jobs."""
    return page.evaluate(
        """name => {
            const at = [...document.getElementById("head").cells].findIndex(th => th.textContent === name);
            const rows = [...document.getElementById("rows").rows];
            return rows.sort((a, b) => a.dataset.job - b.dataset.job).map(row => row.cells[at].textContent);
        }""",
        name,
    )


def sort_by(page, name):
    page.locator("#head th").get_by_text(name, exact=True).click()


def parallel(page):
    """The axes and the line of the parallel coordinates, once they are there."""
    page.wait_for_selector("#brushes .axis")
    return page.evaluate("document.getElementById('brushes').data[0]")


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
    """What each job's curve has in the first plot."""
    return page.evaluate(
        """Object.values(Object.fromEntries(document.querySelector('#panels .js-plotly-plot').data.filter(
            t => !t.faint).map(t => [t.job, t.opacity])))"""
    )


def test_a_browser_shows_the_job_under_the_pointer_and_isolates_it_with_a_click(open_page, file, jobs):
    page = open_page(file)
    event = 195  # there the curves of each cycle_mult are apart
    x, y = at(page, event, jobs[5].curves[0].values[event])
    page.mouse.move(x, y)
    page.wait_for_selector(".hoverlayer .hovertext")
    said = page.locator(".hoverlayer .hovertext").text_content()
    assert "cycle_mult=2" in said
    assert f"iteration 195: lr {jobs[5].curves[0].values[event]:.6g}" in said
    assert "job 4" in said or NASTY in said
    page.mouse.click(x, y)
    page.wait_for_selector("#rows tr.alone")
    shown_alone = int(page.locator("#rows tr.alone").get_attribute("data-job"))
    assert shown_alone in (4, 5)
    assert [i for i, opacity in enumerate(opacities(page)) if opacity == 1] == [shown_alone]
    page.click("#all")
    assert set(opacities(page)) == {1}
    page.locator("#rows tr[data-job='2'] td").nth(2).click()
    assert [i for i, opacity in enumerate(opacities(page)) if opacity == 1] == [2]
    assert page.evaluate("window.hit") is None


def test_a_browser_sorts_the_table_by_the_column_that_is_clicked(open_page, file):
    page = open_page(file)
    assert numbers(page) == [2, 5, 0, 4, 1, 3]  # the best first; what has no value comes last
    sort_by(page, "job")
    assert numbers(page) == [0, 1, 2, 3, 4, 5]
    sort_by(page, "returned value, greatest first")
    assert numbers(page) == [2, 5, 0, 4, 1, 3]
    sort_by(page, "returned value, greatest first")
    assert numbers(page) == [1, 4, 0, 5, 2, 3]
    sort_by(page, "cycle_mult")
    assert numbers(page)[:2] == [0, 1] or set(numbers(page)[:2]) == {0, 1}


def test_a_brush_on_a_key_filters_the_curves_and_the_table(open_page, file):
    page = open_page(file)
    parallel(page)
    axis = page.locator("#brushes .axis-brush .background").first.bounding_box()
    middle = axis["x"] + axis["width"] / 2
    # From the middle to the top: cycle_mult from 1.5 on, without the lower end at 1.
    page.mouse.move(middle, axis["y"] + axis["height"] * 0.4)
    page.mouse.down()
    page.mouse.move(middle, axis["y"] + axis["height"] * 0.2, steps=5)
    page.mouse.move(middle, axis["y"] - 10, steps=5)
    page.mouse.up()
    page.wait_for_selector("#rows tr.out", state="attached")
    assert numbers(page) == [5, 4]
    assert opacities(page) == [0] * 4 + [1] * 2
    page.click("#all")
    assert numbers(page) == [2, 5, 0, 4, 1, 3]
    assert opacities(page) == [1] * 6


def test_axes_change_and_a_command_is_copied(open_page, file):
    page = open_page(file)
    plot = "document.querySelector('#panels .js-plotly-plot')"
    page.click("#log")
    assert page.evaluate(f"{plot}._fullLayout.yaxis.type") == "log"
    page.click("#epochs")
    assert page.evaluate(f"Math.max(...{plot}.data.find(t => !t.faint).x.filter(x => x === x))") == (
        pytest.approx(199 / 20)
    )
    templates = page.evaluate(f"{plot}._fullData.map(t => t.hovertemplate).filter(Boolean)")
    assert ["<br>epoch %{x" in one for one in templates] == [True] * 6
    page.evaluate("navigator.clipboard.writeText = async text => { window.copied = text; }")
    page.locator("#rows tr[data-job='2'] button").click()
    assert page.evaluate("window.copied") == "python app.py scheduler.cycle_mult=1.5"


def test_a_branch_leaves_a_grey_trunk_and_groups_have_values_of_their_own(open_page, tmp_path):
    trunk, then = CosineAnnealing(start_value=1, end_value=0, cycle_size=100), Constant(value=0.5)
    declared = curve("scheduler", {**FIELDS, "relative": True}, 10, 20).declared
    branch = bound(declared, branched(trunk, 50, then))
    c = over("scheduler", branch, [], 10, 20)
    job = Shown(number=0, overrides={}, curves=[c], groups={"scheduler": {"body": 0.1, "head": 10.0}})
    page = open_page(write_page(tmp_path / "a.html", [job]))
    drawn = page.evaluate("""[...document.querySelectorAll("#panels .js-plotly-plot")].map(
        div => div.data.filter(t => !t.faint).map(t => [t.line.color, [...t.x], [...t.y], t.hovertemplate]))""")
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


def plot(page, what, panel=0):
    return page.evaluate(f"document.querySelectorAll('#panels .js-plotly-plot')[{panel}].{what}")


def rgb(color):
    """A colour as numbers."""
    if color.startswith("#"):
        return [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return [int(part) for part in re.findall(r"\d+", color)[:3]]


@pytest.mark.parametrize("scores", [[None] * 10, [0.3, None, 0.1, 0.2, 0.7]])
def test_a_job_has_one_colour_in_curves_axes_and_table(open_page, tmp_path, scores):
    jobs = [shown(i, {"scheduler.cycle_mult": f"{1 + i / 8}", "x": str(i)}, score) for i, score in enumerate(scores)]
    page = open_page(write_page(tmp_path / "a.html", jobs))
    line = parallel(page)["line"]
    for i in range(len(jobs)):
        own = page.evaluate(f"document.querySelector('#rows tr[data-job=\"{i}\"] .swatch').style.background")
        curves = plot(page, f"data.filter(t => t.job === {i}).map(t => t.line.color)")
        part = line["color"][i] / line["cmax"]
        (mine,) = {color for (a, color), (b, _) in pairwise(line["colorscale"]) if a < part < b}
        assert {tuple(rgb(one)) for one in [*curves, mine]} == {tuple(rgb(own))}
    assert len({json.dumps(color) for _, color in line["colorscale"]}) == len(jobs)


def test_failed_jobs_those_without_a_value_and_keys_that_are_not_given_are_named(open_page, tmp_path):
    overrides = [{"a": "1", "b": "x"}, {"a": "3"}, {"b": "y"}, {"a": "2", "~c": ""}]
    values = [(0.00039901, ""), (None, "failed"), (None, "none"), (0.5, "")]
    jobs = [
        Shown(number=i, overrides=o, curves=[curve("scheduler", FIELDS, 10, 20)], score=score, value=value)
        for i, (o, (score, value)) in enumerate(zip(overrides, values, strict=True))
    ]
    page = open_page(write_page(tmp_path / "a.html", jobs))
    assert column(page, "returned value") == ["0.00039901", "failed", "none", "0.5"]
    assert column(page, "~c") == ["", "", "", "deleted"]
    a, b, c, value = parallel(page)["dimensions"]

    def said(axis):  # by job what stands at its place
        ticks = dict(zip(axis["tickvals"], axis["ticktext"], strict=True))
        return [ticks[place].replace("\u200b", "") for place in axis["values"]]

    assert said(a) == ["1", "3", "not given", "2"]
    assert said(b) == ["x", "not given", "y", "not given"]
    assert said(c) == ["not given"] * 3 + ["deleted"]
    assert said(value) == ["0.00039901", "failed", "none", "0.5"]
    assert max(value["values"][1:3]) < min(value["values"][0], value["values"][3])
    drawn = [text.replace("\u200b", "") for text in page.locator("#brushes .axis text").all_text_contents()]
    assert {"failed", "none", "not given", "0.00039901"} <= set(drawn)
    assert not [text for text in drawn if "µ" in text]


def test_keys_of_two_schedulers_are_told_apart(open_page, tmp_path):
    fields = {**FIELDS, "cycle_size": 50}
    paths = ["scheduler.lr", "scheduler.momentum"]
    keys = [f"{path}.end_value" for path in paths]
    jobs = [
        Shown(
            number=i,
            overrides=dict(zip(keys, ends, strict=True)),
            curves=[curve(path, {**fields, "param_name": path[10:]}, 10, 20) for path in paths],
        )
        for i, ends in enumerate(product("12", "34"))
    ]
    page = open_page(write_page(tmp_path / "a.html", jobs))
    names = ["lr.end_value", "momentum.end_value"]
    assert [axis["label"] for axis in parallel(page)["dimensions"]] == names
    assert page.locator("#head th").all_inner_texts() == ["job", *names, "findings"]
    assert "lr.end_value=1<br>momentum.end_value=4" in plot(
        page, "data.find(t => t.job === 1 && !t.faint).hovertemplate"
    )
    assert "momentum %{y" in plot(page, "data.find(t => !t.faint).hovertemplate", panel=1)


@pytest.mark.parametrize("width", [1300, 400])
def test_the_command_can_be_copied_however_wide_the_table_is(open_page, tmp_path, width):
    keys = [f"scheduler.phases.the_{i}th_of_all.start_value_mult" for i in range(9)]
    jobs = [
        Shown(number=i, overrides=dict.fromkeys(keys, f"{i}.123456789"), command="x", notes=["it is odd " * 40])
        for i in range(3)
    ]
    html = write_page(tmp_path / "a.html", [replace(jobs[0], curves=[curve("s", FIELDS, 10, 20)]), *jobs[1:]])
    page = open_page(html, width=width)
    for left in (0, 10**4):
        page.evaluate(f"document.querySelector('.scroll').scrollLeft = {left}")
        for button in page.locator("#rows button").all():
            box = button.bounding_box()
            assert 0 <= box["x"] < box["x"] + box["width"] <= width
            above = "([x, y]) => document.elementFromPoint(x, y)?.textContent"
            button.scroll_into_view_if_needed()
            box = button.bounding_box()
            assert page.evaluate(above, [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]) == "copy"
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_command_that_is_not_known_has_no_button(open_page, jobs, tmp_path):
    page = open_page(write_page(tmp_path / "a.html", [replace(job, command="") for job in jobs]))
    assert page.locator("#rows button").count() == 0


def test_a_logarithmic_axis_ends_six_decades_below_the_greatest_value(open_page, tmp_path):
    falls = {"_target_": "cosched.ExponentialAnnealingScheduler", "end_value": 1e-28, "cycle_size": 200}
    jobs = [Shown(number=0, overrides={}, curves=[curve("s", {**FIELDS, **falls}, 10, 20)])]
    page = open_page(write_page(tmp_path / "a.html", jobs, Page(log=True)))
    assert plot(page, "_fullLayout.yaxis.range")[0] == pytest.approx(-7)
    page.click("#log")
    assert plot(page, "_fullLayout.yaxis.range")[0] <= 0


def test_a_restart_is_a_faint_line_of_the_job(open_page, file, jobs):
    page = open_page(file)
    c = jobs[0].curves[0]
    faint = plot(page, "data.filter(t => t.job === 0 && t.faint).map(t => [[...t.x], [...t.y], t.opacity])")
    ((x, y, opacity),) = faint
    restarts = c.schedule.restarts(c.num_events)
    assert x[::3] == x[1::3] == restarts.tolist()
    assert y[::3] == pytest.approx(c.values[restarts - 1].tolist())
    assert y[1::3] == pytest.approx(c.values[restarts].tolist())
    assert 0 < opacity < 0.5


def test_a_click_calculates_no_curve_anew(open_page, file):
    page = open_page(file)
    before = "document.querySelector('#panels .js-plotly-plot').calcdata"
    page.evaluate(f"window.before = {before}")
    page.locator("#rows tr td").nth(2).click()
    assert len(page.locator("#rows tr.alone").all()) == 1
    assert page.evaluate(f"window.before === {before}")


def commands(file):
    return [job["command"] for job in read(file)[1]["jobs"]]


@pytest.fixture
def ours(monkeypatch):
    """Runs our own command."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["/bin/cosched", *arguments])
        with pytest.raises(SystemExit):
            main(list(arguments))

    return run


def test_a_job_is_run_by_its_own_program_whoever_writes_the_page(app, folder, ours, sketched):
    sweep = ["hydra/callbacks=schedule_report", "do=score,fail", "seed=1"]
    other = "--config-name=config"
    typed = [f"python app.py --config-name=config do={do} seed=1" for do in ("score", "fail")]
    app(*sweep, "hydra/launcher=preview", "previewed=True", other).check()
    assert commands(folder / "out/schedules.html") == [f"{one} previewed=True" for one in typed]
    app(*sweep, other)
    assert commands(folder / "out/sweep.html") == typed
    (folder / "out/sweep.html").unlink()
    ours("report", "out", "--maximize")
    _, data = read(folder / "out/sweep.html")
    assert [job["command"] for job in data["jobs"]] == typed
    assert [(job["rank"], job["value"]) for job in data["jobs"]] == [
        (1, f"{data['jobs'][0]['score']:.6g}"),
        (None, "failed"),
    ]


def test_what_is_no_job_of_an_app_has_no_command(folder, monkeypatch, ours, sketched, hydra_restore_singletons):
    monkeypatch.chdir(folder)
    ours("preview", "scheduler=wsd,sgdr", "--output", "out")
    assert commands(folder / "out/schedules.html") == ["", ""]


def test_the_processes_of_jobs_know_the_program_of_the_sweep(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["app.py", "-m"])
    pickled = pickle.dumps(ScheduleReport(maximize=True))
    monkeypatch.setattr(sys, "argv", ["/lib/site-packages/submitit/core/_submit.py", "folder"])
    there = pickle.loads(pickled)
    assert (there.program, there.maximize) == (["python", "app.py"], True)
