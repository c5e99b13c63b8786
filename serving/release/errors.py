"""What can go wrong between a bundle and a live release.

ReleaseError                     exit code 1
├── IllegalTransition            a release may not go from that state to this one
├── UnknownRelease               no such row
├── UnknownApproval              nobody was asked that (exit code 2)
├── NotRetired                   there is no retirement that could be lifted (exit code 2)
├── JournalBroken                the journal or a row was changed after it was written (exit code 2)
├── RegistryBusy                 another process holds the registry's database (exit code 5)
├── RegistryUnusable             no driver, no right or a newer revision: not a registry for this version (exit code 2)
│   └── RegistryUnreachable      its server does not answer, or the connection broke (exit code 5)
├── DeployBusy                   another deploy of this app is under way
├── LeaseLost                    another deploy took over while this one was silent
├── RolledBack                   the package was rolled back; only a deliberate act deploys it again (exit code 4)
├── NoWayBack                    no release that a rollback could go to (exit code 2)
├── PackageError                 bundle, base or settings can not become a package (exit code 2)
│   ├── Tampered                 a file of a package is not the one that was packed
│   │   └── BadSignature         what was signed is not this package
│   └── Unsigned                 nobody whose signature counts vouches for the package
├── NotPermitted                 the licence verdict does not allow paid inference (exit code 3)
│   └── DutyOpen                 a duty of a licence has nothing in the package that fulfils it
├── CommandFailed                a command on a rented machine ended badly (`code` is its own)
└── PlatformError                exit code 5
    ├── TargetRefused            host and target do not belong together, or a key is missing (exit code 2)
    ├── WrongKey                 the platform does not know the key
    ├── SharedRefused            the account may not deploy in shared mode
    ├── DeployFailed             build, import or setup() failed on the platform
    ├── PlatformTimeout          no answer in time; what was asked may still happen
    ├── PlatformUnreachable      no connection, or it broke; what was asked may have happened
    ├── SmokeFailed              the deployed app does not do what it must
    └── RolloutFailed            the candidate is not fit to take the place of what is live
        ├── GoldenFailed         its pictures are not those of the evaluation
        └── OverBudget           it is too slow, or fails too often
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ReleaseError(ValueError):
    """Base of this room: one line that says what, what was got and what to do."""

    exit_code: ClassVar[int] = 1


class IllegalTransition(ReleaseError):
    pass


class UnknownRelease(ReleaseError):
    exit_code: ClassVar[int] = 2


class UnknownApproval(ReleaseError):
    exit_code: ClassVar[int] = 2


class NotRetired(ReleaseError):
    exit_code: ClassVar[int] = 2


class JournalBroken(ReleaseError):
    exit_code: ClassVar[int] = 2


class RegistryBusy(ReleaseError):
    exit_code: ClassVar[int] = 5


class RegistryUnusable(ReleaseError):
    exit_code: ClassVar[int] = 2


class RegistryUnreachable(RegistryUnusable):
    exit_code: ClassVar[int] = 5


class DeployBusy(ReleaseError):
    exit_code: ClassVar[int] = 5


class LeaseLost(ReleaseError):
    exit_code: ClassVar[int] = 5


class RolledBack(ReleaseError):
    exit_code: ClassVar[int] = 4


class NoWayBack(ReleaseError):
    exit_code: ClassVar[int] = 2


class PackageError(ReleaseError):
    """The bundle, the base or the settings can not become a package."""

    exit_code: ClassVar[int] = 2


class Tampered(PackageError):
    """A file of a package is missing, added or changed since it was packed."""


class BadSignature(Tampered):
    """The signature beside the package was not made for it, or the package was changed since."""


class Unsigned(PackageError):
    """There is no signature, or it is of a key that does not count here."""


class NotPermitted(ReleaseError):
    """The licence verdict does not allow host_paid_inference."""

    exit_code: ClassVar[int] = 3


class DutyOpen(NotPermitted):
    """A duty that comes with a licence is not fulfilled by the package."""


class CommandFailed(ReleaseError):
    """A command on a rented machine ended badly, or may not be begun; `code` is the exit code that it came to."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


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


class RolloutFailed(PlatformError):
    """`evidence` is what was measured, for the release's row."""

    def __init__(self, message: str, *, evidence: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.evidence = evidence


class GoldenFailed(RolloutFailed):
    pass


class OverBudget(RolloutFailed):
    pass
