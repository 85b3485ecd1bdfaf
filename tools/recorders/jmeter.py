"""JMeter (Debian's package `jmeter`) calling the witness: one test plan, written as CSV and as XML.

It takes a JDK and half a minute, so tests read what `record` wrote once into data/formats.

Debian's JMeter 2.13 cannot load a plan with Debian's XStream, which has learnt to refuse classes that nobody allowed
(ForbiddenClassException). A few lines of Java allow them and start the same JMeter.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from xml.sax.saxutils import escape

from recorders.ports import free_port
from recorders.truth import write_truth
from recorders.witness import Seen, Witness

PACKAGE = "jmeter"
CALLERS = 6
CALLS = 29
PATIENCE_MS = 400
OUTAGES = ((1.0, 0.8), (2.5, 0.8))
"""Seconds after the first call seen, and how long no slot is free."""

_HOME = Path("/usr/share/jmeter")
_STARTER = """
import com.thoughtworks.xstream.XStream;
import java.lang.reflect.Field;
import org.apache.jmeter.JMeter;
import org.apache.jmeter.save.SaveService;
import org.apache.jmeter.util.JMeterUtils;

public class Start {
    public static void main(String[] args) throws Exception {
        String home = System.getProperty("jmeter.home");
        JMeterUtils.setJMeterHome(home);
        JMeterUtils.loadJMeterProperties(home + "/bin/jmeter.properties");
        for (Field field : SaveService.class.getDeclaredFields()) {
            if (XStream.class.isAssignableFrom(field.getType())) {
                field.setAccessible(true);
                ((XStream) field.get(null)).allowTypesByWildcard(new String[] {"org.apache.**", "java.**"});
            }
        }
        new JMeter().start(args);
    }
}
"""
_BODY = '{"max_tokens": 5}'
_SAVED = ("url", "hostname", "idle_time", "sample_count", "print_field_names", "assertion_results_failure_message")
_COMMON = {"sampleresult.timestamp.start": "true", "language": "en", "jmeterengine.nongui.port": "0"}
_CSV = {"output_format": "csv", "assertion_results": "none", "thread_counts": "true"}
_XML = {"output_format": "xml", "assertion_results": "all", "response_data": "false"}


def run(folder: Path, kind: str = "csv") -> tuple[Path, list[Seen]]:
    """The result file that JMeter wrote into `folder`, and what the witness saw. `kind`: "csv" or "xml"."""
    java = shutil.which("java")
    if java is None or not _HOME.exists():
        raise RuntimeError(f"JMeter or Java is not installed: apt-get install {PACKAGE} default-jdk-headless")
    starter = folder / "Start.java"
    starter.write_text(_STARTER, encoding="utf-8")
    jars = ":".join(str(_HOME / place) for place in ("bin/ApacheJMeter.jar", "lib/ext/*", "lib/*"))
    log = folder / ("jmeter.csv" if kind == "csv" else "jmeter_xml.xml")
    with Witness(slots=3, queue_limit=4, first_token=0.03) as witness:
        plan = folder / "plan.jmx"
        plan.write_text(_plan(witness.port, free_port()), encoding="utf-8")
        outages = threading.Thread(target=_outages, args=(witness,), daemon=True)
        outages.start()
        saved = dict.fromkeys(_SAVED, "true") | (_CSV if kind == "csv" else _XML)
        properties = _COMMON | {f"jmeter.save.saveservice.{name}": value for name, value in saved.items()}
        flags = [f"-J{name}={value}" for name, value in properties.items()]
        program = [java, f"-Djmeter.home={_HOME}", "-Djava.awt.headless=true", "-cp", jars, str(starter)]
        command = [*program, "-n", "-t", str(plan), "-l", str(log), "-j", str(folder / "jmeter.log"), *flags]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode or not log.exists():
            raise RuntimeError(f"JMeter failed:\n{done.stdout}\n{done.stderr}")
        outages.join(20)
        time.sleep(1)  # what the last callers gave up on is still being served
        return log, sorted(witness.seen, key=lambda one: one.begun)


def record(folder: Path) -> None:
    """Write jmeter.csv and jmeter_xml.xml and the witness's account of each into `folder`."""
    for kind in ("csv", "xml"):
        with tempfile.TemporaryDirectory() as temporary:
            log, seen = run(Path(temporary), kind)
            text = log.read_text(encoding="utf-8").replace(socket.gethostname(), "generator.example")
            (folder / log.name).write_text(text, encoding="utf-8")
            write_truth(folder / f"{log.stem}.truth.csv", seen)


