"""What is not established of a real tenant, as switches: the product must work, or say why not, in each position."""

from __future__ import annotations

from dataclasses import dataclass, field

from sync.adapters.exchange_online import Clearing, Encoding


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """How this tenant behaves where real ones may differ. Change a field at any time.

    `binds` are the encodings of byte[] that it takes, `clears` the ways to empty an attribute. `bytes_in_json` says
    whether JSON answers hold the bytes (base64) or only `System.Byte[]`; `clixml_bare` whether CLIXML is the whole
    body or a text inside JSON. `no_content` answers a Set with 204 in place of an empty list.
    """

    binds: set[Encoding] = field(default_factory=lambda: {Encoding.TAGGED_INTEGERS})
    clears: set[Clearing] = field(default_factory=lambda: set(Clearing))
    bytes_in_json: bool = True
    clixml_bare: bool = False
    no_content: bool = False
