"""Why can nobody encrypt to this person? One answer for each kind of person of the demo, and for what goes wrong.

The golden files are renewed by: python -m tests.test_explainer
"""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path

import pytest
from rich.console import Console

from examples.demo import EXAMPLES, _people_the_tenant
from examples.make import SINCE
from sync import wiring
from sync.commands.explain import picture
from sync.core.clients import outlook_takes
from sync.core.context import Context
from sync.core.findings import Code
from sync.core.person import Attribute, Values
from sync.core.policy import PRIVATE_CA, Revocation
from sync.core.revocation import Knowledge
from sync.core.revocation_list import RevocationList
from sync.drain import drain
from sync.errors import ErrorCode, PermanentError, TemporaryError
from sync.explainer import Explanation
from tests.lab import ROOT
from tests.mill import DAY, NOW
from tests.mill.revocation import crl
from tests.office import Faulty, Office, person

GOLDEN = ROOT / "tests" / "golden" / "explain"
NAMES = sorted(json.loads((EXAMPLES / "stories.json").read_text("utf-8")))
MOMENT = SINCE + timedelta(days=30)


@cache
def company(folder: Path) -> wiring.Embedded:
    """The example company after both waves of the demo, at a fixed moment."""
    directory = folder / "directory.ldif"
    trust = wiring.read_trust_store([EXAMPLES / "anchors.pem"], [EXAMPLES / "intermediates.pem"])

    def clock() -> datetime:
        return MOMENT

    app = wiring.embedded(None, directory, trust, clock=clock)
    app = replace(app, receiver=replace(app.receiver, jitter=lambda: 0.0))
    _people_the_tenant(app)
    for wave in (1, 2):
        shutil.copyfile(EXAMPLES / f"directory-{wave}.ldif", directory)
        app.agent.once()
        drain(app.queue, app.receiver)
    return app


def shown(told: Explanation) -> str:
    """As a terminal of a hundred columns shows it, without colours."""
    console = Console(file=io.StringIO(), width=100, color_system=None, legacy_windows=False)
    console.print(picture(told))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> wiring.Embedded:
    return company(tmp_path_factory.mktemp("explain"))


@pytest.mark.parametrize("name", NAMES)
def test_each_kind_of_person_of_the_demo_is_explained(app: wiring.Embedded, name: str) -> None:
    """Word by word, as an administrator reads it."""
    told = app.explainer.explain(f"{name}@corp.example")

    assert shown(told) == (GOLDEN / f"{name}.txt").read_text("utf-8")
    json.dumps(told.to_json())


@pytest.fixture
def office() -> Office:
    return Office()


def test_a_shadowed_certificate_is_said(office: Office) -> None:
    """An old userSMIMECertificate of somebody else's stands before the renewed certificate."""
    old, new = office.issue("mike", not_before=NOW - 300 * DAY), office.issue("mike")
    blob = old.smime_blob()
    mailbox = office.mailbox("mike")
    office.recipients.write(mailbox, {Attribute.USER_SMIME_CERTIFICATE: (blob,)})
    office.process(person("mike", new))

    told = office.explainer.explain("mike@corp.example")

    assert told.outlook is not None
    assert [each.fingerprint for each in told.outlook.shadowed] == [new.fingerprint]
    assert "never looked at" in told.answer
    assert "never looks at it" in shown(told)
    clients = {each["client"]: each for each in told.to_json()["clients"]}  # type: ignore[attr-defined]
    assert (clients["outlook"]["takes"], clients["outlook"]["sure"]) == ([old.fingerprint], "documented")
    assert (clients["activesync"]["takes"], clients["activesync"]["sure"]) == (
        [old.fingerprint, new.fingerprint],
        "unknown",
    )
    assert "which of them is" in shown(told)


@pytest.mark.parametrize("known", [True, False])
def test_a_value_that_waits_for_a_revocation_list(office: Office, known: bool) -> None:
    """Nothing else is against it: that it comes by itself is said, and what it waits for."""
    policy = replace(PRIVATE_CA, revocation=Revocation.HARD)
    lists = [RevocationList.parse(crl(each, next_update=NOW + DAY)) for each in (office.issuing, office.root)]
    office.change(
        judging=lambda moment: Context(now=moment, trust=office.trust, policy=policy),
        consult=lambda context, _: replace(context, revocation=Knowledge.of(lists if known else [])),
    )
    office.mailbox("carol")
    office.process(person("carol", office.issue("carol")))
    steps = office.explainer.explain("carol@corp.example").next_steps
    assert any("after its CA's next list" in step for step in steps) is not known


