"""A browser opens the page: no console message, no sideways scroll on a phone, tabs that answer, dark and light that differ."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"),
    *("--no-first-run", "--disable-component-update", "--hide-scrollbars", "--enable-logging=stderr", "--v=0"),
    "--virtual-time-budget=3000",
)
FRAME = """<!doctype html><title>frame</title><style>iframe {{ border: 0 }}</style>
<iframe id="f" src="index.html" width="{width}" height="800"></iframe>
<pre id="seen"></pre><script>
document.getElementById("f").addEventListener("load", event => {{
  const page = event.target.contentDocument, root = page.documentElement, shown = [];
  for (const input of page.querySelectorAll(".tabs input")) {{
    input.click();
    shown.push([...page.querySelectorAll(".tabs pre")].filter(pre => pre.offsetHeight > 0).length);
  }}
  const images = [...page.images], broken = images.filter(image => image.loading !== "lazy" && image.naturalWidth === 0);
  const sizes = `width=${{root.clientWidth}} scroll=${{root.scrollWidth}}`;
  document.getElementById("seen").textContent =
    `${{sizes}} tabs=${{shown.join("")}} broken=${{broken.length}} images=${{images.length}}`;
}});
</script>"""


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def address(draft: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page on loopback, and beside it one frame a width that looks into it."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(draft / "index.html", folder)
    for width in (320, 390, 768, 1280):
        (folder / f"frame-{width}.html").write_text(FRAME.format(width=width))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join(10)
    server.server_close()


def browsed(url: str, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.fail("no Chromium on this machine; run: apt-get install chromium")
    command = [browser, *QUIET, f"--user-data-dir={profile}", *options, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_sticks_out_sideways(address: str, tmp_path: Path, width: int) -> None:
    seen = browsed(f"{address}/frame-{width}.html", tmp_path, "--dump-dom")
    found = re.search(r"width=(\d+) scroll=(\d+) tabs=(\d+) broken=(\d+) images=(\d+)", seen.stdout)
    assert found, seen.stdout[-500:]
    inner, scroll, tabs, broken, images = found.groups()
    assert (inner, scroll) == (str(width), str(width))
    assert tabs == "111"  # each tab shows one snippet
    assert (broken, images) == ("0", "36")  # the mosaic, twelve pairs with four real pictures, four strengths


def test_console_is_silent(address: str, tmp_path: Path) -> None:
    seen = browsed(f"{address}/index.html", tmp_path, "--dump-dom")
    assert "Soft Clay Icons" in seen.stdout
    assert [line for line in seen.stderr.splitlines() if "CONSOLE" in line] == []


def test_dark_and_light_follow_the_reader(address: str, tmp_path: Path) -> None:
    corners = []
    for scheme in (0, 1):  # Blink's preferredColorScheme: dark, light
        file = tmp_path / f"{scheme}.png"
        options = ("--window-size=1280,900", f"--screenshot={file}", f"--blink-settings=preferredColorScheme={scheme}")
        browsed(f"{address}/index.html", tmp_path / str(scheme), *options)
        with Image.open(file) as picture:
            corners.append(sum(picture.convert("RGB").getpixel((5, 400))))  # type: ignore[arg-type]
    dark, light = corners
    assert dark < 120
    assert light > 700
