"""Certificates and revocation lists in files: PEM blocks (RFC 7468) or one DER value."""

from __future__ import annotations

from pathlib import Path

from asn1crypto import pem

from sync.errors import ErrorCode, PermanentError

MAX_BYTES = 16 * 1024 * 1024
"""A whole trust list of the web is under 1 MiB; what is larger is another kind of file."""
MAX_LIST_BYTES = 256 * 1024 * 1024
"""A revocation list of a million entries has 49 MB."""


def read_values(path: Path, *, most: int = MAX_BYTES) -> list[bytes]:
    """Every PEM block of a file, or the whole file as one DER value; whether they are certificates is not judged.

    An empty file holds none. Raises PermanentError `file-unreadable`.
    """
    try:
        if path.stat().st_size > most:
            raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path} is larger than {most} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path}: {error.strerror}") from error
    if not content.strip():
        return []
    # Text may stand before the first block (`openssl x509 -text` writes it), so detection looks at the whole.
    if b"-----BEGIN " not in content:
        return [content]
    try:
        return [value for _, _, value in pem.unarmor(content, multiple=True)]
    except ValueError as error:
        raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{path}: not readable as PEM ({error})") from error
