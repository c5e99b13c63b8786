"""What a form of tests/operations/bare.py found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """Whether Prefect does what its trap says, and what was seen."""

    hurts: bool
    said: str

    def __str__(self) -> str:
        return f"{'yes' if self.hurts else 'no'}: {self.said}"
