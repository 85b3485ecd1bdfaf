"""Note every address outside this machine that a Python process asks for.

Python runs this file at its start when the folder is on PYTHONPATH.

Standard library only; the notes go to the file named by $BREAKERLAB_SOCKET_NOTES, one line each.
"""

import os
import sys

NOTES = os.environ.get("BREAKERLAB_SOCKET_NOTES", "")
HERE = ("127.", "::1", "0.0.0.0", "localhost")


def is_outside(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    return isinstance(name, str) and name != "" and not name.startswith(HERE)


def note(event: str, arguments: tuple) -> None:
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if is_outside(host):
        line = f"{event} {host!r} by {' '.join(sys.orig_argv)[:200]}\n"
        with open(NOTES, "a", encoding="utf-8") as notes:
            notes.write(line)


if NOTES:
    sys.addaudithook(note)
