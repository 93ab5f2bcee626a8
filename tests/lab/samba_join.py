"""Runs `samba-tool domain join` without the sysvol step. Executed by the distribution's Python, not by ours."""

import runpy
import sys

import samba.join  # type: ignore[import-not-found, unused-ignore]
import samba.provision  # type: ignore[import-not-found, unused-ignore]

SAMBA_TOOL = "/usr/bin/samba-tool"


def leave_out_sysvol(*_arguments: object, **_named: object) -> None:
    """Stand in the place of setsysvolacl, as in samba_provision.py."""


samba.provision.setsysvolacl = samba.join.setsysvolacl = leave_out_sysvol
sys.argv = [SAMBA_TOOL, "domain", "join", *sys.argv[1:]]
runpy.run_path(SAMBA_TOOL, run_name="__main__")
