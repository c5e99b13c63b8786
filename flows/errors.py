"""What can go wrong in a flow, with the exit code that the command ends with.

FlowError
├── JobError            bad job file or input (2)
├── BadKey              a key that is missing, loose, broken or of another kind (2)
├── LicenceBlocked      the gate said no (3)
├── GateRejected        the adapter is not good enough (4)
├── HubFailed           the Hugging Face Hub can not be asked, or refuses (5)
├── NotApproved         a person said no, or has not said anything yet (4)
├── PrefectAway         Prefect's server is named and does not answer (5)
├── NotReady            what a deploy needs is not there, found before anything costs (the code of the first finding)
└── StepFailed          a child process ended badly (its own code)
    └── StepKilled      it said nothing, as one that somebody or the kernel killed
"""

from pathlib import Path


class FlowError(ValueError):
    exit_code = 1


class JobError(FlowError):
    exit_code = 2


class BadKey(FlowError):
    exit_code = 2


class LicenceBlocked(FlowError):
    exit_code = 3


class GateRejected(FlowError):
    exit_code = 4
    bundle: Path | None = None  # the evaluation that was judged, where it came to that


class NotApproved(FlowError):
    exit_code = 4


class HubFailed(FlowError):
    exit_code = 5


class PrefectAway(FlowError):
    exit_code = 5


class NotReady(FlowError):
    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StepFailed(FlowError):
    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StepKilled(StepFailed):
    """What it had finished is found by whoever starts it again."""
