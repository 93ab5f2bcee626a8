"""From a message to an event: the signature and the claim check, and what a thief can and cannot do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from sync import envelope
from sync.core.event import Cause, Claim, Event
from sync.core.identity import Watermark
from sync.core.person import Values
from sync.errors import ErrorCode, PermanentError
from sync.opening import Opener
from sync.signature import Signer, Verifier
from tests.office import person

NOW = datetime(2026, 6, 1, 12, 30, 15, 250_000, tzinfo=UTC)
SIGNER = Signer(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Signer(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)))
ES256 = Signer(ec.derive_private_key(12345, ec.SECP256R1()))
EVENT = Event(id="1.1", source="urn:x", time=NOW, watermark=Watermark(1, 1), person=person("alice", b"b", b"a"))


def signed(event: Event, signer: Signer = SIGNER) -> Event:
    return replace(event, signature=signer.sign(envelope.signed_part(event)))


def opener(*signers: Signer) -> Opener:
    return Opener(verifier=Verifier.load(b"".join(each.public_pem() for each in signers)), required=True)


def refused(opening: Opener, body: str) -> ErrorCode:
    with pytest.raises(PermanentError) as error:
        opening(body)
    return error.value.code


@pytest.mark.parametrize("signer", [SIGNER, ES256])
def test_a_signed_event_is_taken(signer: Signer) -> None:
    """Ed25519 and ES256, whichever of the keys that are set made it."""
    event = signed(EVENT, signer)
    assert opener(OTHER, signer)(envelope.render(event)) == event


def test_what_the_cloud_adds_does_not_break_the_signature() -> None:
    """A replay, a deferral and a reconciliation send the same signed state again."""
    again = replace(signed(EVENT), cause=Cause.REPLAY, replays=2, attempts=3, since=NOW, turn=NOW + timedelta(hours=1))
    assert opener(SIGNER)(envelope.render(again)) == again
    twice = opener(SIGNER)(envelope.render(again))
    assert opener(SIGNER)(envelope.render(replace(twice, cause=Cause.RECONCILIATION))).person == EVENT.person


def test_an_unsigned_event_is_refused_when_signatures_are_required() -> None:
    """And taken where they are not."""
    assert refused(opener(SIGNER), envelope.render(EVENT)) is ErrorCode.EVENT_UNSIGNED
    assert Opener()(envelope.render(EVENT)) == EVENT


@pytest.mark.parametrize(
    "forged",
    [
        replace(EVENT, person=replace(EVENT.person, values=Values.of([b"thief"]))),
        replace(EVENT, person=replace(EVENT.person, deleted=True)),
        replace(EVENT, person=replace(EVENT.person, enabled=False)),
        replace(EVENT, person=replace(EVENT.person, mail="thief@corp.example")),
        replace(EVENT, person=replace(EVENT.person, anchor=person("bob").anchor)),
        replace(EVENT, watermark=Watermark(2, 1)),
        replace(EVENT, time=NOW + timedelta(seconds=1)),
        replace(EVENT, source="urn:y"),
        replace(EVENT, id="2.1"),
    ],
)
def test_whatever_decides_is_signed(forged: Event) -> None:
    """A stolen signature fits nothing else: no value, no person, no later watermark."""
    body = envelope.render(replace(forged, signature=signed(EVENT).signature))
    assert refused(opener(SIGNER), body) is ErrorCode.EVENT_SIGNATURE


@pytest.mark.parametrize("signature", ["", "a.b.c", "..", "no jws", "e30..AAAA", "x" * 1000])
def test_a_signature_that_is_none_is_refused(signature: str) -> None:
    """With a code, never a trace."""
    assert refused(opener(SIGNER), envelope.render(replace(EVENT, signature=signature))) is ErrorCode.EVENT_SIGNATURE


def test_another_key_is_refused() -> None:
    """Also when it names itself as ours."""
    assert refused(opener(SIGNER), envelope.render(signed(EVENT, OTHER))) is ErrorCode.EVENT_SIGNATURE
    content = envelope.signed_part(EVENT)
    head, _, tail = jwt.PyJWS().encode(content, OTHER.key, "EdDSA", {"kid": SIGNER.id}).split(".")
    body = envelope.render(replace(EVENT, signature=f"{head}..{tail}"))
    assert refused(opener(SIGNER), body) is ErrorCode.EVENT_SIGNATURE


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_the_header_does_not_choose_the_algorithm(algorithm: str) -> None:
    """`none`, or a MAC keyed with what everybody knows: the public key."""
    secret = None if algorithm == "none" else hashlib.sha256(SIGNER.public_pem()).digest()
    content = envelope.signed_part(EVENT)
    head, _, tail = jwt.PyJWS().encode(content, secret or "", algorithm, {"kid": SIGNER.id}).split(".")
    body = envelope.render(replace(EVENT, signature=f"{head}..{tail}"))
    assert refused(opener(SIGNER), body) is ErrorCode.EVENT_SIGNATURE


def test_the_key_is_named_by_its_thumbprint() -> None:
    """RFC 8037, appendix A.3: the thumbprint of its example key."""
    public = ed25519.Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    assert Signer(public).id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_wrong_keys_are_refused_when_they_are_loaded() -> None:
    """RSA, a public key in the private one's place, and no key at all."""
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for wrong in (pem, SIGNER.public_pem(), b"", b"no key"):
        with pytest.raises(PermanentError) as error:
            Signer.load(wrong)
        assert error.value.code is ErrorCode.KEY_MALFORMED
    for wrong in (pem, SIGNER.private_pem(), b""):
        with pytest.raises(PermanentError) as error:
            Verifier.load(wrong)
        assert error.value.code is ErrorCode.KEY_MALFORMED
    assert Signer.load(ES256.private_pem()).id == ES256.id


