"""Chromium opens the reports: nothing sideways on a phone, nothing loaded, nothing on the console, every colour readable."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from licenses import report
from tests.licenses.reports import every

QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"),
    *("--no-first-run", "--disable-component-update", "--hide-scrollbars", "--enable-logging=stderr", "--v=0"),
    "--virtual-time-budget=4000",
)
WIDTHS = (320, 360, 700, 1280)
FAULTY = """<!doctype html><body style="margin:0;background:#fff"><p style="color:#999;width:900px">pale and wide</p>
<a href="#nowhere">x</a>
<div style="width:50px;overflow:hidden;white-space:nowrap"><b>much too long for this place</b></div>
<img src="stolen.png"><script>console.error("said")</script>"""
LOOK = """
const shade = text => {
  const [r, g, b, a] = [...text.matchAll(/[\\d.]+/g)].map(Number);
  return a === 0 ? null : [r, g, b].map(one => one / 255).map(one => one <= .03928 ? one / 12.92 : ((one + .055) / 1.055) ** 2.4)
    .reduce((sum, one, place) => sum + one * [.2126, .7152, .0722][place], 0);
};
const behind = (view, node) => {
  if (node.closest("svg")) {
    const shape = node.closest("g").querySelector(node.classList.contains("sign") ? "circle" : "rect");
    return shade(view.getComputedStyle(shape).fill);
  }
  for (let one = node; one; one = one.parentElement) {
    const found = shade(view.getComputedStyle(one).backgroundColor);
    if (found !== null) return found;
  }
  return 1;
};
const look = frame => {
  const view = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
  page.querySelectorAll("details").forEach(one => { one.open = true; });
  const all = [...page.body.querySelectorAll("*")].filter(one => !["STYLE", "TITLE", "title", "style"].includes(one.tagName));
  const told = all.filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  const contrasts = told.map(one => {
    const style = view.getComputedStyle(one), back = behind(view, one);
    const front = shade(one.closest("svg") ? style.fill : style.color);
    return (Math.max(front, back) + .05) / (Math.min(front, back) + .05);
  });
  const boxes = all.filter(one => !one.parentElement.closest("svg"));
  const links = [...page.querySelectorAll("a")].map(one => one.getAttribute("href"));
  return {
    name: frame.name, width: root.clientWidth, scroll: root.scrollWidth, contrast: Math.min(...contrasts), told: told.length,
    sticking: boxes.filter(one => one.getBoundingClientRect().right > root.clientWidth + 1).length,
    cut: boxes.filter(one => view.getComputedStyle(one).overflowX === "hidden" && one.scrollWidth > one.clientWidth + 1).length,
    lost: links.filter(one => !one.startsWith("#") || !page.getElementById(one.slice(1))), links: links.length,
    loaded: view.performance.getEntriesByType("resource").length, paper: view.getComputedStyle(page.body).backgroundColor,
  };
};
addEventListener("load", () => {
  document.getElementById("seen").textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(look));
});
"""


class Recording(SimpleHTTPRequestHandler):
    """Serves a folder, and remembers every path that was asked for."""

    def __init__(self, *arguments: Any, asked: list[str], **options: Any) -> None:
        self.asked = asked
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, list[str]]]:
    """Every report on loopback, a frame page that looks into all of them at every width, and what was asked for."""
    folder = tmp_path_factory.mktemp("reports")
    with every(tmp_path_factory.mktemp("verdicts")) as verdicts:
        pages = {name: report.html(verdict) for name, verdict in verdicts.items()}
    for name, page in (pages | {"faulty": FAULTY}).items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    (folder / "frame.html").write_text(frame([(name, width) for name in pages for width in WIDTHS]))
    (folder / "frame-faulty.html").write_text(frame([("faulty", 360)]))
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Recording, directory=str(folder), asked=asked))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", folder, asked
    server.shutdown()
    thread.join(10)
    server.server_close()


def frame(shown: list[tuple[str, int]]) -> str:
    frames = "".join(f'<iframe name="{name}" src="{name}.html" width="{width}" height="800"></iframe>' for name, width in shown)
    head = "<!doctype html><title>frame</title><link rel=icon href='data:,'><style>iframe{border:0}</style>"
    return f"{head}{frames}<pre id=seen></pre><script>{LOOK}</script>"


def looked(address: str, folder: Path, *options: str) -> tuple[list[dict[str, Any]], list[str]]:
    """What the frame page saw in each report, and the lines of the console."""
    page, console = browsed(address, folder, *options)
    found = re.search(r"<pre id=.?seen.?>(.+?)</pre>", page, re.S)
    assert found, page[-500:]
    return json.loads(unescape(found[1])), console


def browsed(address: str, folder: Path, *options: str) -> tuple[str, list[str]]:
    """A page as the browser has it after loading, and the lines of the console."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.fail("no Chromium on this machine; run: apt-get install chromium")
    command = [browser, *QUIET, f"--user-data-dir={folder}", *options, "--dump-dom", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_reports_are_readable_at_every_width_and_load_nothing(
    site: tuple[str, Path, list[str]], tmp_path: Path, scheme: int
) -> None:
    address, _, asked = site
    asked.clear()
    seen, console = looked(f"{address}/frame.html", tmp_path, f"--blink-settings=preferredColorScheme={scheme}")
    assert len(seen) == 5 * len(WIDTHS)
    for one in seen:
        assert (one["scroll"], one["sticking"], one["cut"]) == (one["width"], 0, 0), one
        assert one["contrast"] >= 4.5, one
        assert one["told"] > 30, one
        assert one["lost"] == [], one
        assert one["links"] >= 4, one
        assert one["loaded"] == 0, one
    assert {one["paper"] for one in seen} == {"rgb(20, 21, 23)" if scheme == 0 else "rgb(255, 255, 255)"}
    assert {one["width"] for one in seen} == set(WIDTHS)
    assert console == []
    assert set(asked) == {"/frame.html", *(f"/{one['name']}.html" for one in seen)}


def test_a_report_opened_by_itself_asks_for_nothing_else(site: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, _, asked = site
    asked.clear()
    page, console = browsed(f"{address}/hostile.html", tmp_path)
    assert "Not legal advice" in page
    assert asked == ["/hostile.html"]
    assert console == []


def test_the_same_look_finds_the_faults_of_a_faulty_page(site: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, _, asked = site
    asked.clear()
    (seen,), console = looked(f"{address}/frame-faulty.html", tmp_path, "--blink-settings=preferredColorScheme=1")
    assert seen["scroll"] > seen["width"]
    assert seen["sticking"] >= 1
    assert seen["cut"] == 1
    assert seen["contrast"] < 4.5
    assert seen["lost"] == ["#nowhere"]
    assert "/stolen.png" in asked
    assert len(console) >= 1
