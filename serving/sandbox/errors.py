"""What can go wrong in the sandbox, by who can mend it.

SandboxError (5)
├── PortInUse              another program listens there
├── StartFailed            the daemon ended before it was ready
├── BuildFailed            the requirements of an app are not met by this interpreter
├── RunnerFailed           an app did not get through setup() and its health check
│   └── StartupTimedOut    it did not within startup_timeout
├── StartTimedOut          no runner had a place for a request in time
├── NotFound               no such app, revision, environment or file
└── NotAllowed             the account may not do that
"""


class SandboxError(ValueError):
    """A fault that the sandbox reports in one line: what, what was got, what to do."""

    exit_code = 5


class PortInUse(SandboxError):
    """The asked port is taken on 127.0.0.1."""


class StartFailed(SandboxError):
    """The daemon did not become ready."""


class BuildFailed(SandboxError):
    """What an app asks for is not installed in the interpreter that would run it."""


class RunnerFailed(SandboxError):
    """A runner ended, or did not answer its health check in time."""


class StartupTimedOut(RunnerFailed):
    """A runner was not healthy within the app's startup_timeout."""


class StartTimedOut(SandboxError):
    """A request waited longer for a runner than it may."""


class NotFound(SandboxError):
    """The named thing does not exist here."""


class NotAllowed(SandboxError):
    """The account lacks the right."""
