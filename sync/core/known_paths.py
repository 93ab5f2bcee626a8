"""Paths that were verified before, so that the next certificate of the same CA costs one signature.

OpenSSL's verdict on the CAs of a path depends neither on the moment nor on the leaf, where no CA constrains names or
policies: docs/decisions/0008-known-paths.md says why, and what is asked anew of every leaf. A known path only ever
spares the search: whatever does not fit goes the whole way, which alone can refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from sync.core.certificate import Certificate
from sync.core.extensions import PROCESSED
from sync.core.policy import Policy
from sync.core.signatures import verify_issued

_AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
_CERTIFICATE_POLICIES = "2.5.29.32"
# What reaches down from a CA: name constraints, policy mappings and constraints, inhibitAnyPolicy.
_REACHING_DOWN = frozenset({"2.5.29.30", "2.5.29.33", "2.5.29.36", "2.5.29.54"})

_Key = tuple[bytes, object, str]


@dataclass(frozen=True, slots=True)
class _Known:
    """A path that `policy` had nothing against, from `since` to `until`."""

    authorities: tuple[Certificate, ...]
    policy: Policy
    since: datetime
    until: datetime


class KnownPaths:
    """What one trust store remembers. Threads may share it: each step on the dictionary is one operation, and of two
    that learn the same path either may win. Bounded: when it is full it is forgotten and learnt again."""

    __slots__ = ("_limit", "_paths")

    def __init__(self, limit: int = 1_000) -> None:
        self._limit = limit
        self._paths: dict[_Key, _Known] = {}

    def recall(self, leaf: Certificate, policy: Policy, now: datetime) -> tuple[Certificate, ...]:
        """The CAs of a known path, from the issuer up to the anchor, whose first one signed this leaf; else nothing.

        Nothing too when another policy or another time was asked about: then our own rules are to be asked anew.
        """
        known = self._paths.get(_key(leaf))
        if known is None or not known.since <= now <= known.until:
            return ()
        if known.policy is not policy and known.policy != policy:  # the usual one is the very same
            return ()
        return known.authorities if _plain(leaf) and _signed(leaf, known.authorities[0]) else ()

    def learn(self, leaf: Certificate, authorities: Sequence[Certificate], policy: Policy) -> None:
        """Keep the path that OpenSSL verified for `leaf` and `policy` had nothing against, if it holds for other
        leaves too."""
        if not authorities or any(not _REACHING_DOWN.isdisjoint(each.oids) for each in authorities):
            return
        if len(self._paths) >= self._limit:
            self._paths.clear()
        self._paths[_key(leaf)] = _Known(
            tuple(authorities),
            policy,
            max(each.not_before for each in authorities) - policy.clock_skew,
            min(each.not_after for each in authorities),
        )


def _key(leaf: Certificate) -> _Key:
    """All by which OpenSSL chooses the issuer of a leaf: its name, the key identifier, the kind of signature."""
    return leaf.issuer, leaf.extensions.get(_AUTHORITY_KEY_IDENTIFIER), leaf.signature.oid


def _plain(leaf: Certificate) -> bool:
    """Whether the leaf is of the form of which OpenSSL has nothing to say but its signature.

    Version 3; each extension once and read; no unknown critical one; no CA; no policy named twice (RFC 5280, 4.2.1.4).
    """
    if leaf.version != 3 or leaf.malformed or not leaf.same_signature_algorithm:
        return False
    if len(leaf.oids) != len(set(leaf.oids)) or not leaf.critical <= PROCESSED:
        return False
    if not _REACHING_DOWN.isdisjoint(leaf.oids) or leaf.issuer == leaf.subject:
        return False
    constraints = leaf.basic_constraints
    if constraints is not None and (constraints.ca or constraints.path_length is not None):
        return False
    policies = leaf.extensions.get(_CERTIFICATE_POLICIES)
    if isinstance(policies, x509.CertificatePolicies):
        return len({policy.policy_identifier for policy in policies}) == len(policies)
    return policies is None


def _signed(leaf: Certificate, issuer: Certificate) -> bool:
    try:
        verify_issued(leaf, issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
