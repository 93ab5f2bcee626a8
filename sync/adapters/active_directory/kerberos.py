"""Kerberos (GSSAPI, RFC 4752) from a keytab: what ldap3 must be told. The extra `kerberos` brings the package gssapi.

ldap3 binds the ticket to the TLS channel by the server's certificate (tls-server-end-point, RFC 5929 4) by itself.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import ldap3

from sync.errors import ErrorCode, PermanentError


def credentials(user: str, keytab: Path, host: str) -> dict[str, Any]:
    """Arguments of ldap3.Connection for `user`, whose key is in `keytab`; `host` is the controller's DNS name.

    Tickets stay in this process's memory. Raises PermanentError `settings-invalid`, `file-unreadable`.
    """
    if importlib.util.find_spec("gssapi") is None:
        told = "a keytab needs the package gssapi: pip install 'smime-sync[kerberos]'"
        raise PermanentError(ErrorCode.SETTINGS_INVALID, told)
    try:
        with keytab.open("rb"):
            pass
    except OSError as error:
        raise PermanentError(ErrorCode.FILE_UNREADABLE, f"{keytab}: {error.strerror}") from error
    return {
        "user": user,
        "authentication": ldap3.SASL,
        "sasl_mechanism": ldap3.KERBEROS,
        "sasl_credentials": (host,),
        "cred_store": {"client_keytab": str(keytab), "ccache": f"MEMORY:smime-sync-{user}"},
    }


def failures() -> tuple[type[Exception], ...]:
    """What a bind by Kerberos can raise besides ldap3's own errors; none without the package."""
    if importlib.util.find_spec("gssapi") is None:
        return ()
    import gssapi

    return (gssapi.raw.misc.GSSError,)
