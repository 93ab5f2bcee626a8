"""Reading CLIXML (MS-PSRP 2.2.5), and refusing what only looks like it."""

from __future__ import annotations

import pytest

from sync.adapters.exchange_online.clixml import ClixmlError, read

HEAD = '<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'


def objs(*objects: str) -> str:
    """A document with these objects."""
    return f"{HEAD}{''.join(objects)}</Objs>"


def obj(*properties: str) -> str:
    """An object with these properties."""
    return f'<Obj RefId="0"><TN RefId="0"><T>A</T></TN><ToString>x</ToString><Props>{"".join(properties)}</Props></Obj>'


def test_properties_of_every_kind() -> None:
    """Bytes are bytes, booleans booleans, nothing is None; the rest is text, as JSON answers have it."""
    document = objs(
        obj(
            '<S N="Name">Ada</S>',
            '<B N="IsDirSynced">true</B>',
            '<B N="IsValid">False</B>',
            '<BA N="Blob">MAA=</BA>',
            '<Nil N="Nothing" />',
            '<I32 N="Count">7</I32>',
            '<G N="Guid">2be92a50-7cc5-4a40-8471-b7ce9c2e3426</G>',
            '<S N="Empty"></S>',
        )
    )

    assert read(document) == [
        {
            "Name": "Ada",
            "IsDirSynced": True,
            "IsValid": False,
            "Blob": b"\x30\x00",
            "Nothing": None,
            "Count": "7",
            "Guid": "2be92a50-7cc5-4a40-8471-b7ce9c2e3426",
            "Empty": "",
        }
    ]


def test_collections() -> None:
    """Lists of bytes and of strings, an empty one, and one whose bytes are broken over lines."""
    document = objs(
        obj(
            '<Obj N="UserCertificate" RefId="1"><TN RefId="1"><T>M</T></TN>'
            "<LST><BA>MAA=</BA><BA>M\n AE=</BA></LST></Obj>",
            '<Obj N="UserSMimeCertificate" RefId="2"><TNRef RefId="1" /><LST /></Obj>',
            '<Obj N="EmailAddresses" RefId="3"><TNRef RefId="1" /><IE><S>SMTP:a@b.example</S></IE></Obj>',
        )
    )

    assert read(document) == [
        {
            "UserCertificate": [b"\x30\x00", b"\x30\x01"],
            "UserSMimeCertificate": [],
            "EmailAddresses": ["SMTP:a@b.example"],
        }
    ]


def test_a_list_at_the_top_counts_as_its_objects() -> None:
    """Cmdlets answer with a collection around the objects, or without."""
    inside = obj('<S N="Name">Ada</S>') + obj('<S N="Name">Bob</S>')

    assert read(objs(f'<Obj RefId="9"><LST>{inside}</LST></Obj>')) == read(objs(inside))
    assert [row["Name"] for row in read(objs(inside))] == ["Ada", "Bob"]


def test_a_value_wrapped_in_an_object() -> None:
    """An enum is an object around a number, with its name as text."""
    enum = '<Obj N="Type" RefId="1"><TN RefId="1"><T>E</T></TN><ToString>UserMailbox</ToString></Obj>'

    assert read(objs(obj(enum)))[0]["Type"] == "UserMailbox"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("a_x000D__x000A_b", "a\r\nb"), ("_xD83D__xDE00_", "\N{GRINNING FACE}"), ("_x005F_x0041_", "_x0041_")],
)
def test_escaped_characters(written: str, meant: str) -> None:
    """MS-PSRP 2.2.5.3.2: UTF-16 units that XML cannot carry, and the underscore that would look like one."""
    assert read(objs(obj(f'<S N="Text">{written}</S>')))[0]["Text"] == meant


def test_the_comment_line_of_powershell() -> None:
    """A shell writes a line in front."""
    assert read("#< CLIXML\r\n" + objs(obj('<S N="Name">Ada</S>'))) == [{"Name": "Ada"}]


def test_nothing() -> None:
    """No objects are no rows."""
    assert read(objs()) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<Objs>",
        "<html><body>Sign in</body></html>",
        "\0\0\0",
        objs("<S>alone</S>"),
        objs(obj('<BA N="Blob">MA!A=</BA>')),
        '<!DOCTYPE Objs [<!ENTITY a "b">]>' + objs(obj('<S N="Name">&a;</S>')),
        '<!DOCTYPE Objs SYSTEM "http://localhost/x.dtd">' + objs(),
        objs("<Obj><LST>" * 40 + "</LST></Obj>" * 40),
    ],
    ids=["empty", "cut", "html", "nul", "primitive", "bytes", "entity", "external", "deep"],
)
def test_refused(text: str) -> None:
    """Whatever is not CLIXML, and whatever would make a parser work or fetch, is one error."""
    with pytest.raises(ClixmlError):
        read(text)
