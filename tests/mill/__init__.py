"""The certificate mill: makes any certificate or attribute value that a test needs, good or broken.

    mill = Mill()
    issuing = mill.root("Example Root CA").issue_ca("Example Issuing CA")
    alice = issuing.issue("alice@corp.example")
    old = issuing.issue("alice@corp.example", not_after=NOW - DAY)
    blob = smime_blob(alice, issuing.issue("alice@corp.example", ku=("keyEncipherment",)))

The same calls in the same order give the same bytes, but for kinds of key and signature that are random by nature
(RSA other than 2048, DSA, PSS).
"""

from __future__ import annotations

from tests.mill.blobs import certificates_only_blob, mapi_blob, smime_blob
from tests.mill.certificates import DAY, NOW, Authority, Issued, Mill
from tests.mill.extensions import Extension
from tests.mill.keys import KeyKind

__all__ = [
    "DAY",
    "NOW",
    "Authority",
    "Extension",
    "Issued",
    "KeyKind",
    "Mill",
    "certificates_only_blob",
    "mapi_blob",
    "smime_blob",
]