def _outages(witness: Witness) -> None:
    give_up = time.monotonic() + 60
    while not witness.seen and time.monotonic() < give_up:
        time.sleep(0.005)
    begin = time.monotonic()
    for after, seconds in OUTAGES:
        time.sleep(max(0.0, begin + after - time.monotonic()))
        witness.set_slots(0)
        time.sleep(seconds)
        witness.set_slots(witness.slots)


def _plan(port: int, closed: int) -> str:
    chat = _sampler("chat", port, "/v1/chat?key=planted-secret", pause=60)
    refused = _sampler("nobody listens", closed, "/v1/chat", pause=300)
    unknown = _sampler("no such host", port, "/v1/chat", host="nobody.invalid", pause=300)
    missing = _sampler("no such page", port, "/v1/orders/4711", pause=100)
    doubted = _sampler("doubted", port, "/v1/chat/completions", pause=150, expects='"never"\nsaid, by anyone')
    groups = (
        _group("callers", CALLERS, CALLS, chat),
        _group("refused", 1, 8, refused),
        _group("unknown", 1, 3, unknown),
        _group("pages", 1, 6, _transaction("a visit", missing + doubted)),
    )
    plan = _element("TestPlan", "TestPlanGui", "breakerlab", _bool("TestPlan.serialize_threadgroups", False))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<jmeterTestPlan version="1.2" properties="2.8" jmeter="2.13">'
        f"<hashTree>{plan}<hashTree>{''.join(groups)}</hashTree></hashTree></jmeterTestPlan>\n"
    )


def _group(name: str, threads: int, loops: int, inside: str) -> str:
    controller = (
        '<elementProp name="ThreadGroup.main_controller" elementType="LoopController" guiclass="LoopControlPanel" '
        f'testclass="LoopController">{_bool("LoopController.continue_forever", False)}'
        f"{_text('LoopController.loops', loops)}</elementProp>"
    )
    counts = _text("ThreadGroup.num_threads", threads) + _text("ThreadGroup.ramp_time", 1)
    on_error = _text("ThreadGroup.on_sample_error", "continue")
    return _tree(_element("ThreadGroup", "ThreadGroupGui", name, controller + counts + on_error), inside)


def _transaction(name: str, inside: str) -> str:
    parent = _bool("TransactionController.parent", False) + _bool("TransactionController.includeTimers", False)
    return _tree(_element("TransactionController", "TransactionControllerGui", name, parent), inside)


def _sampler(name: str, port: int, path: str, *, pause: int, host: str = "127.0.0.1", expects: str = "") -> str:
    body = (
        '<elementProp name="HTTPsampler.Arguments" elementType="Arguments"><collectionProp name="Arguments.arguments">'
        '<elementProp name="" elementType="HTTPArgument">'
        f"{_bool('HTTPArgument.always_encode', False)}{_text('Argument.value', _BODY)}"
        f"{_text('Argument.metadata', '=')}</elementProp></collectionProp></elementProp>"
    )
    settings = {
        "HTTPSampler.domain": host,
        "HTTPSampler.port": port,
        "HTTPSampler.protocol": "http",
        "HTTPSampler.path": path,
        "HTTPSampler.method": "POST",
        "HTTPSampler.connect_timeout": PATIENCE_MS,
        "HTTPSampler.response_timeout": PATIENCE_MS,
        "HTTPSampler.implementation": "HttpClient4",
    }
    flags = _bool("HTTPSampler.postBodyRaw", True) + _bool("HTTPSampler.use_keepalive", True)
    texts = "".join(_text(key, value) for key, value in settings.items())
    timer = _element("ConstantTimer", "ConstantTimerGui", "pause", _text("ConstantTimer.delay", pause))
    children = f"{timer}<hashTree/>{_assertion(expects) if expects else ''}"
    return _tree(_element("HTTPSamplerProxy", "HttpTestSampleGui", name, flags + body + texts), children)


def _assertion(expects: str) -> str:
    patterns = f'<collectionProp name="Asserion.test_strings">{_text("0", expects)}</collectionProp>'
    field = _text("Assertion.test_field", "Assertion.response_data")
    kind = '<intProp name="Assertion.test_type">16</intProp>'
    return f"{_element('ResponseAssertion', 'AssertionGui', 'says it', patterns + field + kind)}<hashTree/>"


def _tree(element: str, inside: str) -> str:
    return f"{element}<hashTree>{inside}</hashTree>"


def _element(kind: str, looks: str, name: str, inside: str) -> str:
    return f'<{kind} guiclass="{looks}" testclass="{kind}" testname="{name}" enabled="true">{inside}</{kind}>'


def _text(name: str, value: object) -> str:
    return f'<stringProp name="{name}">{escape(str(value))}</stringProp>'


def _bool(name: str, value: bool) -> str:
    return f'<boolProp name="{name}">{str(value).lower()}</boolProp>'
