"""Text in a figure: shown as it is, never interpreted, broken into lines where it is long."""

import textwrap


def plain(text: str) -> str:
    """Text as plotly shows it literally: it would honour tags and links in text that came from a log."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def in_lines(text: str, width: int) -> str:
    """`text`, shown literally, in lines of at most `width` characters where words allow it."""
    return "<br>".join(plain(line) for line in textwrap.wrap(text, width))


def shortened(text: str, most: int) -> str:
    """`text`, shown literally, cut to `most` characters: a name from a log may be of any length."""
    return plain(text if len(text) <= most else text[: most - 1] + "…")
