"""JupyterLab as `make lab` starts it, with a headless Chromium in front of it, for tests and screenshots.

    with lab_page(folder) as lab:
        lab.open("notebooks/00_start_here.ipynb")
        lab.run_all()
        lab.press_on_slider(lab.sliders()[0], "ArrowRight")

Settings, workspaces, kernels and the browser's profile live in a temporary folder. Every process that was started is
ended.
"""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from browser import find_or_install
from open_lab import lab_command
from playwright.sync_api import ConsoleMessage, Locator, Page, Request, TimeoutError, sync_playwright

SOCKET_WATCH = Path(__file__).resolve().parent / "socket_watch"
LAPTOP = (1280, 800)
# The sandbox does not start as root or in most containers; the browser opens nothing but our own pages on loopback.
BROWSER_ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
KERNEL = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
MARKS = ".plot path, .barlayer path, .scatterlayer path, .heatmaplayer image, [data-row] path"
DRAWN = f"""() => JSON.stringify([...document.querySelectorAll('.js-plotly-plot, .breakerlab-lines')].map(plot =>
    [...plot.querySelectorAll('{MARKS}')]
        .map(mark => (mark.getAttribute('d') || mark.getAttribute('href')) + mark.getAttribute('transform'))))"""


# What stands beside a slider: the marks of its panel's charts, or where there is no chart the text and the tables.
SHOWN = f"""handle => {{
    const panel = handle.closest('.jp-OutputArea-child');
    const marks = [...panel.querySelectorAll('.js-plotly-plot, .breakerlab-lines')]
        .map(plot => [...plot.querySelectorAll('{MARKS}')]
            .map(mark => (mark.getAttribute('d') || mark.getAttribute('href')) + mark.getAttribute('transform')));
    if (marks.length) return JSON.stringify(marks);
    const text = panel.cloneNode(true);
    text.querySelectorAll('.widget-slider').forEach(slider => slider.remove());
    return text.textContent;
}}"""
# Messages of widgets that the kernel has not dealt with yet.
WATCH_WIDGETS = f"""() => {{
    const unanswered = window.unanswered = new Set();
    {KERNEL}.anyMessage.connect((kernel, {{msg, direction}}) => {{
        if (direction === 'send' && msg.header.msg_type === 'comm_msg') unanswered.add(msg.header.msg_id);
        if (direction === 'recv' && msg.content.execution_state === 'idle') unanswered.delete(msg.parent_header.msg_id);
    }});
}}"""


