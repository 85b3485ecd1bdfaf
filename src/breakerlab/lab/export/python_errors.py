"""Python functions that the decorators of tenacity and stamina ask about an error; the rules of `policy.outcome`."""

FAILED = '''\
def failed(error):
    """Whether the service failed: by its status, if the error carries one; wrong requests are not asked again."""
    status = getattr(getattr(error, "response", None), "status_code", getattr(error, "status_code", None))
    if not isinstance(error, Exception) or not isinstance(status, int) or status < 400:
        return isinstance(error, Exception)
    return status >= 500 or status in (408, 425, 429)
'''

ASKED_FOR = '''\
def asked_for(error):
    """Seconds that the server asks to wait, by Retry-After; 0 if it does not ask, or not in seconds."""
    headers = getattr(getattr(error, "response", error), "headers", None) or {}
    try:
        return max(0.0, float(headers.get("retry-after", 0.0)))
    except ValueError:
        return 0.0
'''
