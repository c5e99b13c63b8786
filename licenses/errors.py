"""What can go wrong in licenses, all of it a ValueError with one line: what, what was got, what to do.

LicensesError
├── BadReference     a base, component or dataset that is neither a folder nor a Hub id
├── BadPublisher     publisher.yaml with a field that can not be
├── BadWaiver        a waiver or its evidence that can not be read, or that could never count
├── SourceFailure    evidence that could not be had; its code becomes the reason of a block
├── BomInvalid       a bill of materials that its own schema refuses
└── NoticesRefused   a duty to ship a text, and no text
"""


def flat(text: object) -> str:
    """One printable line: evidence may hold line breaks, control characters and broken Unicode, a message may not."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in str(text)).split())


class LicensesError(ValueError):
    exit_code = 2


class BadReference(LicensesError):
    """A base, component or dataset that names nothing."""


class BadPublisher(LicensesError):
    """A publisher profile that does not hold."""


class BadWaiver(LicensesError):
    """A waiver that does not hold as a file."""


class BomInvalid(LicensesError):
    """A bill of materials that does not hold: a fault of ours."""

    exit_code = 1


class NoticesRefused(LicensesError):
    """The notices can not be written as the licences ask."""

    exit_code = 3


class SourceFailure(LicensesError):
    """Evidence that could not be had: `code` is the reason code of the block that follows from it."""

    exit_code = 5

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
