"""A claimed port belongs to the recording, even while nobody listens on it."""

from __future__ import annotations

import socket

import pytest

from breakerlab.live.process import LOOPBACK, claim_port


def test_a_claimed_port_refuses_connections_until_somebody_of_the_recording_listens():
    with claim_port() as claim:
        address = claim.getsockname()
        with socket.socket() as caller, pytest.raises(ConnectionRefusedError):
            caller.connect(address)
        with claim_port(address[1]) as listener:
            listener.listen()
            with socket.create_connection(address, timeout=10):
                pass


def test_nobody_else_gets_a_claimed_port():
    with claim_port() as claim, socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind((LOOPBACK, claim.getsockname()[1]))
