"""Domain controllers by DNS: the SRV records that each of them registers (MS-ADTS 6.3.2.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import dns.exception
import dns.resolver
from dns.rdtypes.IN.SRV import SRV

from sync.errors import ErrorCode, PermanentError, TemporaryError

LIFETIME: Final = 5.0
"""Seconds for one question, all name servers and repetitions together."""


def controllers(
    domain: str, *, site: str | None = None, resolver: dns.resolver.Resolver | None = None
) -> Callable[[], tuple[str, ...]]:
    """How to find the controllers of `domain`: those of `site` first, then every other one.

    The answer is asked for anew at each connection, and is in the order of RFC 2782: priority, then chance by weight.
    """

    def find() -> tuple[str, ...]:
        """Raises TemporaryError `directory-unavailable`."""
        service = f"dc._msdcs.{domain}"
        names = [f"_ldap._tcp.{site}._sites.{service}"] if site else []
        hosts: dict[str, None] = {}
        problem = "no such record"
        for name in (*names, f"_ldap._tcp.{service}"):
            try:
                answer = (resolver or dns.resolver.get_default_resolver()).resolve(name, "SRV", lifetime=LIFETIME)
            except dns.exception.DNSException as error:
                problem = str(error)
            else:
                hosts |= dict.fromkeys(_targets(answer))
        if not hosts:
            raise TemporaryError(ErrorCode.DIRECTORY_UNAVAILABLE, f"DNS names no controller of {domain}: {problem}")
        return tuple(hosts)

    return find


def _targets(answer: dns.resolver.Answer) -> Iterator[str]:
    if answer.rrset is not None:
        for record in answer.rrset.processing_order():
            assert isinstance(record, SRV)
            yield record.target.to_text(omit_final_dot=True)


def hosts_by_domain(hosts: Sequence[str], domains: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Each domain with the hosts that are named for it: those whose name ends in its own and in no longer one.

    A single domain has them all, addresses too. Raises PermanentError `settings-invalid` for a host of none.
    """
    if len(domains) == 1:
        return {domains[0]: tuple(hosts)}
    found: dict[str, tuple[str, ...]] = dict.fromkeys(domains, ())
    for host in hosts:
        owners = [domain for domain in domains if host.casefold().endswith(f".{domain.casefold()}")]
        if not owners:
            raise PermanentError(ErrorCode.SETTINGS_INVALID, f"{host} is in none of the domains {', '.join(domains)}")
        found[max(owners, key=len)] += (host,)
    return found
