"""Which certificates a revocation list is for (RFC 5280, 5.2.5 and 6.3.3 (b))."""

from __future__ import annotations

from cryptography import x509

from sync.core.certificate import Certificate
from sync.core.names import below
from sync.core.revocation_list import RevocationList

_DISTRIBUTION_POINTS = "2.5.29.31"
ALL_REASONS = frozenset(x509.ReasonFlags) - {x509.ReasonFlags.unspecified, x509.ReasonFlags.remove_from_crl}
"""The reasons that a list may be limited to (RFC 5280, 4.2.1.13)."""


def addresses_of(certificate: Certificate) -> tuple[str, ...]:
    """The URIs at which a certificate says that its issuer's list lies, to be told of: nobody follows a person's."""
    points = certificate.extensions.get(_DISTRIBUTION_POINTS)
    if not isinstance(points, x509.CRLDistributionPoints):
        return ()
    names = (name for point in points for name in point.full_name or ())
    return tuple(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))


def only_by_ldap(certificate: Certificate) -> bool:
    """Whether nobody outside the domain can reach any of these addresses, though there are some."""
    addresses = addresses_of(certificate)
    return bool(addresses) and all(each.lower().startswith(("ldap:", "ldaps:")) for each in addresses)


def reasons_of(each: RevocationList) -> frozenset[x509.ReasonFlags]:
    """The reasons for which a list tells of a revocation."""
    only = each.point.only_some_reasons if each.point is not None else None
    return ALL_REASONS if only is None else frozenset(only)


def covers(each: RevocationList, certificate: Certificate) -> str | None:
    """None when the list is for the certificate, else why it is not.

    A list of one distribution point is for the certificates that name this point; the names are only compared.
    """
    point = each.point
    if point is None:
        return None
    is_ca = certificate.basic_constraints is not None and certificate.basic_constraints.ca
    if point.indirect_crl:
        return "may hold other CAs' certificates (an indirect list), which is not supported"
    if point.only_contains_attribute_certs or (point.only_contains_user_certs and is_ca):
        return "is not for CA certificates" if is_ca else "is for attribute certificates"
    if point.only_contains_ca_certs and not is_ca:
        return "is for CA certificates only"
    if (point.full_name or point.relative_name) and not _names(point, each.issuer) & _points(certificate):
        return "is for certificates of another distribution point"
    return None


def _points(certificate: Certificate) -> set[bytes]:
    points = certificate.extensions.get(_DISTRIBUTION_POINTS)
    if not isinstance(points, x509.CRLDistributionPoints):
        return set()
    return {name for point in points for name in _names(point, certificate.issuer)}


def _names(point: x509.IssuingDistributionPoint | x509.DistributionPoint, issuer: bytes) -> set[bytes]:
    """The names of a point, each in one comparable form; a relative one stands below the issuer's name."""
    if point.relative_name is not None:
        return {b"name:" + below(issuer, x509.Name([point.relative_name]).public_bytes())}
    return {_comparable(name) for name in point.full_name or ()}


def _comparable(name: x509.GeneralName) -> bytes:
    if isinstance(name, x509.DirectoryName):
        return b"name:" + name.value.public_bytes()
    return f"{type(name).__name__}:{name.value}".encode()
