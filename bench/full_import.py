"""Reads everybody once, by the client that stdin names, and prints time, processor time and peak memory as JSON.

Run by the bench in a process of its own; the distribution's Python runs it for python-ldap, so it imports late.
"""

import importlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

FILTER = "(&(objectClass=user)(!(objectClass=computer)))"
ATTRIBUTES = (
    "objectGUID",
    "mS-DS-ConsistencyGuid",
    "userCertificate",
    "userSMIMECertificate",
    "userPrincipalName",
    "mail",
    "proxyAddresses",
    "userAccountControl",
    "isDeleted",
)
PAGE = 1000


def smime_sync(asked: dict[str, str]) -> int:
    """The adapter, persons made and all."""
    from sync.adapters.active_directory import Access, ActiveDirectory

    access = Access(
        hosts=(asked["host"],), user=asked["user"], password=asked["password"], ca_file=Path(asked["ca_file"])
    )
    return sum(len(page.people) for page in ActiveDirectory(access).changes(None))


def ldap3(asked: dict[str, str]) -> int:
    """ldap3 as it comes."""
    import ssl

    import ldap3

    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=asked["ca_file"], valid_names=["dc1.corp.example"])
    server = ldap3.Server(asked["host"], port=636, use_ssl=True, get_info=ldap3.NONE, tls=tls)
    connection = ldap3.Connection(server, asked["user"], asked["password"], auto_bind=True, check_names=False)
    found, cookie = 0, None
    while cookie != b"":
        connection.search(asked["base"], FILTER, attributes=ATTRIBUTES, paged_size=PAGE, paged_cookie=cookie)
        found += sum(entry["type"] == "searchResEntry" for entry in connection.response)
        cookie = connection.result["controls"]["1.2.840.113556.1.4.319"]["value"]["cookie"]
    return found


def python_ldap(asked: dict[str, str]) -> int:
    """OpenLDAP's C library."""
    import ldap  # type: ignore[import-not-found, unused-ignore]
    from ldap.controls import SimplePagedResultsControl  # type: ignore[import-not-found, unused-ignore]

    ldap.set_option(ldap.OPT_X_TLS_CACERTFILE, asked["ca_file"])
    ldap.set_option(ldap.OPT_REFERRALS, 0)
    connection = ldap.initialize(f"ldaps://{asked['host']}")
    connection.simple_bind_s(asked["user"], asked["password"])
    found, page = 0, SimplePagedResultsControl(True, size=PAGE, cookie="")
    while True:
        sent = connection.search_ext(asked["base"], ldap.SCOPE_SUBTREE, FILTER, ATTRIBUTES, serverctrls=[page])
        _, entries, _, controls = connection.result3(sent)
        found += sum(dn is not None for dn, _ in entries)
        page.cookie = controls[0].cookie
        if not page.cookie:
            return found


def ldapsearch(asked: dict[str, str]) -> int:
    """The command, which only writes LDIF."""
    done = subprocess.run(
        (
            *(
                "ldapsearch",
                "-LLL",
                "-x",
                "-H",
                f"ldaps://{asked['host']}",
                "-D",
                asked["user"],
                "-w",
                asked["password"],
            ),
            *("-b", asked["base"], "-E", f"pr={PAGE}/noprompt", FILTER, *ATTRIBUTES),
        ),
        env={"LDAPTLS_CACERT": asked["ca_file"], "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    return done.stdout.count(b"\ndn: ") + done.stdout.startswith(b"dn: ")


CLIENTS = {"smime-sync": "sync.adapters.active_directory", "ldap3": "ldap3", "python-ldap": "ldap.controls"}
READERS = {"smime-sync": smime_sync, "ldap3": ldap3, "python-ldap": python_ldap, "ldapsearch": ldapsearch}


def _peak() -> float:
    """In MiB. Of this program alone: ru_maxrss remembers the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> int:
    """Read, and say what it took."""
    asked = json.load(sys.stdin)
    if client := CLIENTS.get(asked["reader"]):
        importlib.import_module(client)  # no part of the time
    who = resource.RUSAGE_CHILDREN if asked["reader"] == "ldapsearch" else resource.RUSAGE_SELF
    before, started = resource.getrusage(who), time.perf_counter()
    people = READERS[asked["reader"]](asked)
    wall, used = time.perf_counter() - started, resource.getrusage(who)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    peak = used.ru_maxrss / 1024 if asked["reader"] == "ldapsearch" else _peak()
    print(json.dumps({"people": people, "wall": wall, "cpu": cpu, "peak": peak}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
