"""What this machine gives: the clock, its processors, its files, the service manager."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

from sync.errors import ErrorCode, PermanentError

if TYPE_CHECKING:
    from sync.adapters.exchange_online.transcript import RecordingSession
    from sync.adapters.service_manager import ServiceManager

P = ParamSpec("P")


def now() -> datetime:
    """The clock, in UTC."""
    return datetime.now(UTC)


def once(setting_up: Callable[P, None]) -> Callable[P, None]:
    """What a process does at the first call, and never again."""
    done = threading.Lock()

    @wraps(setting_up)
    def first(*args: P.args, **kwargs: P.kwargs) -> None:
        if done.acquire(blocking=False):
            setting_up(*args, **kwargs)

    return first


def cores() -> int:
    """How many processors this process may use."""
    # Not every system can tell which of them are ours.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_values(path: Path) -> list[bytes]:
    """Every certificate of a file, as bytes that nobody judged yet. Raises PermanentError `file-unreadable`."""
    from sync.adapters import certificate_files

    return certificate_files.read_values(path)


def read_lists(path: Path) -> list[bytes]:
    """Every revocation list of a file, as bytes. Raises PermanentError `file-unreadable`."""
    from sync.adapters import certificate_files

    return certificate_files.read_values(path, most=certificate_files.MAX_LIST_BYTES)


def read_text(path: Path) -> str:
    """A whole text file. Raises PermanentError `file-unreadable`."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path}: {getattr(error, 'strerror', error)}") from error


def read_secret(path: Path) -> str:
    """A file that holds one line, without its end. Raises PermanentError `file-unreadable`."""
    return read_text(path).rstrip("\r\n")


def read_settings(path: Path) -> dict[str, str]:
    """The NAME=value lines of a file, as systemd reads them. Raises PermanentError `file-unreadable`,
    `settings-invalid` with the number of the first line that is none."""
    from dotenv.parser import parse_stream

    found = {}
    for binding in parse_stream(io.StringIO(read_text(path))):
        if binding.error or (binding.key is not None and binding.value is None):
            raise PermanentError(ErrorCode.SETTINGS_INVALID, f"{path}, line {binding.original.line}: no NAME=value")
        if binding.key is not None:
            found[binding.key] = binding.value or ""
    return found


def write_text(path: Path, text: str) -> None:
    """Write a file whole. Raises PermanentError `file-unreadable`."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path} cannot be written: {error.strerror}") from error


def make_signing_key(path: Path) -> tuple[str, str]:
    """Write a new private key, readable by this account only; return its id and its public half (PEM).

    Raises PermanentError `file-unreadable`, also when the file is there already.
    """
    from sync.signature import Signer

    signer = Signer.generate()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(signer.private_pem())
    except OSError as error:
        raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path}: {error.strerror}") from error
    return signer.id, signer.public_pem().decode("ascii")


def service_manager() -> ServiceManager:
    """systemd, where it started us."""
    from sync.adapters.service_manager import ServiceManager

    return ServiceManager(os.environ.get("NOTIFY_SOCKET"))


def recording_session(*words: str) -> RecordingSession:
    """A session that writes down what goes over the wire, without these words and whatever else is not for others."""
    from sync.adapters.exchange_online.transcript import RecordingSession

    return RecordingSession(*words)
