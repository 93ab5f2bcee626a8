"""Of every code a case that brings it and a neighbour that does not: what the golden files are made of.

Each is built from the mill; the neighbour is as like as it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sync.core.codes import Code
from sync.core.person import Attribute
from tests.core.company import ALICE, Company
from tests.mill import DAY, NOW, Extension, Issued, certificates_only_blob, der, extensions, mapi_blob
from tests.mill.keys import rsa_public_key_der
from tests.mill.revocation import Reason, crl

_CERTIFICATE, _SMIME = Attribute.USER_CERTIFICATE, Attribute.USER_SMIME_CERTIFICATE
_COMPANY = Company()
_ROOT, _ISSUING = _COMPANY.root, _COMPANY.issuing
_ORIGINAL = _ISSUING.issue(ALICE, key="ec256")
_UNKNOWN = Extension("1.2.3.4", der.null(), critical=True)
_BROKEN_USAGE = Extension(extensions.KEY_USAGE, b"\x30\x05\x01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The values of one person and what they are judged by, at the mill's NOW.

    `published` are the fingerprints of what the recipient holds from us. `policy` are fields of `Policy` in simple
    types, with `pack` for its name and `overlap_days` for `overlap`.
    """

    values: tuple[tuple[Attribute, bytes], ...]
    addresses: tuple[str, ...] = (ALICE,)
    anchors: tuple[bytes, ...] = (_ROOT.der,)
    intermediates: tuple[bytes, ...] = (_ISSUING.der,)
    lists: tuple[bytes, ...] = ()
    published: tuple[str, ...] = ()
    policy: Mapping[str, Any] = field(default_factory=dict)


