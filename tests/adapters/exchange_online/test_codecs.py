"""How bytes are written, member by member."""

from __future__ import annotations

import pytest

from sync.adapters.exchange_online import Clearing, Codec, Encoding

TAG = {"UserCertificate@odata.type": "#Collection(Exchange.ByteArrayType)"}
TYPE = {"@odata.type": "#Exchange.ByteArrayType"}


@pytest.mark.parametrize(
    ("encoding", "members"),
    [
        (Encoding.TAGGED_INTEGERS, {**TAG, "UserCertificate": [{"Data": [48, 0]}, {"Data": [255]}]}),
        (Encoding.TAGGED_BASE64, {**TAG, "UserCertificate": [{"Data": "MAA="}, {"Data": "/w=="}]}),
        (Encoding.ELEMENT_INTEGERS, {"UserCertificate": [{**TYPE, "Data": [48, 0]}, {**TYPE, "Data": [255]}]}),
        (Encoding.ELEMENT_BASE64, {"UserCertificate": [{**TYPE, "Data": "MAA="}, {**TYPE, "Data": "/w=="}]}),
        (Encoding.BASE64, {"UserCertificate": ["MAA=", "/w=="]}),
        (Encoding.INTEGERS, {"UserCertificate": [[48, 0], [255]]}),
    ],
)
def test_two_values(encoding: Encoding, members: dict[str, object]) -> None:
    """Each value keeps its own place: none of the encodings runs two certificates together."""
    assert Codec(encoding=encoding).parameters("UserCertificate", [b"\x30\x00", b"\xff"]) == members


@pytest.mark.parametrize("encoding", list(Encoding))
def test_one_value_is_a_list_of_one(encoding: Encoding) -> None:
    """A flat list of integers would be taken for many values of one byte each."""
    value = Codec(encoding=encoding).parameters("UserCertificate", [b"\x30\x00"])["UserCertificate"]

    assert isinstance(value, list)
    assert len(value) == 1
    assert not isinstance(value[0], int)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_cleared_with_null(encoding: Encoding) -> None:
    """Null has no type, so it has no tag."""
    assert Codec(encoding=encoding).parameters("UserCertificate", []) == {"UserCertificate": None}


@pytest.mark.parametrize(
    ("encoding", "members"),
    [
        (Encoding.TAGGED_INTEGERS, {**TAG, "UserCertificate": []}),
        (Encoding.BASE64, {"UserCertificate": []}),
    ],
)
def test_cleared_with_an_empty_list(encoding: Encoding, members: dict[str, object]) -> None:
    """An empty list keeps the tag of its kind."""
    codec = Codec(encoding=encoding, clearing=Clearing.EMPTY)

    assert codec.parameters("UserCertificate", []) == members
