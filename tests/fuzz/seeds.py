"""The sound values that the mutations begin with, and the context in which they are judged."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from sync.core.judgement import Context
from sync.core.path import TrustStore
from tests.fuzz.mutations import Tree
from tests.mill import NOW, Mill, certificates_only_blob, der, extensions, mapi_blob

ALICE = "alice@corp.example"


@dataclass(frozen=True, slots=True)
class Seeds:
    """`genuine` are the certificates that a CA really issued: nothing else may ever be accepted."""

    trees: tuple[Tree, ...]
    genuine: frozenset[bytes]
    context: Context


@cache
def seeds() -> Seeds:
    """Certificates, SignedData and MAPI blobs of two kinds of key, with every extension and form that a rule reads."""
    mill = Mill()
    root = mill.root(key="ec256")
    issuing = root.issue_ca("Example Issuing CA", key="rsa2048", path_length=0)
    constrained = root.issue_ca(
        "Constrained CA",
        key="ec256",
        extra=[
            extensions.name_constraints(permitted=[extensions.rfc822_name("corp.example")]),
            extensions.certificate_policies("1.2.3"),
        ],
    )
    rich = issuing.issue(
        ALICE,
        key="ec256",
        utf8_addresses=["å@corp.example"],
        upn=ALICE,
        subject_email=ALICE,
        extra=[extensions.certificate_policies("1.2.3")],
    )
    plain = issuing.issue(ALICE, key="rsa2048")
    narrow = constrained.issue(ALICE, key="ec384")
    odd = issuing.issue(ALICE, b"\xff@x", key="ec256", other_names=[der.explicit(3)])
    agreeing = issuing.issue(ALICE, key="x25519", ku=("keyAgreement",))
    signing = issuing.issue(ALICE, key="ec256", ku=("digitalSignature",))
    values = [
        *(each.der for each in (rich, plain, narrow, odd, agreeing, issuing)),
        signing.smime_blob(plain, certificates=[issuing, root]),
        plain.smime_blob(rich, preference="recipient-key-id", content=b"content"),
        plain.smime_blob(preference="microsoft", digest="sha1"),
        narrow.smime_blob(certificates=[constrained]),
        rich.smime_blob(signed_attributes=False, content=b"content"),
        certificates_only_blob(rich, plain, issuing),
        mapi_blob(rich),
    ]
    issued = (rich, plain, narrow, odd, agreeing, signing, issuing, constrained, root)
    trust = TrustStore.of([root.der], [issuing.der, constrained.der])
    return Seeds(
        trees=tuple(map(Tree.of, values)),
        genuine=frozenset(each.der for each in issued),
        context=Context(now=NOW, trust=trust, addresses=(ALICE, "alice.b@corp.example")),
    )
