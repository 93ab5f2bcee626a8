"""Coverage-guided fuzzing: `python -m tests.fuzz [corpus folder] [-max_total_time=600 and other flags of libFuzzer]`.

It needs atheris: `pip install .[fuzz]`. A crash leaves its value in a file; give the file in the place of the folder to
see it again, and keep what it shows as a named test.
"""

from __future__ import annotations

import sys
from random import Random

import atheris

with atheris.instrument_imports(include=["sync.core", "asn1crypto"]):
    from sync.core.judgement import judge
    from sync.core.person import Attribute
from tests.fuzz.mutations import Tree, mutate
from tests.fuzz.seeds import seeds


def judge_one(value: bytes) -> None:
    """A verdict with a reason, and nothing accepted that no CA issued; anything else is a crash."""
    for attribute in Attribute:
        verdict = judge(attribute, value, seeds().context)
        if verdict.accepted:
            assert verdict.certificate is not None
            assert verdict.certificate.der in seeds().genuine
        else:
            assert any(finding.refuses for finding in verdict.findings)


def mutated(value: bytes, max_size: int, seed: int) -> bytes:
    """Half of the time as the structure asks, otherwise as libFuzzer does; from nothing, a sound value."""
    random = Random(seed)
    if not value:
        return random.choice(seeds().trees).value[:max_size]
    if random.random() < 0.5:
        return bytes(atheris.Mutate(value, max_size))
    return mutate(Tree.of(value), seeds().trees, random)[:max_size]


if __name__ == "__main__":
    atheris.Setup([*sys.argv, "-max_len=40000", "-timeout=5"], judge_one, custom_mutator=mutated)
    atheris.Fuzz()
