"""Whose picture is drawn next: callers take turns, pictures of one shape share a call, a caller's own stay in order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, takewhile, zip_longest
from typing import Generic, TypeVar

from .engine import Shape


@dataclass(kw_only=True, slots=True, eq=False)
class Place:
    """One picture's place in the line. `arrived` in seconds; `alone`: a call that it shared failed, the next one is its own."""

    caller: str
    shape: Shape
    arrived: float
    alone: bool = False


P = TypeVar("P", bound=Place)


class Turns(Generic[P]):
    """The places that wait. A call is led by the first place of the caller whose turn it is; others of its shape join.

    Fair: a turn ends with its call, and who comes meanwhile goes before the caller that was served; so a caller that waits
    leads a call after at most one of each other caller, however much those ask for. In order: of one caller's places of one
    shape none is overtaken; one of another shape is overtaken only by places that join somebody's call.
    """

    def __init__(self) -> None:
        self._lines: dict[str, list[P]] = {}  # callers in the order of their turns; no line is empty

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[P]:
        return chain.from_iterable(self._lines.values())

    def held_by(self, caller: str) -> int:
        """How many places this caller has."""
        return len(self._lines.get(caller, ()))

    def append(self, place: P) -> None:
        """Let a place wait behind its caller's others; a new caller's turn comes last."""
        self._lines.setdefault(place.caller, []).append(place)

    def put_back(self, places: Iterable[P]) -> None:
        """Let places that `take` gave wait again, before all others of their callers."""
        for place in reversed([*places]):
            self._lines.setdefault(place.caller, []).insert(0, place)

    def discard(self, place: P) -> None:
        """Forget a place, whether it waits or not."""
        line = self._lines.get(place.caller, [])
        if place in line:
            line.remove(place)
        if not line:
            self._lines.pop(place.caller, None)

    def next_call(self, limit: Callable[[Shape], int]) -> list[P]:
        """The places that a call would be made for now, at most limit(shape) and the leader first; none if nobody waits."""
        if not self._lines:
            return []
        leader = next(iter(self))
        if leader.alone:
            return [leader]
        joining = (takewhile(lambda place: not place.alone, _of(leader.shape, line)) for line in self._lines.values())
        in_turn = (place for one_each in zip_longest(*joining) for place in one_each if place is not None)
        return [place for place, _ in zip(in_turn, range(limit(leader.shape)), strict=False)]

    def take(self, limit: Callable[[Shape], int]) -> list[P]:
        """The places of `next_call`, which do not wait any more."""
        call = self.next_call(limit)
        for place in call:
            self.discard(place)
        return call

    def end_turn(self, caller: str) -> None:
        """Let this caller's next turn come after everybody else's who waits now."""
        if caller in self._lines:
            self._lines[caller] = self._lines.pop(caller)


def _of(shape: Shape, line: Iterable[P]) -> Iterator[P]:
    return (place for place in line if place.shape == shape)
