"""Runs a simulated tenant until it is interrupted: `python -m tests.lab.tenant [--port N] [--mailbox ADDRESS ...]`."""

from __future__ import annotations

import argparse
import json
import threading

from tests.lab.tenant.tenant import Tenant


def main() -> None:
    """Print what a client needs as one JSON object, then serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.tenant", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="the front door's port; by default a free one")
    parser.add_argument("--mailbox", action="append", default=[], metavar="ADDRESS", help="a mailbox to begin with")
    arguments = parser.parse_args()
    with Tenant.start(port=arguments.port) as tenant:
        for address in arguments.mailbox:
            tenant.add_mailbox(address)
        content = {
            "url": tenant.url,
            "tenant": tenant.id,
            "client_id": tenant.tokens.client_id,
            "client_secret": tenant.tokens.secret,
            "ca_file": tenant.ca_file,
            **tenant.identity_environment,
        }
        print(json.dumps(content, indent=2), flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
