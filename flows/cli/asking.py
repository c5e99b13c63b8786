"""The question before what costs, or can not be undone."""

import sys

import typer


def agrees(question: str, yes: bool) -> bool:
    """Whether a person says yes, here or with --yes; where nobody is there to answer, the answer is no."""
    if yes:
        return True
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        print(file=sys.stderr)
        return False


def require_agreed(question: str, yes: bool, *, otherwise: str) -> None:
    """JobError unless a person says yes; `otherwise` says what was left as it is."""
    from flows.errors import JobError

    if not agrees(question, yes):
        raise JobError(f"{otherwise}: say yes at the question, or give --yes")
