"""What to tell fal when a listed endpoint was taken down: a note for the author, and the mail that asks for the entry to go."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from typing import Literal

from serving.listing.errors import MailError

NOW: Mapping[str, str] = {
    "private": "The app is private: calls of every other account are refused, and nothing is billed to callers any more.",
    "delete": "The app was deleted: its address answers nobody, and nothing is billed to callers any more.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Takedown:
    """A release that was retired. `endpoint` is owner/app; `since` is ISO 8601; sender and recipient may be unknown (empty)."""

    endpoint: str
    title: str
    target: str
    revision: str | None
    package: str
    reason: str
    mode: Literal["private", "delete"]
    since: str
    sender: str
    recipient: str


def note(takedown: Takedown) -> str:
    """RETIRED.md: what was done, what callers see, what is left to do by hand, and the mail."""
    return "\n".join(
        [
            f"# {takedown.endpoint} was retired",
            "",
            f"- reason: {_line(takedown.reason)}",
            f"- since: {takedown.since}",
            f"- release: revision {takedown.revision or '(none)'} on {takedown.target}, package {takedown.package}",
            f"- {NOW[takedown.mode]}",
            "",
            "## What is left to do",
            "",
            *_left(takedown),
            "",
            "## The mail",
            "",
            *(f"    {line}".rstrip() for line in (*_head(takedown), "", *body(takedown).splitlines())),
            "",
        ]
    )


def body(takedown: Takedown) -> str:
    """The text of the mail."""
    return "\n".join(
        [
            "Hello,",
            "",
            f"please take the Marketplace entry of {takedown.endpoint} down, with its model page, playground and API page.",
            "",
            f"Endpoint: {takedown.endpoint}",
            f"Title: {takedown.title}",
            f"Revision: {takedown.revision or '(none)'}",
            f"Reason: {_line(takedown.reason)}",
            f"Since: {takedown.since}",
            "",
            NOW[takedown.mode],
            "If there is no entry for this endpoint, nothing is to be done. Please tell me once the entry is gone.",
            "",
            takedown.sender,
            "",
        ]
    )


def mail(takedown: Takedown) -> bytes:
    """The mail as a draft that mail clients open for editing; equal input gives equal bytes. MailError without both addresses."""
    if not (takedown.sender and takedown.recipient):
        raise MailError("mail: the listing names no sender and recipient; write the mail by hand, its text is in RETIRED.md")
    message = EmailMessage(policy=SMTP.clone(max_line_length=998))
    try:
        message["From"], message["To"], message["Subject"] = takedown.sender, takedown.recipient, _subject(takedown)
        message["X-Unsent"] = "1"
    except (ValueError, MessageError, IndexError) as error:
        raise MailError(f"mail: {' '.join(str(error).split())}; sender, recipient and title must be on one line") from None
    message.set_content(body(takedown), cte="quoted-printable")
    return message.as_bytes()


def _head(takedown: Takedown) -> list[str]:
    return [f"To: {takedown.recipient or '(whom you wrote to for the listing)'}", f"Subject: {_subject(takedown)}"]


def _subject(takedown: Takedown) -> str:
    return f"Marketplace takedown request: {takedown.endpoint} ({_line(takedown.title)})"


def _left(takedown: Takedown) -> list[str]:
    if takedown.target != "fal":
        return [
            f"- Nothing at fal: this release ran on the target {takedown.target}, and no entry was made of it.",
            "  The mail shows what to write where a release on fal is retired.",
        ]
    return [
        "- People at fal edit the Marketplace: no command takes an entry out. If this endpoint was listed, send the mail below",
        f"  {'(`takedown.eml` opens in a mail client).' if takedown.sender and takedown.recipient else 'to whom you wrote then.'}",
        "- Pictures that were delivered stay with those who have them.",
    ]


def _line(text: str) -> str:
    return " ".join(text.split())