def _der(value: Issued | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.der


def _case(*values: Issued | bytes, smime: tuple[Issued | bytes, ...] = (), **context: Any) -> Case:
    pairs = [*((_CERTIFICATE, _der(each)) for each in values), *((_SMIME, _der(each)) for each in smime)]
    return Case(values=tuple(pairs), **context)


def _leaf(**options: Any) -> Case:
    return _case(_issued(**options))


def _issued(*addresses: str | bytes, **options: Any) -> Issued:
    return _ISSUING.issue(*(addresses or (ALICE,)), **{"key": "ec256", **options})


def _below(**options: Any) -> Case:
    """Alice's certificate from an issuing CA with these options."""
    ca = _ROOT.issue_ca("Special Issuing CA", **{"key": "ec256", **options})
    return _case(ca.issue(ALICE, key="ec256"), intermediates=(ca.der,))


def _constrained(**names: Any) -> Case:
    return _below(extra=[extensions.name_constraints(**names)])


def _below_two(path_length: int) -> Case:
    upper = _ROOT.issue_ca("Upper CA", key="ec256", path_length=path_length)
    lower = upper.issue_ca("Lower CA", key="ec256")
    return _case(lower.issue(ALICE, key="ec256"), intermediates=(upper.der, lower.der))


def _listed(*lists: bytes, mode: str = "hard") -> Case:
    return _case(_ORIGINAL, lists=lists, policy={"revocation": mode})


def _pointing(*addresses: str) -> Case:
    """Below a CA whose certificate names these addresses for its list."""
    ca = _ROOT.issue_ca("Pointing CA", key="ec256", extra=[extensions.list_addresses(*addresses)])
    lists = (crl(_ROOT), crl(ca))
    leaf = ca.issue(ALICE, key="ec256")
    return _case(leaf, intermediates=(ca.der,), lists=lists, policy={"revocation": "hard"})


def _blob(**options: Any) -> Case:
    return _case(smime=(_issued().smime_blob(**options),))


def _blob_of(*certificates: Issued | bytes) -> Case:
    return _case(smime=(certificates_only_blob(*certificates),))


def _from_anchor(**options: Any) -> Case:
    root = _COMPANY.mill.root("Another Root", key="ec256", **options)
    return _case(root.issue(ALICE, key="ec256"), anchors=(root.der,), intermediates=())


def _without_its_issuer() -> Case:
    stranger = _COMPANY.mill.root("Strange Root", key="ec256").issue_ca("Strange CA", key="ec256")
    return _case(stranger.issue(ALICE, key="ec256"))


def _untrusted() -> Case:
    root = _COMPANY.mill.root("Strange Root", key="ec256")
    return _case(root.issue(ALICE, key="ec256"), intermediates=(root.der,))


def _in_a_crowd(allowed: int) -> Case:
    """Two CAs of one name and no identifier that would tell which of them it was; so many signatures are allowed."""
    twins = [_ROOT.issue_ca("Twin", key="ec256", without=[extensions.SUBJECT_KEY_IDENTIFIER]) for _ in range(2)]
    leaf = twins[0].issue(ALICE, key="ec256", authority_key_identifier=False, broken_signature=allowed == 1)
    return _case(leaf, intermediates=tuple(each.der for each in twins), policy={"max_signatures": allowed})


def _two(*, same_key: bool = False, **policy: Any) -> Case:
    older = _issued(not_before=NOW - 60 * DAY)
    newer = _issued(key=older.key if same_key else "ec256", not_before=NOW - 10 * DAY)
    return _case(older, newer, policy=policy)


def _mail(address: str | bytes, *known: str, **options: Any) -> Case:
    return _case(_issued(address, **options), addresses=known or (ALICE,))


def _for_two_addresses(limit: int) -> Case:
    other = "alice.example@corp.example"
    return _case(_issued(ALICE), _issued(other), addresses=(ALICE, other), policy={"max_values": limit})


def _published(**options: Any) -> Case:
    issued = _issued(**options)
    return _case(issued, published=(issued.fingerprint,))


def _good() -> Case:
    return _case(_ORIGINAL)


_REVOKING = (_ORIGINAL.certificate.serial_number,)
_REQUIRE = Extension("2.5.29.36", der.sequence(der.implicit(0, b"\x00")), critical=True)
_REGISTERED = der.implicit(8, der.oid("1.2.3.4")[2:])
_DUPLICATED = [extensions.extended_key_usage([extensions.EMAIL_PROTECTION])]

# The code, the case that brings it, the neighbour.
CASES: Mapping[Code, tuple[Callable[[], Case], Callable[[], Case]]] = {
    Code.VALUE_EMPTY: (lambda: _case(b""), _good),
    Code.VALUE_TOO_LARGE: (
        lambda: _case(_ORIGINAL, policy={"max_value_bytes": len(_ORIGINAL.der) - 1}),
        lambda: _case(_ORIGINAL, policy={"max_value_bytes": len(_ORIGINAL.der)}),
    ),
    Code.VALUE_UNKNOWN_FORMAT: (lambda: _case(_ORIGINAL.pem.encode()), lambda: _case(smime=(mapi_blob(_ORIGINAL),))),
    Code.CMS_MALFORMED: (lambda: _case(smime=(_ORIGINAL.smime_blob()[:-9],)), _blob),
    Code.CMS_NO_CERTIFICATE: (_blob_of, lambda: _blob_of(_ORIGINAL)),
    Code.CMS_TRAILING_DATA: (lambda: _blob(trailing=b"\x00"), _blob),
    Code.CMS_SIGNATURE_INVALID: (lambda: _blob(broken_signature=True), _blob),
    Code.CMS_NO_USER_LEAF: (lambda: _blob_of(_ISSUING), lambda: _blob_of(_ISSUING, _ORIGINAL)),
    Code.CMS_AMBIGUOUS_LEAF: (lambda: _blob_of(_ORIGINAL, _issued()), lambda: _blob_of(_ORIGINAL)),
    Code.SMIME_BARE_CERTIFICATE: (lambda: _case(smime=(_ORIGINAL,)), _good),
    Code.CERT_MALFORMED: (lambda: _case(_ORIGINAL.der + b"\x00"), _good),
    Code.CERT_NOT_V3: (lambda: _leaf(version=2), _good),
    Code.SIGALG_MISMATCH: (lambda: _leaf(outer_digest="sha384"), lambda: _leaf(digest="sha384")),
    Code.SERIAL_INVALID: (lambda: _leaf(serial=-1), lambda: _leaf(serial=1)),
    Code.EXT_MALFORMED: (lambda: _leaf(replacing=[_BROKEN_USAGE]), _good),
    Code.EXT_DUPLICATE: (lambda: _leaf(extra=_DUPLICATED), lambda: _leaf(replacing=_DUPLICATED)),
    Code.EXT_UNKNOWN_CRITICAL: (
        lambda: _leaf(extra=[_UNKNOWN]),
        lambda: _leaf(extra=[Extension("1.2.3.4", der.null())]),
    ),
    Code.IS_CA: (lambda: _leaf(ca=True), lambda: _leaf(ca=False)),
    Code.SELF_SIGNED: (lambda: _case(_COMPANY.mill.self_signed(ALICE, key="ec256")), _good),
    Code.NOT_YET_VALID: (lambda: _leaf(not_before=NOW + DAY), lambda: _leaf(not_before=NOW)),
    Code.EXPIRED: (lambda: _leaf(not_after=NOW - DAY), lambda: _leaf(not_after=NOW)),
    Code.EXPIRY_GRACE: (lambda: _published(not_after=NOW - DAY / 2), lambda: _published(not_after=NOW)),
    Code.EXPIRES_SOON: (lambda: _leaf(not_after=NOW + 29 * DAY), lambda: _leaf(not_after=NOW + 30 * DAY)),
    Code.VALIDITY_TOO_LONG: (
        lambda: _case(_issued(not_after=NOW + 3_000 * DAY), policy={"pack": "public-sbr"}),
        lambda: _case(_issued(not_after=NOW + 300 * DAY), policy={"pack": "public-sbr"}),
    ),
    Code.KEY_TOO_SMALL: (lambda: _leaf(key="rsa1024"), lambda: _leaf(key="rsa2048")),
    Code.KEY_BAD_EXPONENT: (
        lambda: _leaf(public_key=rsa_public_key_der(exponent=2), ku=("keyEncipherment",)),
        lambda: _leaf(public_key=rsa_public_key_der(), ku=("keyEncipherment",)),
    ),
    Code.KEY_CURVE: (lambda: _leaf(key="ec-secp256k1"), _good),
    Code.KEY_NOT_FOR_ENCRYPTION: (lambda: _leaf(key="ed25519"), _good),
    Code.KEY_UNSUPPORTED: (
        lambda: _case(_issued(key="rsa2048"), policy={"max_rsa_bits": 2047}),
        lambda: _case(_issued(key="rsa2048"), policy={"max_rsa_bits": 2048}),
    ),
    Code.SIG_WEAK_HASH: (lambda: _leaf(digest="sha1"), lambda: _leaf(digest="sha256")),
    Code.SIG_UNSUPPORTED: (lambda: _leaf(digest="sha224"), lambda: _leaf(digest="sha512")),
    Code.KU_NOT_ENCRYPTION: (lambda: _leaf(ku=("digitalSignature",)), lambda: _leaf(ku=("keyAgreement",))),
    Code.KU_ABSENT: (lambda: _leaf(ku=None), _good),
    Code.EKU_NOT_EMAIL: (lambda: _leaf(eku=(extensions.CLIENT_AUTH,)), _good),
    Code.EKU_ABSENT: (lambda: _leaf(eku=None), _good),
    Code.EKU_ANY: (lambda: _leaf(eku=(extensions.ANY_EKU,)), _good),
    Code.MAILBOX_NONE: (lambda: _case(_ISSUING.issue(key="ec256", upn=ALICE)), lambda: _leaf(upn=ALICE)),
    Code.MAILBOX_MALFORMED: (
        lambda: _case(_issued(ALICE, "Alice <alice@corp.example>")),
        lambda: _case(_issued(ALICE, ALICE)),
    ),
    Code.MAILBOX_MISMATCH: (lambda: _mail("bob@corp.example"), _good),
    Code.MAILBOX_CASE: (lambda: _mail("Alice@corp.example"), lambda: _mail("alice@CORP.example")),
    Code.MAILBOX_SECONDARY: (
        lambda: _mail(ALICE, "first@corp.example", ALICE),
        lambda: _mail(ALICE, ALICE, "first@corp.example"),
    ),
    Code.MAILBOX_FOREIGN: (lambda: _case(_issued(ALICE, "bob@corp.example")), _good),
    Code.CHAIN_NO_ISSUER: (_without_its_issuer, _good),
    Code.CHAIN_UNTRUSTED: (_untrusted, _from_anchor),
    Code.CHAIN_SIGNATURE: (lambda: _leaf(broken_signature=True), _good),
    Code.CHAIN_CA_EXPIRED: (lambda: _below(not_after=NOW - DAY), lambda: _below(not_after=NOW)),
    Code.CHAIN_ANCHOR_EXPIRED: (lambda: _from_anchor(not_after=NOW - DAY), lambda: _from_anchor(not_after=NOW)),
    Code.CHAIN_NOT_CA: (lambda: _below(ca=False), _below),
    Code.CHAIN_PATHLEN: (lambda: _below_two(0), lambda: _below_two(1)),
    Code.CHAIN_KU: (lambda: _below(ku=("cRLSign",)), lambda: _below(ku=("keyCertSign",))),
    Code.CHAIN_EKU: (
        lambda: _below(eku=(extensions.SERVER_AUTH,)),
        lambda: _below(eku=(extensions.SERVER_AUTH, extensions.EMAIL_PROTECTION)),
    ),
    Code.CHAIN_CRITICAL_EXT: (
        lambda: _below(extra=[_UNKNOWN]),
        lambda: _below(extra=[Extension("1.2.3.4", der.null())]),
    ),
    Code.CHAIN_KEY_TOO_SMALL: (lambda: _below(key="rsa1024"), lambda: _below(key="rsa2048")),
    Code.CHAIN_WEAK_HASH: (lambda: _below(digest="sha1"), lambda: _below(digest="sha384")),
    Code.CHAIN_BUDGET: (lambda: _in_a_crowd(1), lambda: _in_a_crowd(2)),
    Code.NC_NOT_PERMITTED: (
        lambda: _constrained(permitted=[extensions.rfc822_name("other.example")]),
        lambda: _constrained(permitted=[extensions.rfc822_name("corp.example")]),
    ),
    Code.NC_EXCLUDED: (
        lambda: _constrained(excluded=[extensions.rfc822_name("corp.example")]),
        lambda: _constrained(excluded=[extensions.rfc822_name("other.example")]),
    ),
    Code.NC_UNSUPPORTED: (
        lambda: _below(
            extra=[
                Extension(
                    extensions.NAME_CONSTRAINTS,
                    der.sequence(
                        der.explicit(0, der.sequence(extensions.rfc822_name("corp.example"), der.implicit(0, b"\x01")))
                    ),
                    critical=True,
                )
            ]
        ),
        lambda: _constrained(permitted=[_REGISTERED]),
    ),
    Code.CHAIN_POLICY: (lambda: _below(extra=[_REQUIRE]), _below),
    Code.REVOKED: (
        lambda: _listed(crl(_ISSUING, dict.fromkeys(_REVOKING, Reason.key_compromise)), crl(_ROOT)),
        lambda: _listed(crl(_ISSUING, [1]), crl(_ROOT)),
    ),
    Code.CA_REVOKED: (
        lambda: _listed(crl(_ISSUING), crl(_ROOT, [_ISSUING.certificate.serial_number])),
        lambda: _listed(crl(_ISSUING), crl(_ROOT, [1])),
    ),
    Code.REVOCATION_UNKNOWN: (lambda: _listed(crl(_ROOT)), lambda: _listed(crl(_ROOT), crl(_ISSUING))),
    Code.CRL_STALE: (
        lambda: _listed(crl(_ROOT), crl(_ISSUING, this_update=NOW - 9 * DAY, next_update=NOW - DAY)),
        lambda: _listed(crl(_ROOT), crl(_ISSUING, this_update=NOW - 9 * DAY, next_update=NOW + DAY)),
    ),
    Code.CRL_SIGNATURE: (
        lambda: _listed(crl(_ROOT), crl(_ROOT, name=_ISSUING.name)),
        lambda: _listed(crl(_ROOT), crl(_ISSUING)),
    ),
    Code.CRL_LDAP_ONLY: (
        lambda: _pointing("ldap:///CN=Example,CN=CDP?certificateRevocationList"),
        lambda: _pointing("ldap:///CN=Example,CN=CDP?certificateRevocationList", "http://pki.corp.example/root.crl"),
    ),
    Code.DUPLICATE: (lambda: _case(_ORIGINAL, smime=(_ORIGINAL,)), _good),
    Code.SUPERSEDED_SAME_KEY: (lambda: _two(same_key=True), lambda: _two(max_per_address=2)),
    Code.SUPERSEDED: (_two, lambda: _two(max_per_address=2)),
    Code.OVER_LIMIT: (lambda: _for_two_addresses(1), lambda: _for_two_addresses(2)),
    Code.SHADOWING: (
        lambda: _case(_issued(), smime=(_issued(not_after=NOW - DAY).smime_blob(),)),
        lambda: _case(_ORIGINAL, smime=(_ORIGINAL.smime_blob(),)),
    ),
    Code.NONE_PUBLISHABLE: (lambda: _leaf(not_after=NOW - DAY), _good),
    Code.OVERLAP: (lambda: _two(overlap_days=30), lambda: _two(overlap_days=5)),
}
