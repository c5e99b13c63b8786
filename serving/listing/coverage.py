"""Which prompts stand for a dataset: those that lie furthest from each other, so that nobody picks the prettiest. Pure."""

from collections.abc import Sequence


def covering(captions: Sequence[str], number: int, *, pinned: Sequence[str] = ()) -> tuple[str, ...]:
    """`pinned` first, then captions until there are `number`: each is the one least like all before it (greedy k-centre).

    The first one that is not pinned is the caption most like all others. Ties fall to the earlier caption.
    """
    chosen = list(dict.fromkeys(pinned))[:number]
    left = [caption for caption in dict.fromkeys(captions) if caption and caption not in chosen]
    if not chosen and left:
        chosen = [max(left, key=lambda caption: sum(likeness(caption, other) for other in left))]
        left.remove(chosen[0])
    while left and len(chosen) < number:
        furthest = min(left, key=lambda caption: max(likeness(caption, other) for other in chosen))
        chosen.append(furthest)
        left.remove(furthest)
    return tuple(chosen)


def likeness(one: str, other: str) -> float:
    """Share of common pieces of three letters, 0 to 1 (Jaccard)."""
    mine, theirs = _pieces(one), _pieces(other)
    return len(mine & theirs) / len(mine | theirs)


def _pieces(text: str) -> set[str]:
    padded = f"  {' '.join(text.casefold().split())} "
    return {padded[start : start + 3] for start in range(len(padded) - 2)}
