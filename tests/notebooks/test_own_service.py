"""What notebook 11 tells readers to put into their own service, records it."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from course import NOTEBOOKS

from breakerlab.trace import read_trace

SNIPPET = re.compile(r"```python\n(import httpx\n.*?)```", re.DOTALL)


def snippet() -> str:
    cells = json.loads((NOTEBOOKS / "11_the_real_server.ipynb").read_text(encoding="utf-8"))["cells"]
    [found] = SNIPPET.findall("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"))
    return found


def test_the_snippet_records_answers_timeouts_and_whatever_else_ends_a_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def post(url: str, **options: object) -> object:
        if url in ("slow", "gone"):
            raise {"slow": httpx.ReadTimeout, "gone": httpx.ConnectError}[url](url)
        return SimpleNamespace(is_success=url == "up", status_code=200 if url == "up" else 503)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(httpx, "post", post)
    service: dict[str, object] = {}
    exec(snippet(), service)
    for number, url in enumerate(("up", "full", "slow", "gone")):
        try:
            service["ask"](number, 1, url, {})
        except httpx.TransportError:
            continue
    service["recorder"].close()
    attempts = read_trace("my_service.jsonl").attempts
    assert attempts["outcome"].tolist() == ["ok", "error", "timeout", "connection"]
    assert attempts["status"].fillna(0).tolist() == [200, 503, 0, 0]
