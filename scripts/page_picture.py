"""docs/page.png: the server's page with a review in it, as the README shows it. Needs chromium and playwright.

python scripts/page_picture.py
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
TEXT = (
    "The first hour drags, and I was ready to leave. But the second is not bad at all: the actors are superb, and "
    "the ending is one that I will not forget. I really enjoyed it."
)


def main() -> None:
    """Serves the bundled model, types, and takes the picture."""
    command = [sys.executable, "-m", "fastlstm", "serve", "--port", "0"]
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        assert server.stderr is not None
        address = server.stderr.readline().split()[-1]
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(locale="en-US", viewport={"width": 760, "height": 1180}).new_page()
        for _ in range(100):
            try:
                page.goto(address)
                break
            except Exception:  # noqa: BLE001 -- not ready yet
                page.wait_for_timeout(100)
        page.fill("#text", TEXT)
        page.click(".answer summary")
        page.wait_for_selector(".gates[aria-label]")
        page.screenshot(path=ROOT / "docs" / "page.png")
        browser.close()
        server.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
