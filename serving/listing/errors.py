"""What can go wrong while a listing is drafted, with the exit code that the command ends with.

ListingError
├── DraftRefused     the draft has findings that a reviewer would send back (2)
├── MailError        the mail can not be written with these texts (2)
└── GalleryError     the deployed app did not deliver an example, or billed something else (5)
"""


class ListingError(ValueError):
    exit_code = 2


class DraftRefused(ListingError):
    pass


class MailError(ListingError):
    pass


class GalleryError(ListingError):
    exit_code = 5