def test_nobody_in_the_tenant(office: Office) -> None:
    """No mailbox yet: the reason, and until when it is tried."""
    office.process(person("nora", office.issue("nora")))

    told = office.explainer.explain(person("nora").anchor.immutable_id)

    assert "no recipient" in told.answer
    assert "no-recipient" in shown(told)


def test_what_waits_for_replay_is_said_with_what_to_do(office: Office) -> None:
    """The failure's own hint."""
    office.mailbox("oscar")
    office.losses.blobs.put("guard/losses.json", b"[]")
    office.process(person("oscar", office.issue("oscar")))
    office.process(person("oscar", deleted=True))

    told = office.explainer.explain(person("oscar").anchor.immutable_id)

    assert any("replay" in step and "ledger" in step for step in told.next_steps)


def test_a_tenant_that_is_away_is_no_answer(office: Office) -> None:
    """What is known is told all the same."""
    office.mailbox("paula")
    office.process(person("paula", office.issue("paula")))

    class Away(Faulty):
        def find(self, **_: object) -> None:
            raise TemporaryError(ErrorCode.TENANT_UNAVAILABLE, "the tenant is away")

    office.change(recipients=Away(office.recipients))
    told = office.explainer.explain("paula@corp.example")

    assert told.answer == "Cannot be told now: the tenant is away."
    assert told.to_json()["trouble"] == {"code": "tenant-unavailable", "message": "the tenant is away"}
    assert told.event is not None


def test_a_hold_is_said(office: Office) -> None:
    """Whoever wonders why the directory's change does nothing."""
    office.mailbox("quentin")
    office.process(person("quentin", office.issue("quentin")))
    office.restorer.restore("quentin@corp.example", number=1, apply=True)
    office.drain()

    assert any("restore --lift" in step for step in office.explainer.explain("quentin@corp.example").next_steps)


def test_somebody_whom_nobody_knows(office: Office) -> None:
    """Said, with a hint."""
    with pytest.raises(PermanentError) as caught:
        office.explainer.explain("nobody@corp.example")
    assert caught.value.code is ErrorCode.PERSON_UNKNOWN


def test_outlook_takes_none_that_cannot_encrypt(office: Office) -> None:
    """Expired, not begun, for something else: it looks at just that."""
    good = office.issue("rita")
    others = [
        office.issue("rita", not_after=NOW - DAY, not_before=NOW - 2 * DAY),
        office.issue("rita", not_before=NOW + DAY),
        office.issue("rita", eku=["1.3.6.1.5.5.7.3.2"]),
        office.issue("rita", ku=["digitalSignature"]),
    ]
    taken = outlook_takes(Values.of([b"garbage", good.der, *(each.der for each in others)]), NOW)
    assert [each.fingerprint for each in taken.certificates] == [good.fingerprint]
    assert not outlook_takes(Values.of([b"garbage"], [b"garbage"]), NOW).certificates


def test_every_page_that_is_named_is_there(app: wiring.Embedded) -> None:
    """A finding's link leads to its row."""
    page = (ROOT / "docs" / "findings.md").read_text("utf-8")
    for name in NAMES:
        told = json.dumps(app.explainer.explain(f"{name}@corp.example").to_json())
        for link in {part.partition('"')[0] for part in told.split("docs/findings.md#")[1:]}:
            assert f'id="{link}"' in page, link


@pytest.mark.parametrize(("page", "codes"), [("findings", Code), ("errors", ErrorCode)])
def test_every_code_has_a_place_to_link_to(page: str, codes: type[StrEnum]) -> None:
    """Findings and errors alike: what explain, console and log name can be looked up."""
    text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    assert [code for code in codes if f'id="{code}"' not in text] == []


def main() -> None:
    """Renew the golden files."""
    import tempfile

    GOLDEN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            told = company(Path(folder)).explainer.explain(f"{name}@corp.example")
            (GOLDEN / f"{name}.txt").write_text(shown(told), "utf-8")


if __name__ == "__main__":
    main()
