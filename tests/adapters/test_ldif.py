"""The directory that is an LDIF file."""

from __future__ import annotations

import base64
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sync.adapters.ldif import LdifDirectory, entries
from sync.core.person import Values
from sync.errors import ErrorCode, PermanentError
from sync.ports import Page

GUID = base64.b64encode(bytes(range(16))).decode("ascii")
ALICE = f"""\
dn: CN=Alice,DC=corp,DC=example
objectClass: top
objectClass: user
objectGUID:: {GUID}
userPrincipalName: alice@corp.example
mail: alice@corp.example
proxyAddresses: smtp:a@corp.example
proxyAddresses: SMTP:alice@corp.example
userAccountControl: 512
userCertificate;binary:: MIIB
userCertificate;binary:: /w==
"""


def read(folder: Path, text: str | bytes, checkpoint: bytes | None = None) -> list[Page]:
    path = folder / "directory.ldif"
    path.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
    return list(LdifDirectory(path).changes(checkpoint))


def test_a_person_is_read_whole(tmp_path: Path) -> None:
    """Identity, state and every value."""
    (page,) = read(tmp_path, ALICE)
    (alice,) = page.people
    assert alice.anchor.object_guid == bytes(range(16))
    assert alice.addresses == ("alice@corp.example", "a@corp.example")
    assert alice.enabled
    assert not alice.deleted
    assert alice.values == Values.of([b"\x30\x82\x01", b"\xff"])
    assert page.full
    assert page.complete


def test_a_later_read_tells_since_when_the_file_is_so(tmp_path: Path) -> None:
    """The first one shows whoever is there, and nobody knows since when."""
    (first,) = read(tmp_path, ALICE)
    assert first.changed_at is None
    (later,) = read(tmp_path, ALICE + "\n", first.checkpoint)
    assert later.changed_at == datetime.fromtimestamp((tmp_path / "directory.ldif").stat().st_mtime, UTC)


def test_folded_lines_comments_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    """As ldapsearch folds at 79 and ldifde ends lines with CR LF (RFC 2849)."""
    folded = ALICE.replace("alice@corp.example\nmail", "alice@co\n rp.example\n# a comm\n ent\nmail").replace(
        "\n", "\r\n"
    )
    (page,) = read(tmp_path, "version: 1\r\n\r\n" + folded)
    assert page.people == read(tmp_path, ALICE)[0].people


def test_the_last_lines_of_ldapsearch_are_no_entry(tmp_path: Path) -> None:
    """It prints its result as if it were one."""
    (page,) = read(tmp_path, ALICE + "\n# search result\nsearch: 2\nresult: 0 Success\n\n# numEntries: 1\n")
    assert len(page.people) == 1


def test_computers_and_containers_are_out_of_scope(tmp_path: Path) -> None:
    """A computer is of class user as well."""
    computer = ALICE.replace("objectClass: user\n", "objectClass: user\nobjectClass: computer\n")
    unit = "dn: OU=People,DC=corp,DC=example\nobjectClass: organizationalUnit\n"
    (page,) = read(tmp_path, f"{computer}\n{unit}")
    assert page.people == ()


@pytest.mark.parametrize(
    ("line", "enabled", "deleted"),
    [("userAccountControl: 514", False, False), ("isDeleted: TRUE", True, True)],
)
def test_disabled_and_deleted_are_seen(tmp_path: Path, line: str, enabled: bool, deleted: bool) -> None:
    """A disabled account is not a leaver; a tombstone is."""
    ((alice,),) = (page.people for page in read(tmp_path, ALICE.replace("userAccountControl: 512", line)))
    assert (alice.enabled, alice.deleted) == (enabled, deleted)


def test_an_unchanged_file_brings_nothing(tmp_path: Path) -> None:
    """The checkpoint is the content's hash."""
    (page,) = read(tmp_path, ALICE)
    assert read(tmp_path, ALICE, page.checkpoint) == []
    assert read(tmp_path, ALICE + "\n", page.checkpoint) != []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (ALICE.replace("MIIB", "M!IB"), "line 10: bad base64"),
        (ALICE + "no colon here\n", "line 12: not 'attribute: value'"),
        (ALICE + "userCertificate:< file:///etc/passwd\n", "line 12: a value by URL"),
        (ALICE + "changetype: modify\n", "line 12: a change record"),
        (ALICE.replace(GUID, "AAAA"), "line 1: objectGUID"),
        (ALICE.replace(f"objectGUID:: {GUID}\n", ""), "line 1: a user without objectGUID"),
        (ALICE.replace("userAccountControl: 512", "userAccountControl: x"), "line 1: useraccountcontrol"),
        (ALICE.encode("utf-16"), "UTF-16"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str | bytes, told: str) -> None:
    """Nothing is half read: the error comes before any person."""
    with pytest.raises(PermanentError, match=told) as refused:
        read(tmp_path, text)
    assert refused.value.code is ErrorCode.DIRECTORY_MALFORMED


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    """With its name and a hint."""
    with pytest.raises(PermanentError, match=r"nowhere\.ldif") as refused:
        list(LdifDirectory(tmp_path / "nowhere.ldif").changes(None))
    assert refused.value.code is ErrorCode.FILE_UNREADABLE


def test_an_empty_file_is_a_directory_without_people(tmp_path: Path) -> None:
    """Whether everybody having left is believable is not the adapter's business."""
    (page,) = read(tmp_path, "")
    assert page.people == ()
    assert list(entries(b"\n\n\n")) == []


def test_waiting_ends_when_the_file_changes(tmp_path: Path) -> None:
    """And without a change it ends with the time."""
    (page,) = read(tmp_path, ALICE)
    directory = LdifDirectory(tmp_path / "directory.ldif", poll=timedelta(milliseconds=5))
    assert list(directory.changes(page.checkpoint)) == []
    assert not directory.wait(timedelta(milliseconds=20))
    later = time.time() + 5
    os.utime(tmp_path / "directory.ldif", (later, later))
    assert directory.wait(timedelta(seconds=5))