@dataclass
class Claims:
    """A container."""

    blobs: dict[str, bytes] = field(default_factory=dict)

    def put(self, claim: Claim, content: bytes) -> None:
        self.blobs[claim.sha256] = content

    def get(self, claim: Claim) -> bytes:
        if claim.sha256 not in self.blobs:
            raise PermanentError(ErrorCode.CLAIM_MISSING, "gone")
        return self.blobs[claim.sha256]

    def check(self) -> None:
        return


GIANT = signed(replace(EVENT, person=person("giant", *(bytes([n]) * 2000 for n in range(60)))))


def referred(claims: Claims) -> str:
    content = envelope.write(GIANT).encode()
    claim = Claim(hashlib.sha256(content).hexdigest(), len(content))
    claims.put(claim, content)
    return envelope.referring(content.decode(), claim)


def test_a_large_event_is_fetched_verified_and_sent_again_as_a_reference() -> None:
    """The message stays small however often it goes round."""
    claims = Claims()
    opening = replace(opener(SIGNER), claims=claims)
    event = opening(referred(claims))
    assert event.person == GIANT.person
    again = envelope.render(replace(event, attempts=4, since=NOW))
    assert len(again) < 1000
    assert opening(again) == replace(event, attempts=4, since=NOW)


def test_a_missing_or_altered_event_is_a_clear_error() -> None:
    """By length, by content, or no container at all; the failure keeps the reference."""
    claims = Claims()
    body = referred(claims)
    opening = replace(opener(SIGNER), claims=claims)
    (name,) = claims.blobs
    content = claims.blobs[name]
    for altered in (content + b" ", content[:-1], content.replace(b'"enabled":true', b'"enabled":fals')):
        claims.blobs[name] = altered
        assert refused(opening, body) is ErrorCode.CLAIM_ALTERED
    claims.blobs.clear()
    assert refused(opening, body) is ErrorCode.CLAIM_MISSING
    assert refused(opener(SIGNER), body) is ErrorCode.CLAIM_MISSING


def test_a_reference_does_not_get_round_the_signature() -> None:
    """A thief who may write blobs and messages publishes nothing."""
    claims = Claims()
    content = envelope.write(replace(GIANT, signature=None)).encode()
    claim = Claim(hashlib.sha256(content).hexdigest(), len(content))
    claims.put(claim, content)
    opening = replace(opener(SIGNER), claims=claims)
    assert refused(opening, envelope.referring(content.decode(), claim)) is ErrorCode.EVENT_UNSIGNED


def test_a_misshapen_reference_is_refused() -> None:
    """A length that would fill the memory, a digest that would name another path."""
    body = referred(Claims())
    for old, new in (('"length":', '"length":99999'), ('"sha256":"', '"sha256":"../')):
        assert refused(Opener(claims=Claims()), body.replace(old, new)) is ErrorCode.EVENT_MALFORMED
