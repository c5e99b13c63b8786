"""The mail that asks fal to list the endpoint: RFC 5322, no clock in it, opens as a draft in a mail client."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from serving.listing.errors import MailError
from serving.listing.model import Listing

TYPES = {
    "html": ("text", "html"),
    "md": ("text", "markdown"),
    "json": ("application", "json"),
    "png": ("image", "png"),
    "txt": ("text", "plain"),
}


def composed(
    listing: Listing, body: str, attachments: Mapping[str, bytes], *, date: datetime | None = None, subject: str | None = None
) -> bytes:
    """The mail as bytes; equal input gives equal bytes. Without `date` the mail client sets it. MailError on bad headers."""
    message = EmailMessage(policy=SMTP.clone(max_line_length=998))
    try:
        message["From"] = listing.contact.sender
        message["To"] = listing.contact.recipient
        request = f"Marketplace listing request: {listing.endpoint_id} ({listing.metadata.display_name})"
        message["Subject"] = subject or request
        if date is not None:
            message["Date"] = format_datetime(date)
        message["X-Unsent"] = "1"  # mail clients that know it open the file for editing instead of reading
    except (ValueError, MessageError, IndexError) as error:
        raise MailError(f"mail: {' '.join(str(error).split())}; sender, recipient and title must be on one line") from None
    message.set_content(body, cte="quoted-printable")
    for name, content in attachments.items():
        maintype, subtype = TYPES[name.rpartition(".")[2]]
        message.add_attachment(content, maintype=maintype, subtype=subtype, filename=name)
    message.set_boundary(boundary(body, attachments))
    return message.as_bytes()


def boundary(body: str, attachments: Mapping[str, bytes]) -> str:
    """A separator out of the content: the same mail has the same one, and no content can know it beforehand."""
    digest = hashlib.sha256(body.encode())
    for name, content in attachments.items():
        digest.update(name.encode() + b"\0" + hashlib.sha256(content).digest())
    return f"lorasmith-{digest.hexdigest()[:40]}"
