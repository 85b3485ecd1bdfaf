"""Chromium, driven by playwright, loads a page that fetches from the witness, and writes a HAR."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from browser import HOW_TO_INSTALL, find_browser

from recorders.truth import RETRY_COUNT, Run, write_truth
from recorders.witness import Witness

_PAGE = "<!doctype html><title>fetches</title>"
_FETCHES = """async ([count, wait, header]) => {
  const one = async () => {
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), wait);
    try {
      await fetch("/v1/chat/completions?key=planted-secret", {
        method: "POST", signal: patience.signal, headers: {"content-type": "application/json", [header]: "0"},
        body: JSON.stringify({max_tokens: 3, prompt: "planted prompt"}),
      });
    } catch (error) {}
    clearTimeout(timer);
  };
  await Promise.all(Array.from({length: count}, one));
}"""


def run(log: Path, *, rounds: int = 4) -> Run:
    """Rounds of four fetches before, during and after an outage; then two at a port where nothing listens."""
    from playwright.sync_api import sync_playwright

    program = find_browser()
    if program is None:
        raise RuntimeError(f"no Chromium: {HOW_TO_INSTALL}")
    result = Run(log, timeout=0.4)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = chromium.new_context(record_har_path=log, record_har_content="omit")
        page = context.new_page()
        # no answer of the witness may be a page, and the fetches must come from its own address
        page.route("**/page.html", lambda route: route.fulfill(body=_PAGE, content_type="text/html"))
        with Witness(slots=2, queue_limit=1) as witness:
            page.goto(f"{witness.url}/page.html")
            for slots, count in ((2, rounds), (0, 2), (2, rounds)):
                witness.set_slots(slots)
                time.sleep(0.05)
                for _ in range(count):
                    page.evaluate(_FETCHES, [4, round(result.timeout * 1_000), RETRY_COUNT])
            time.sleep(0.2)  # what was given up is still being served
            result.seen = list(witness.seen)
        page.evaluate(_FETCHES, [2, 2_000, RETRY_COUNT])
        result.refused = 2
        context.close()
        chromium.close()
    return result


def without_machine(har: dict[str, Any]) -> dict[str, Any]:
    """The HAR without what tells of this machine or fills the file: programs, cookies and the headers that all send."""
    for entry in har["log"]["entries"]:
        entry["request"]["headers"] = [{"name": "authorization", "value": "Bearer planted-token"}]
        kept = [header for header in entry["response"]["headers"] if header["name"].lower() == "retry-after"]
        entry["response"]["headers"] = kept
        entry.pop("_securityDetails", None)
    return har


def record(folder: Path) -> None:
    made = run(folder / "har.har")
    har = without_machine(json.loads(made.log.read_text()))
    made.log.write_text(json.dumps(har, separators=(",", ":")) + "\n")
    write_truth(folder / "har.truth.csv", made.seen, "attempt")
