"""What goes wrong beside a call (in a listener, a test of an outcome, a recorder) is logged and never reaches it."""

from __future__ import annotations


def log_mishap(what: str, error: BaseException) -> None:
    """Log `error`, with its traceback. `logging` is loaded only now, to keep the import of the core light."""
    import logging

    logging.getLogger("breakerlab.policy").error("%s", what, exc_info=error)
