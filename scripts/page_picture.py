"""Make docs/page.png, a screenshot of the web page with a review: python scripts/page_picture.py

It needs chromium, fonts for Chinese, and playwright.
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
    "The first half drags and the jokes fall flat. But the second half is wonderful: the actors are superb, the music "
    "is beautiful, and I loved the ending."
)


def main() -> None:
    """Serve the bundled model, enter the text, and take the screenshot."""
    command = [sys.executable, "-m", "fastlstm", "serve", "--port", "0"]
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
        assert server.stderr is not None
        address = server.stderr.readline().split()[-1]
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(locale="en-US", viewport={"width": 760, "height": 900}).new_page()
        for _ in range(100):
            try:
                page.goto(address)
                break
            except Exception:  # noqa: BLE001 -- not ready yet
                page.wait_for_timeout(100)
        page.fill("#text", TEXT)
        page.click(".result summary")
        page.wait_for_selector(".gates[aria-label]")
        page.screenshot(path=ROOT / "docs" / "page.png", full_page=True)
        browser.close()
        server.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
