"""The directory that is an LDIF file keeps what every Directory promises."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from sync.adapters.ldif import LdifDirectory
from tests.adapters.directory_contract import DirectoryContract

Attributes = dict[str, list[bytes]]


class LdifStage:
    """An administrator who writes the whole file again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._people: dict[bytes, Attributes] = {}
        self._numbers = itertools.count(1)
        self._write()

    def open(self) -> LdifDirectory:
        return LdifDirectory(self._path)

    def add(self, name: str, **attributes: Sequence[bytes | str]) -> bytes:
        guid = next(self._numbers).to_bytes(16, "big")
        naming: dict[str, Sequence[bytes | str]] = {"objectClass": ["user"], "cn": [name], "objectGUID": [guid]}
        self._people[guid] = {
            key: [_raw(value) for value in values] for key, values in {**naming, **attributes}.items()
        }
        self._write()
        return guid

    def replace(self, guid: bytes, attribute: str, values: Sequence[bytes | str]) -> None:
        self._people[guid][attribute] = [_raw(value) for value in values]
        self._write()

    def delete(self, guid: bytes) -> None:
        del self._people[guid]
        self._write()

    def _write(self) -> None:
        lines = ["version: 1"]
        for attributes in self._people.values():
            lines += ["", f"dn: CN={attributes['cn'][0].decode()},DC=corp,DC=example"]
            lines += [f"{name}:: {base64.b64encode(v).decode()}" for name, values in attributes.items() for v in values]
        unfinished = self._path.with_suffix(".new")
        unfinished.write_text("\n".join(lines) + "\n", encoding="ascii")
        unfinished.rename(self._path)


class TestLdifDirectory(DirectoryContract):
    """Every case of the contract."""

    @pytest.fixture
    def stage(self, tmp_path: Path) -> LdifStage:
        return LdifStage(tmp_path / "directory.ldif")


def _raw(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value
