"""The log formats that `read_trace` knows, one file each; where two fit a log equally well, the first one reads it."""

from __future__ import annotations

from typing import Final

from breakerlab.trace.format import Format
from breakerlab.trace.formats import (
    alb,
    apache,
    arrivals,
    caddy,
    cloudfront,
    combined,
    envoy,
    haproxy,
    har,
    jmeter,
    jsonl,
    k6,
    nginx,
    otlp,
    own_csv,
    parquet,
    sdk,
    traefik,
    vegeta,
)

FORMATS: Final[tuple[Format, ...]] = (
    jsonl.FORMAT,
    own_csv.FORMAT,
    parquet.FORMAT,
    envoy.FORMAT,
    alb.FORMAT,
    cloudfront.FORMAT,
    haproxy.FORMAT,
    nginx.FORMAT,
    traefik.FORMAT,
    apache.FORMAT,
    caddy.FORMAT,
    combined.FORMAT,
    jmeter.FORMAT,
    vegeta.FORMAT,
    k6.FORMAT,
    arrivals.FORMAT,
    sdk.FORMAT,
    otlp.FORMAT,
    har.FORMAT,
)
