"""What can go wrong between a bundle and a live release.

ReleaseError                     exit code 1
├── IllegalTransition            a release may not go from that state to this one
├── UnknownRelease               no such row
├── JournalBroken                the journal or a row was changed after it was written
├── RegistryBusy                 another process holds the registry's database
├── DeployBusy                   another deploy of this app is under way
├── LeaseLost                    another deploy took over while this one was silent
├── PackageError                 bundle, base or settings can not become a package (exit code 2)
│   └── Tampered                 a file of a package is not the one that was packed
├── NotPermitted                 the licence verdict does not allow paid inference (exit code 3)
│   └── DutyOpen                 a duty of a licence has nothing in the package that fulfils it
└── PlatformError                exit code 5
    ├── TargetRefused            host and target do not belong together, or a key is missing (exit code 2)
    ├── WrongKey                 the platform does not know the key
    ├── SharedRefused            the account may not deploy in shared mode
    ├── DeployFailed             build, import or setup() failed on the platform
    ├── PlatformTimeout          no answer in time; what was asked may still happen
    ├── PlatformUnreachable      no connection, or it broke; what was asked may have happened
    └── SmokeFailed              the deployed app does not do what it must
"""

from __future__ import annotations

from typing import ClassVar


class ReleaseError(ValueError):
    """Base of this room: one line that says what, what was got and what to do."""

    exit_code: ClassVar[int] = 1


class IllegalTransition(ReleaseError):
    pass


class UnknownRelease(ReleaseError):
    exit_code: ClassVar[int] = 2


class JournalBroken(ReleaseError):
    pass


class RegistryBusy(ReleaseError):
    pass


class DeployBusy(ReleaseError):
    exit_code: ClassVar[int] = 5


class LeaseLost(ReleaseError):
    exit_code: ClassVar[int] = 5


class PackageError(ReleaseError):
    """The bundle, the base or the settings can not become a package."""

    exit_code: ClassVar[int] = 2


class Tampered(PackageError):
    """A file of a package is missing, added or changed since it was packed."""


class NotPermitted(ReleaseError):
    """The licence verdict does not allow host_paid_inference."""

    exit_code: ClassVar[int] = 3


class DutyOpen(NotPermitted):
    """A duty that comes with a licence is not fulfilled by the package."""


class PlatformError(ReleaseError):
    """The platform, or the way to it, said no. `tail` holds the last lines of its log, oldest first."""

    exit_code: ClassVar[int] = 5

    def __init__(self, message: str, *, tail: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.tail = tail


class TargetRefused(PlatformError):
    exit_code: ClassVar[int] = 2


class WrongKey(PlatformError):
    pass


class SharedRefused(PlatformError):
    pass


class DeployFailed(PlatformError):
    pass


class PlatformTimeout(PlatformError):
    pass


class PlatformUnreachable(PlatformError):
    pass


class SmokeFailed(PlatformError):
    pass
