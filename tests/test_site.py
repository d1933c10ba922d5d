"""The site as `make docs` builds it: every link leads somewhere, nothing is fetched, and a browser has no complaint."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from helpers import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("site")]

FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}  # as a page is shown
LOOKS = [(width, scheme) for width in (400, 1400) for scheme in ("light", "dark")]
QUESTIONS = {  # what a newcomer asks, and words of the answer
    "how do I warm up for 5 epochs": "duration: 5ep",
    "what does relative do": "relative: true",
    "how do I schedule weight decay": "weight_decay",
    "what is written into a run's folder": "history.csv",
    "how do I decay from a checkpoint": "on_mismatch: branch",
    "which preset is the Chinchilla cosine": "chinchilla",
    "how do I use it without ignite": "TorchScheduler",
    "what happens if I change cycle_mult and resume": "on_mismatch",
    "what units exist": "2Btok",
    "how do I add my own shape": "cosched.register",
}


class Page(HTMLParser):
    """What a page refers to, what it can be referred to by, and its text."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.text = ""
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if given.get(FETCHED.get(tag)) and given.get("rel") not in ("canonical", "next", "prev"):
            self.fetched.append(given[FETCHED[tag]])

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-b", "html"]
    built = subprocess.run([*command, ROOT / "docs", folder], capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """Its pages, by their paths."""
    return {file.relative_to(site).as_posix(): Page(file) for file in sorted(site.rglob("*.html"))}


def target(site, name, link):
    """The file that a link of a page leads to, and the place there; nothing where it leads elsewhere."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    file = (site / name).parent / unquote(parts.path) if parts.path else site / name
    return os.path.relpath(file, site), unquote(parts.fragment)


def test_every_link_leads_to_a_page_and_a_place_there(site, pages):
    broken = []
    for name, page in pages.items():
        for link in [*page.links, *page.fetched]:
            if (found := target(site, name, link)) is None:
                continue
            file, place = found
            if not (site / file).is_file() or (place and file in pages and place not in pages[file].ids):
                broken.append(f"{name}: {link}")
    assert broken == []


def test_nothing_is_fetched_from_elsewhere(site, pages):
    assert [(name, one) for name, page in pages.items() for one in page.fetched if urlsplit(one).netloc] == []
    sheets = [file.read_text(encoding="utf-8") for file in site.rglob("*.css")]
    assert [one for text in sheets for one in re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^)]*", text)] == []


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_newcomers_question_is_answered_on_a_page_that_the_front_page_leads_to(question, site, pages):
    reached = {target(site, "index.html", link) for link in pages["index.html"].links} - {None}
    assert any(QUESTIONS[question] in pages[file].text for file, _ in reached if file in pages)


def test_the_search_finds_the_pages(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert all(f'"{name}"' in index for name in ("gallery", "reference/config", "reference/python"))


def test_a_browser_shows_each_page_without_a_complaint_or_an_overflow(site, pages):
    from playwright import sync_api

    chromium = shutil.which("chromium")
    assert chromium, "the tests of pages need Debian's chromium: apt-get install chromium"
    complaints = []
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        for width, scheme in LOOKS:
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page = context.new_page()
            page.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("requestfailed", lambda request: complaints.append(request.url))
            page.on(
                "request", lambda one: None if one.url.startswith(("file:", "data:")) else complaints.append(one.url)
            )
            for name in pages:
                page.goto((site / name).as_uri())
                over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                complaints.extend([f"{name} is {over} px too wide at {width} px"] * (over > 0))
            context.close()
        browser.close()
    assert complaints == []