class LabPage:
    """One JupyterLab in one browser page; `errors` holds what the page complained about since `open`."""

    def __init__(self, page: Page, base: str, token: str, socket_notes: Path) -> None:
        self.page = page
        self.errors: list[str] = []
        self._base = base
        self._token = token
        self._socket_notes = socket_notes
        self._requests: list[str] = []
        page.context.on("request", self._note_request)
        page.context.on("console", self._note_console)
        page.context.on("weberror", lambda error: self.errors.append(str(error.error)[:500]))
        page.on("websocket", lambda websocket: self._note_address(websocket.url))

    def _note_request(self, request: Request) -> None:
        self._note_address(request.url)

    def _note_address(self, url: str) -> None:
        at_home = (f"{self._base}/", f"{self._base.replace('http', 'ws', 1)}/", "data:", "blob:", "about:")
        if not url.startswith(at_home):
            self._requests.append(url)

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text[:500]} ({message.location.get('url', '')})")

    @property
    def outside(self) -> list[str]:
        """Addresses beyond loopback that the page, the server or a kernel asked for since `open`."""
        notes = self._socket_notes.read_text().splitlines() if self._socket_notes.exists() else []
        return self._requests + notes

    def open(self, notebook: str, timeout: float = 60) -> None:
        """End earlier kernels, open a notebook (path below the served folder), wait for its kernel."""
        self.page.evaluate("() => window.jupyterapp?.serviceManager.sessions.shutdownAll()")
        self.errors.clear()
        self._requests.clear()
        self._socket_notes.unlink(missing_ok=True)
        self.page.goto(f"{self._base}/lab/tree/{notebook}?reset&token={self._token}")
        self.page.wait_for_selector(".jp-Notebook", timeout=timeout * 1000)
        self._wait(f"{KERNEL}?.status === 'idle'", timeout)
        self.page.evaluate(WATCH_WIDGETS)

    def clear_outputs(self) -> None:
        """Take away what was stored, so that what is seen afterwards was made afterwards."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")

    def run_all(self, timeout: float = 120) -> None:
        """Run all cells and wait until the kernel is idle; a cell that fails stops the run."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.wait_until_idle(timeout)
        # What a widget sends while a cell awaits something, the kernel answers in the name of that cell.
        self.page.evaluate("() => window.unanswered?.clear()")

    def wait_until_idle(self, timeout: float = 30) -> None:
        self._wait(f"{KERNEL}?.status === 'idle' && !document.querySelector('.jp-InputPrompt[data-busy]')", timeout)

    def _wait(self, condition: str, timeout: float) -> None:
        self.page.wait_for_function(f"() => {condition}", timeout=timeout * 1000)

    def cells(self) -> list[dict[str, Any]]:
        """The notebook's cells as they would be saved now."""
        model = "window.jupyterapp.shell.currentWidget.content.model.toJSON().cells"
        return self.page.evaluate(f"() => JSON.parse(JSON.stringify({model}))")

    def drawn(self) -> str:
        """The shapes that are drawn (SVG paths of all charts): equal strings, equal pictures of the data."""
        return self.page.evaluate(DRAWN)

    def wait_until_redrawn(self, before: str, timeout: float = 15) -> str:
        """Wait until the drawn data differ from `before` and have come to rest; what is drawn then."""
        try:
            self.page.wait_for_function(f"before => ({DRAWN})() !== before", arg=before, timeout=timeout * 1000)
        except TimeoutError:
            raise AssertionError(f"the charts did not change within {timeout:.0f} s") from None
        self.wait_until_idle()
        latest, previous = self.drawn(), before
        while latest != previous:
            self.page.wait_for_timeout(200)
            latest, previous = self.drawn(), latest
        return latest

    def shown_beside(self, slider: Locator) -> str:
        """What the panel of a slider shows now: the shapes of its charts, or its text and tables if it has none."""
        return slider.evaluate(SHOWN)

    def wait_until_answered(self, timeout: float = 30) -> None:
        """Wait until the kernel has dealt with every change of a widget."""
        self._wait("!window.unanswered.size", timeout)

    def popups(self) -> list[str]:
        """The text of every notice or dialog that stands in the reader's way."""
        return self.page.locator(".Toastify__toast, .jp-Dialog").all_inner_texts()

    def sliders(self) -> list[Locator]:
        """The handles of all sliders, in the notebook's order."""
        return self.page.locator(".jupyter-widgets .noUi-handle").all()

    def press_on_slider(self, handle: Locator, *keys: str) -> None:
        handle.scroll_into_view_if_needed()
        handle.focus()
        for key in keys:
            self.page.keyboard.press(key)

    def drag_slider(self, handle: Locator, to: float, steps: int = 20) -> None:
        """Drag by mouse to a place on the track, 0 (left end) to 1 (right end)."""
        handle.scroll_into_view_if_needed()
        knob = handle.bounding_box()
        track = handle.locator("xpath=ancestor::*[contains(@class, 'noUi-base')]").bounding_box()
        assert knob and track, "the slider is not visible"
        height = knob["y"] + knob["height"] / 2
        self.page.mouse.move(knob["x"] + knob["width"] / 2, height)
        self.page.mouse.down()
        self.page.mouse.move(track["x"] + track["width"] * to, height, steps=steps)
        self.page.mouse.up()


@contextlib.contextmanager
def lab_page(root: Path, viewport: tuple[int, int] = LAPTOP) -> Iterator[LabPage]:
    """Serve `root` with JupyterLab and show it in Chromium (`viewport`: width and height, px)."""
    with tempfile.TemporaryDirectory(prefix="breakerlab-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        with _server(root, home) as (base, token), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_or_install(), args=BROWSER_ARGUMENTS)
            try:
                page = browser.new_page(viewport={"width": viewport[0], "height": viewport[1]})
                yield LabPage(page, base, token, home / "socket-notes")
            finally:
                browser.close()


@contextlib.contextmanager
def _server(root: Path, home: Path) -> Iterator[tuple[str, str]]:
    port, token, log = _free_port(), secrets.token_hex(12), home / "server.log"
    command = lab_command(
        [
            *("--no-browser", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
            *(f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True"),
        ],
        root=root,
    )
    base = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        server = subprocess.Popen(command, env=_environment(home), **streams)
    try:
        _wait_for_server(server, f"{base}/api/status?token={token}", log)
        yield base, token
    except BaseException:
        print(f"--- the end of JupyterLab's log ---\n{log.read_text()[-4000:]}")
        raise
    finally:
        _end(server)


def _environment(home: Path) -> dict[str, str]:
    places = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
        "BREAKERLAB_SOCKET_NOTES": "socket-notes",
    }
    python_path = os.pathsep.join(filter(None, [str(SOCKET_WATCH), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **{name: str(home / place) for name, place in places.items()}, "PYTHONPATH": python_path}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _wait_for_server(server: subprocess.Popen, url: str, log: Path, timeout: float = 60) -> None:
    give_up = time.monotonic() + timeout
    while time.monotonic() < give_up:
        if server.poll() is not None:
            raise RuntimeError(f"JupyterLab ended at once with exit code {server.returncode}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not answer within {timeout:.0f} s; its log is {json.dumps(log.name)}")


def _end(server: subprocess.Popen) -> None:
    """End the server and every kernel it started, each by its own process id."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(15)
        _, alive = psutil.wait_procs(family, timeout=5)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    server.kill()
    server.wait()
