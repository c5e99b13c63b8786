"""The mail that asks fal to switch shared mode on: there is no other way, and fal does it by hand, account by account."""

from __future__ import annotations

from collections.abc import Mapping
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from serving.release.errors import PackageError

_BODY = """\
Hello,

please enable shared mode for our serverless account, so that other accounts can call our app with their own keys and are
billed for it:

  account          {account}
  app              {app}
  machine          {machine}
  billing          {unit}
  what it serves   {base}, with a LoRA of our own
  licences         {expression}
  hosting for pay  {verdict} (checked {as_of}, record {hash})
{terms}
{why}

Where serverless access itself is still to be granted, please count this as the request for it, too. When it is enabled we
deploy and send the listing request.

{sender}
"""

_NOT_TRIED = "The package is made and tested on a local stand-in for the platform; nothing was deployed at fal yet."


def enablement_mail(
    *,
    account: str,
    app: str,
    machine: str,
    unit: str,
    verdict: Mapping[str, Any],
    sender: str,
    recipient: str,
    refusal: str | None,
) -> bytes:
    """The mail as bytes, ready to open and send; no clock is in it but the day of the licence check.

    `refusal` is what fal answered to a deploy; None where none was tried yet.
    """
    use = verdict.get("uses", {}).get("host_paid_inference", {})
    terms = "".join(f"                   {line}\n" for line in verdict.get("display_lines", ()))
    body = _BODY.format(
        account=account,
        app=app,
        machine=machine,
        unit=f"one unit each {unit}",
        base=verdict.get("base", "an open base"),
        expression=verdict.get("expression") or "see the record",
        verdict=use.get("verdict", "not checked"),
        as_of=verdict.get("as_of", "on an unknown day"),
        hash=str(verdict.get("hash", "none"))[:16],
        terms=terms,
        why=_NOT_TRIED if refusal is None else f"A deploy in shared mode was refused today with: {refusal}",
        sender=sender,
    )
    message = EmailMessage(policy=SMTP.clone(max_line_length=998))
    try:
        message["From"], message["To"] = sender, recipient
        message["Subject"] = f"Shared mode for serverless account {account} (app {app})"
        message["X-Unsent"] = "1"  # mail clients that know it open the file for editing instead of reading
    except (ValueError, MessageError, IndexError) as error:
        raise PackageError(f"mail: {' '.join(str(error).split())}; sender and recipient must be on one line") from None
    message.set_content(body, cte="quoted-printable")
    return message.as_bytes()
