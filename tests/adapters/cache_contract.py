"""What every Cache keeps to. A test module subclasses `CacheContract` and gives a way to open one, again and again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from sync.ports import Cache
from tests.mill import NOW

URL = f"http://pki.corp.example/{'x' * 2_000}.crl"


class CacheContract:
    """What was fetched, with its time."""

    @pytest.fixture
    def opened(self) -> Callable[[], Cache]:
        """Opens the same cache, empty at first, as another process or instance would."""
        raise NotImplementedError

    def test_what_was_put_is_there_for_whoever_opens_it_next(self, opened: Callable[[], Cache]) -> None:
        """Bytes as they were, the moment to the microsecond; keys are addresses of any length."""
        at = NOW + timedelta(microseconds=123_457)
        opened().put(URL, b"\x00\xff list", at)
        assert opened().get(URL) == (b"\x00\xff list", at)

    def test_the_last_one_counts(self, opened: Callable[[], Cache]) -> None:
        """Also when its time is the earlier one: the cache knows nothing of lists."""
        cache = opened()
        for content, at in ((b"list", NOW), (b"newer list", NOW + timedelta(hours=1)), (b"", NOW)):
            cache.put("a", content, at)
            assert cache.get("a") == (content, at)

    def test_keys_are_told_apart(self, opened: Callable[[], Cache]) -> None:
        """To the last character, and by upper and lower case, as addresses are."""
        cache = opened()
        for key in (URL, f"{URL}#1", URL.upper()):
            cache.put(key, key.encode(), NOW)
        for key in (URL, f"{URL}#1", URL.upper()):
            assert cache.get(key) == (key.encode(), NOW)

    def test_nothing_is_where_nothing_was_put(self, opened: Callable[[], Cache]) -> None:
        """And that is no error."""
        assert opened().get("http://other.example/") is None
