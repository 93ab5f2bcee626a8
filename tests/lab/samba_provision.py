"""Runs `samba-tool domain provision` without the sysvol step. Executed by the distribution's Python, not by ours.

That step changes owners and needs POSIX ACLs, which containers and tmpfs refuse; no LDAP client ever looks at sysvol.
"""

import runpy
import sys

import samba.provision  # type: ignore[import-not-found, unused-ignore]

SAMBA_TOOL = "/usr/bin/samba-tool"


def leave_out_sysvol(*_arguments: object, **_named: object) -> None:
    """Stand in the place of samba.provision.setsysvolacl."""


samba.provision.setsysvolacl = leave_out_sysvol
sys.argv = [SAMBA_TOOL, "domain", "provision", *sys.argv[1:]]
runpy.run_path(SAMBA_TOOL, run_name="__main__")
