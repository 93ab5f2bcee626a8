"""Tells systemd how the service is: sd_notify(3), one datagram a message."""

from __future__ import annotations

import contextlib
import socket


class ServiceManager:
    """`address` is what $NOTIFY_SOCKET says; None or empty where nobody listens."""

    def __init__(self, address: str | None) -> None:
        # A name that begins with @ is of the abstract namespace.
        self._address = "\0" + address[1:] if address and address.startswith("@") else address

    def ready(self) -> None:
        """The service is up."""
        self._send("READY=1")

    def alive(self, status: str) -> None:
        """Feed the watchdog and say in a few words what goes on."""
        self._send(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """The service goes down in order."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        # Nobody to hear it is no reason to stop: the watchdog does that.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode("utf-8"), self._address)
