"""The mail parses in a client: headers, body, attachments; nobody writes headers through a title."""

import email
import email.policy
import io
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest
from PIL import Image

from serving.listing.errors import DraftRefused, MailError
from serving.listing.mail import composed
from serving.listing.model import parsed
from tests.serving.listing.material import TEXTS, drafted, listing_in


def opened(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def test_headers_and_attachments(draft: Path) -> None:
    message = opened((draft / "request.eml").read_bytes())
    assert message["From"] == TEXTS.sender
    assert message["To"] == TEXTS.recipient
    assert message["Subject"] == "Marketplace listing request: studio/clay (Soft Clay Icons)"
    assert message["Date"] is None
    attached = {part.get_filename(): part.get_payload(decode=True) for part in message.iter_attachments()}
    names = ("index.html", "MODEL_CARD.md", "listing.json", "thumbnail.png", "social.png")
    assert attached == {name: (draft / name).read_bytes() for name in names}


def test_body_says_what_fal_needs(draft: Path) -> None:
    message = opened((draft / "request.eml").read_bytes())
    part = message.get_body(("plain",))
    assert part is not None
    body = " ".join(part.get_content().split())
    listing = listing_in(draft)
    needed = [
        "studio/clay",
        "r-main",
        listing.pricing.rationale,
        "answered 401",
        "ef" * 32,
        "a second account",
        listing.facts.marking,
    ]
    needed += [question.question for question in listing.open_questions]
    assert [text for text in needed if text not in body] == []


def test_date_is_the_one_passed_in(draft: Path) -> None:
    date = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    message = opened(composed(listing_in(draft), "Text", {}, date=date))
    assert message["Date"].datetime == date


def test_names_beyond_ascii_survive(draft: Path) -> None:
    listing = listing_in(draft)
    people = listing.contact.model_copy(update={"sender": "Müller & Søn <post@example.org>"})
    card = listing.metadata.model_copy(update={"display_name": "Ton-Bildchen “weich” 🦊"})
    message = opened(composed(listing.model_copy(update={"contact": people, "metadata": card}), "Größe", {}))
    assert message["From"].addresses[0].display_name == "Müller & Søn"
    assert "🦊" in message["Subject"]
    assert message.get_content().splitlines() == ["Größe"]


@pytest.mark.parametrize("title", ["Clay\nBcc: all@example.org", "Clay\r\n\r\nBody", "Clay\u2028Bcc: x@example.org"])
def test_title_can_not_write_headers(tmp_path: Path, title: str) -> None:
    with pytest.raises(DraftRefused, match=r"title: holds"):
        drafted(tmp_path / "draft", texts=replace(TEXTS, title=title))


def test_mail_refuses_line_breaks_by_itself(draft: Path) -> None:
    listing = listing_in(draft)
    card = listing.metadata.model_copy(update={"display_name": "Clay\nBcc: all@example.org"})
    with pytest.raises(MailError, match="must be on one line") as caught:
        composed(listing.model_copy(update={"metadata": card}), "Text", {})
    assert "\n" not in str(caught.value)


def test_what_is_attached_can_be_opened(draft: Path) -> None:
    message = opened((draft / "request.eml").read_bytes())
    for part in message.iter_attachments():
        name, content = str(part.get_filename()), part.get_content()
        if name.endswith(".png"):
            with Image.open(io.BytesIO(content)) as picture:
                picture.verify()
        elif name.endswith(".json"):
            assert parsed(content.decode()) == listing_in(draft)
        else:
            assert "Soft Clay Icons" in content


def test_lines_fit_a_mail_window(draft: Path) -> None:
    part = opened((draft / "request.eml").read_bytes()).get_body(("plain",))
    assert part is not None
    assert [line for line in part.get_content().splitlines() if len(line) > 110] == []
