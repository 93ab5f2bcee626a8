"""Revocation lists and OCSP responses of the mill's authorities, good by default."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.mill.certificates import DAY, NOW, Authority, Issued

Reason = x509.ReasonFlags


def crl(
    issuer: Authority,
    revoked: Mapping[int, Reason | None] | Iterable[int] = (),
    *,
    number: int | None = 1,
    base: int | None = None,
    this_update: datetime = NOW - DAY,
    next_update: datetime = NOW + 6 * DAY,
    point: x509.IssuingDistributionPoint | None = None,
    extra: Iterable[tuple[x509.ExtensionType, bool]] = (),
    entry_extra: Iterable[tuple[x509.ExtensionType, bool]] = (),
    name: x509.Name | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """The DER of a list with these serial numbers: of yesterday, due in six days; with `base` it is a delta."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(name or issuer.name)
        .last_update(this_update)
        .next_update(next_update)
        .add_extension(x509.AuthorityKeyIdentifier(issuer.key_identifier, None, None), critical=False)
    )
    if number is not None:
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    if base is not None:
        builder = builder.add_extension(x509.DeltaCRLIndicator(base), critical=True)
    if point is not None:
        builder = builder.add_extension(point, critical=True)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    reasons = revoked if isinstance(revoked, Mapping) else dict.fromkeys(revoked)
    for serial, reason in reasons.items():
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - 2 * DAY)
        if reason is not None:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        for extension, critical in entry_extra:
            entry = entry.add_extension(extension, critical=critical)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, digest or hashes.SHA256()).public_bytes(Encoding.DER)  # type: ignore[arg-type]


def limited_to(  # the name of the argument is that of the extension's field
    *,
    full_name: Iterable[x509.GeneralName] | None = None,
    users: bool = False,
    cas: bool = False,
    attributes: bool = False,
    indirect: bool = False,
    reasons: Iterable[Reason] | None = None,
) -> x509.IssuingDistributionPoint:
    """An issuing distribution point (RFC 5280, 5.2.5)."""
    return x509.IssuingDistributionPoint(
        full_name=full_name,
        relative_name=None,
        only_contains_user_certs=users,
        only_contains_ca_certs=cas,
        only_some_reasons=frozenset(reasons) if reasons is not None else None,
        indirect_crl=indirect,
        only_contains_attribute_certs=attributes,
    )


def ocsp_response(
    about: Issued,
    issuer: Authority,
    *,
    status: Literal["good", "revoked", "unknown"] = "good",
    reason: Reason | None = None,
    signer: Issued | None = None,
    attached: Iterable[Issued] = (),
    this_update: datetime = NOW - DAY,
    next_update: datetime | None = NOW + DAY,
    by_name: bool = False,
    digest: hashes.HashAlgorithm | None = None,
) -> bytes:
    """The DER of a response about one certificate, by its CA unless there is another signer."""
    signer = signer or issuer
    encoding = ocsp.OCSPResponderEncoding.NAME if by_name else ocsp.OCSPResponderEncoding.HASH
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=about.certificate,
            issuer=issuer.certificate,
            algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus[status.upper()],
            this_update=this_update,
            next_update=next_update,
            revocation_time=NOW - 2 * DAY if status == "revoked" else None,
            revocation_reason=reason,
        )
        .responder_id(encoding, signer.certificate)
    )
    certificates = [each.certificate for each in attached]
    if certificates:
        builder = builder.certificates(certificates)
    return builder.sign(signer.key, digest or hashes.SHA256()).public_bytes(Encoding.DER)  # type: ignore[arg-type]
