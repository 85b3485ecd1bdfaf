"""`make app`: the explorer as a page of its own is seen, works, and asks nothing of other hosts."""

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import find_or_install
from lab_page import BROWSER_ARGUMENTS, DRAWN, LAPTOP
from open_app import app_command, environment
from playwright.sync_api import sync_playwright


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    with (tmp_path / "log").open("w") as log:
        command = app_command(["--no-browser", f"--port={port}"])
        server = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)
    try:
        wait_for(f"{address}voila/static/none", server)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def wait_for(address: str, server: subprocess.Popen) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(address, timeout=2)
        except urllib.error.HTTPError:  # it answers
            return
        except OSError:
            assert server.poll() is None, "voila ended at once"
            time.sleep(0.2)
    raise AssertionError("voila does not answer")


def test_the_app_is_seen_and_works_and_asks_nothing_of_other_hosts(address: str) -> None:
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_or_install(), args=BROWSER_ARGUMENTS)
        page = browser.new_page(viewport={"width": LAPTOP[0], "height": LAPTOP[1]})
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address, timeout=120_000)
        page.wait_for_selector(".breakerlab-explorer .noUi-handle[aria-description]", timeout=120_000)
        before = page.evaluate(DRAWN)
        page.get_by_role("slider", name="In a row").click()  # only what is seen can be clicked
        page.keyboard.press("Home")
        page.wait_for_function(f"before => ({DRAWN})() !== before", arg=before)
        browser.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
