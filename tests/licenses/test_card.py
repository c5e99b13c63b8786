"""A card is read strictly: what is odd is a reason to stop, never a default."""

import pytest

from licenses.card import CARD_LIMIT, read_card
from licenses.errors import SourceFailure


def card(front: str, body: str = "# A model\n") -> bytes:
    return f"---\n{front}\n---\n{body}".encode()


@pytest.mark.parametrize(
    ("raw", "license"),
    [
        (card("license: apache-2.0"), "apache-2.0"),
        (card("license: [mit]"), "mit"),
        (b"\xef\xbb\xbf" + card("license: mit"), "mit"),
        (card("license: mit").replace(b"\n", b"\r\n"), "mit"),
        (card("tags: [a]"), None),
        (b"# no front matter", None),
        (b"", None),
        (card("License: cc-by-nc-4.0"), "cc-by-nc-4.0"),
    ],
)
def test_the_licence_of_a_card(raw: bytes, license: str | None) -> None:
    assert read_card(raw).license == license


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        pytest.param(card("license: [mit, cc-by-nc-4.0]"), "tag_ambiguous", id="two licences"),
        pytest.param(card("license: no"), "card_invalid", id="a boolean"),
        pytest.param(card("license: 2.0"), "card_invalid", id="a number"),
        pytest.param(card("license: ''"), "card_invalid", id="empty text"),
        pytest.param(card("license: '  '"), "card_invalid", id="blank text"),
        pytest.param(card("license:"), "card_invalid", id="null"),
        pytest.param(card("license: {id: mit}"), "card_invalid", id="a mapping"),
        pytest.param(card("license: mit\nlicense: cc-by-nc-4.0"), "card_invalid", id="the key twice"),
        pytest.param(card("license: mit\nLICENSE: cc-by-nc-4.0"), "card_invalid", id="the key twice but for case"),
        pytest.param(card("a: &x mit\nlicense: *x"), "card_invalid", id="an alias"),
        pytest.param(card("license: !!python/object/apply:os.system ['true']"), "card_invalid", id="a tag that runs code"),
        pytest.param(card("license: mit\nx: " + "[" * 5000 + "]" * 5000), "card_invalid", id="deep nesting"),
        pytest.param(card("- license: mit"), "card_invalid", id="a list"),
        pytest.param(card("license: mit\nbase_model: {id: a/b}"), "card_invalid", id="a parent as a mapping"),
        pytest.param(card("license: mit\nbase_model: [a/b, 3]"), "card_invalid", id="a parent as a number"),
        pytest.param(card("license: mit\nlicense_name: [x]"), "card_invalid", id="license_name as a list"),
        pytest.param(b"---\nlicense: mit\n", "card_invalid", id="front matter that never closes"),
        pytest.param(card("license: mit\nx: [unclosed"), "card_invalid", id="broken yaml"),
        pytest.param(card("license: mit\nx: " + "y" * 70_000), "card_too_large", id="huge front matter"),
        pytest.param(card("license: mit", "\xff").replace("\xff".encode(), b"\xff"), "card_not_utf8", id="latin-1"),
        pytest.param(card("license: mit").decode().encode("utf-16"), "card_not_utf8", id="utf-16"),
        pytest.param(card("license: mit", "a\x00b"), "card_not_utf8", id="a NUL"),
    ],
)
def test_an_odd_card_is_refused(raw: bytes, code: str) -> None:
    with pytest.raises(SourceFailure) as refused:
        read_card(raw)
    assert refused.value.code == code
    assert "\n" not in str(refused.value)
    assert len(raw) < CARD_LIMIT


def test_an_alias_bomb_costs_nothing() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)
    )
    with pytest.raises(SourceFailure, match="anchors"):
        read_card(card(bomb + "license: mit"))
