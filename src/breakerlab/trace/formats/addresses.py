"""Hosts and ports, as proxies and clients write them."""

from __future__ import annotations

import re
from typing import Final

_END: Final = re.compile(r"[/?#]")


def without_port(address: str) -> str:
    """The host of "10.0.0.1:80", "[fd00::1]:80" or "fd00::1"; empty for "-"."""
    if address == "-":
        return ""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.partition(":")[0] if address.count(":") == 1 else address


def authority_in(url: str) -> str:
    """Host and port of an absolute URL, without a user's name and password; empty if it is not absolute."""
    return _END.split(url.partition("://")[2], maxsplit=1)[0].rpartition("@")[2]
