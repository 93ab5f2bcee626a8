"""The command, as an administrator calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mill import DAY, NOW, Mill
from tests.mill.extensions import list_addresses
from tests.mill.revocation import crl

ROOT = Path(__file__).parents[1]
AT = ("--at", f"{NOW:%Y-%m-%dT%H:%M:%SZ}")


def call(*arguments: str | Path, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m sync` with nothing of this process's environment but PATH."""
    return subprocess.run(
        [sys.executable, "-m", "sync", *map(str, arguments)],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "COLUMNS": "300", "LANG": "C.UTF-8", **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A CA's files, a good certificate, an expired one, and both in one file, PEM and DER."""
    folder = tmp_path_factory.mktemp("files")
    mill = Mill()
    root = mill.root()
    issuing = root.issue_ca("Example Issuing CA")
    good, expired = issuing.issue("alice@corp.example"), issuing.issue("alice@corp.example", not_after=NOW - DAY)
    contents: dict[str, bytes] = {
        "root.pem": root.pem.encode(),
        "issuing.der": issuing.der,
        "good.der": good.der,
        "expired.pem": b"some text before\n" + expired.pem.encode(),
        "both.pem": (good.pem + expired.pem).encode(),
        "garbage.pem": b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


def trusting(files: dict[str, Path]) -> list[str | Path]:
    return ["--anchors", files["root.pem"], "--intermediates", files["issuing.der"]]


def test_a_good_certificate_exits_0(files: dict[str, Path]) -> None:
    """And says so."""
    done = call(
        "validate", "--anchors", files["root.pem"], "--intermediates", files["issuing.der"], *AT, files["good.der"]
    )
    assert done.returncode == 0, done.stderr
    assert "accepted" in done.stdout


def test_one_refused_among_several_exits_1_with_code_and_words(files: dict[str, Path]) -> None:
    """Several in one file, each by its number."""
    done = call(
        "validate", "--anchors", files["root.pem"], "--intermediates", files["issuing.der"], *AT, files["both.pem"]
    )
    assert done.returncode == 1
    assert "both.pem#2" in done.stdout
    assert "expired" in done.stdout
    assert "validity has ended" in done.stdout


def test_json_is_for_machines(files: dict[str, Path]) -> None:
    """The same verdicts as a list."""
    who = ("--address", "bob@corp.example")
    done = call("validate", "--json", *trusting(files), *who, *AT, files["good.der"], files["expired.pem"])
    codes = [[finding["code"] for finding in verdict["findings"]] for verdict in json.loads(done.stdout)]
    assert codes == [["mailbox-mismatch"], ["expired", "mailbox-mismatch"]]
    assert done.returncode == 1


def test_jsonl_answers_every_line_in_order() -> None:
    """Garbage included."""
    done = call("validate", "--jsonl", stdin='{"id": 1}\nnonsense\n{"id": "x"}\n')
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [1, None, "x"]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["validate"], "--anchors"),
        (["validate", "--policy", "none", "x.pem"], "there is no policy pack"),
        (["validate", "--anchors", "nowhere.pem", "x.pem"], "file-unreadable"),
        (["replay"], "choose --all"),
        (["restore"], "Missing argument"),
        (["restore", "alice@corp.example", "--to", "1", "--lift"], "not both"),
        (["no-such-command"], "No such command"),
    ],
)
def test_a_bad_call_exits_2_with_a_sentence(arguments: list[str], told: str) -> None:
    """Never with a trace."""
    done = call(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_without_a_certificate_does_not_make_a_trust_store(files: dict[str, Path]) -> None:
    """It is named malformed, not taken for empty."""
    done = call("validate", "--anchors", files["garbage.pem"], files["good.der"])
    assert done.returncode == 2
    assert "trust-store-malformed" in done.stderr or "file-unreadable" in done.stderr


@pytest.mark.parametrize(
    "command", [["reconcile"], ["failed"], ["replay", "--all"], ["agent", "once"], ["agent", "run"]]
)
def test_wrong_settings_are_told_all_at_once_without_a_trace(command: list[str]) -> None:
    """Exit 2, each by its name, and a hint."""
    done = call(*command, SMIME_SYNC_TENANT_ID="corp", SMIME_SYNC_QUEUE="-")
    assert done.returncode == 2
    assert "settings-invalid" in done.stderr
    assert "SMIME_SYNC_QUEUE is not a queue name" in done.stderr
    assert "is missing" in done.stderr
    assert "docs/settings.md" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_file_is_no_accepted_certificate(files: dict[str, Path], tmp_path: Path) -> None:
    """Nothing was judged, so nothing is well."""
    (tmp_path / "empty.pem").write_bytes(b"\n")
    done = call("validate", *trusting(files), *AT, tmp_path / "empty.pem")
    assert done.returncode == 2
    assert "is empty" in done.stderr


def test_an_empty_trust_store_refuses_to_start(tmp_path: Path) -> None:
    """Every certificate would be refused, or worse."""
    (tmp_path / "empty.pem").write_bytes(b"")
    done = call(
        "failed",
        SMIME_SYNC_STORAGE="UseDevelopmentStorage=true",
        SMIME_SYNC_TENANT_ID="11111111-2222-3333-4444-555555555555",
        SMIME_SYNC_TRUST_ANCHORS=str(tmp_path / "empty.pem"),
        SMIME_SYNC_REQUIRE_SIGNED_EVENTS="false",
    )
    assert done.returncode == 2
    assert "trust-store-empty" in done.stderr


def test_the_schema_is_the_published_one() -> None:
    """As docs/event.schema.json holds it."""
    assert json.loads(call("schema").stdout) == json.loads((ROOT / "docs" / "event.schema.json").read_text("utf-8"))


def test_revocation_lists_are_named_on_the_command_line(tmp_path: Path) -> None:
    """PEM or DER; without them `hard` refuses."""
    mill = Mill()
    root = mill.root(key="ec256")
    issuing = root.issue_ca("Example Issuing CA", key="ec256")
    alice = issuing.issue("alice@corp.example", key="ec256")
    contents = {
        "root.der": root.der,
        "issuing.der": issuing.der,
        "alice.der": alice.der,
        "root.crl": crl(root),
        "good.crl": crl(issuing),
        "revoking.crl": crl(issuing, [alice.certificate.serial_number]),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    files = {name: tmp_path / name for name in contents}
    trusted: list[str | Path] = ["--anchors", files["root.der"], "--intermediates", files["issuing.der"]]
    common: list[str | Path] = [*trusted, *AT, files["alice.der"]]
    lists: list[str | Path] = ["--crls", files["root.crl"], "--crls"]

    assert call("validate", *common, *lists, files["good.crl"], "--revocation", "hard").returncode == 0
    revoked = call("validate", *common, *lists, files["revoking.crl"])
    assert (revoked.returncode, "revoked" in revoked.stdout) == (1, True)
    assert call("validate", *common, "--revocation", "hard").returncode == 1
    assert call("validate", *common, "--revocation", "soft").returncode == 0


def test_a_ca_whose_list_only_the_domain_can_reach_is_told_of(tmp_path: Path) -> None:
    """On the side, so that what machines read stays what it is."""
    root = Mill().root()
    issuing = root.issue_ca("AD CS", extra=[list_addresses("ldap:///CN=Root,CN=CDP?certificateRevocationList")])
    files = {"root.der": root.der, "issuing.der": issuing.der, "alice.der": issuing.issue("alice@corp.example").der}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    done = call(
        "validate", "--json", "--anchors", tmp_path / "root.der", "--intermediates", tmp_path / "issuing.der", *AT,
        tmp_path / "alice.der",
    )  # fmt: skip
    assert done.returncode == 0
    assert json.loads(done.stdout)[0]["findings"] == []
    assert done.stderr.startswith("crl-ldap-only: CN=AD CS")


def test_options_of_files_are_refused_beside_a_stream(files: dict[str, Path]) -> None:
    """They would be left out in silence: every line brings its own."""
    done = call("validate", "--jsonl", "--anchors", files["root.pem"])
    assert done.returncode == 2
    assert "every line brings its own" in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize("line", ["no name", "=value", "SMIME_SYNC_TENANT_ID", "A='open"])
def test_a_file_of_settings_with_a_line_that_is_none(tmp_path: Path, line: str) -> None:
    """With its number."""
    file = tmp_path / "settings.env"
    file.write_text(f"# fine\nSMIME_SYNC_QUEUE=changes\n{line}\n")
    done = call("--settings", file, "agent", "status")
    assert done.returncode == 2
    assert "settings-invalid" in done.stderr
    assert "line 3" in done.stderr


def test_a_file_of_settings_that_is_not_there() -> None:
    """Named."""
    done = call("--settings", "nowhere.env", "agent", "status")
    assert (done.returncode, "file-unreadable" in done.stderr, "nowhere.env" in done.stderr) == (2, True, True)
