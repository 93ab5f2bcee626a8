"""What tests of the core share."""

from __future__ import annotations

from typing import Any

import pytest
from OpenSSL import crypto


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What OpenSSL is asked to validate, one entry each time: pyOpenSSL's own class, watched."""
    contexts: list[object] = []
    real = crypto.X509StoreContext.get_verified_chain

    def watched(self: crypto.X509StoreContext) -> Any:
        contexts.append(self)
        return real(self)

    monkeypatch.setattr(crypto.X509StoreContext, "get_verified_chain", watched)
    return contexts
