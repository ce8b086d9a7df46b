"""Make the pictures of docs/images: run the code of docs/gallery.md there, and shrink them.

    python docs/pictures.py [--browser chromium]

The page and its pictures cannot disagree, since its blocks are what draws them. With a browser,
the report is photographed as well, on a desk and on a phone.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image  # matplotlib brings it

DOCS = Path(__file__).resolve().parent
IMAGES = DOCS / "images"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COLOURS = 128
_SHOTS = {"report.png": (1000, 1250), "report_phone.png": (390, 1250)}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    parser.add_argument("--browser", help="a Chromium, to photograph the report")
    browser = parser.parse_args().browser
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _inside(folder), contextlib.redirect_stdout(io.StringIO()):
            run_page(DOCS / "gallery.md")
        for picture in sorted(folder.glob("*.png")):
            shrink(picture, IMAGES / picture.name)
        if browser:
            for shot, size in _SHOTS.items():
                photograph(browser, folder / "report.html", folder / shot, size)
                shrink(folder / shot, IMAGES / shot)


class _Plain(argparse.RawDescriptionHelpFormatter):
    """The docstring as it is written."""


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run_page(page: Path) -> None:
    """Run the Python blocks of a page, in order, in one namespace."""
    namespace: dict[str, object] = {"__name__": "page"}
    for code in _BLOCK.findall(page.read_text(encoding="utf-8")):
        exec(compile(code, str(page), "exec"), namespace)


def shrink(source: Path, target: Path) -> None:
    """The picture with few colours, which these pictures have anyway."""
    with Image.open(source) as picture:
        few = picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
        few.save(target, optimize=True)
    print(f"{target.name}: {target.stat().st_size / 1024:.0f} kB")


def photograph(browser: str, page: Path, target: Path, size: tuple[int, int]) -> None:
    """A screenshot of a page."""
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *("--no-first-run", "--disable-background-networking", "--disable-sync"),
                *("--disable-component-update", "--disable-quic", f"--user-data-dir={profile}"),
                *(f"--window-size={size[0]},{size[1]}", f"--screenshot={target}", page.as_uri()),
            ],
            check=True,
            capture_output=True,
        )


if __name__ == "__main__":
    main()
