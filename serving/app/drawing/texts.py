"""Texts of a call that are equal are encoded once: most often the negative prompt, which every picture of a call has."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_BY_TEXT = frozenset({"input_ids", "attention_mask"})  # what a text encoder is given a row a text of


@contextmanager
def equal_texts_once(pipe: Any) -> Iterator[None]:
    """Let the pipeline's text encoders run only the rows of a call that differ; each row's result goes to all that equal it."""
    encoders = [part for name, part in pipe.components.items() if name.startswith("text_encoder") and part is not None]
    hooks = [hook for encoder in encoders for hook in _Once().on(encoder)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Once:
    """The hooks of one encoder. rows: for each text of the call at work, the row that is run for it; None where all are run."""

    def __init__(self) -> None:
        self.rows: list[int] | None = None

    def on(self, encoder: "torch.nn.Module") -> list[Any]:
        before = encoder.register_forward_pre_hook(self._before, with_kwargs=True)
        return [before, encoder.register_forward_hook(self._after)]

    def _before(self, _encoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        named = {"input_ids": args[0]} if len(args) == 1 else {}
        given = {name: value for name, value in (kwargs | named).items() if hasattr(value, "shape")}
        self.rows = None
        if "input_ids" not in given or not given.keys() <= _BY_TEXT or any(tensor.ndim != 2 for tensor in given.values()):
            return None  # given otherwise, or more than text: as it is
        texts = [str([tensor[row].tolist() for tensor in given.values()]) for row in range(len(given["input_ids"]))]
        different = list(dict.fromkeys(texts))
        if len(different) == len(texts):
            return None
        self.rows = [different.index(text) for text in texts]
        firsts = [texts.index(text) for text in different]
        chosen = {name: tensor[firsts] for name, tensor in given.items()}
        return tuple(chosen.pop("input_ids") for _ in args), kwargs | {name: chosen[name] for name in chosen if name in kwargs}

    def _after(self, _encoder: Any, _args: Any, output: Any) -> Any:
        return output if self.rows is None else _spread(output, self.rows)


def _spread(output: Any, rows: list[int]) -> Any:
    """The output of an encoder with each row where it is wanted."""
    if hasattr(output, "shape"):
        return output[rows]
    if isinstance(output, Mapping):  # transformers' own kind of it, in which fields that are None are left out
        return type(output)(**{name: _spread(value, rows) for name, value in output.items()})
    if isinstance(output, tuple):
        return tuple(_spread(value, rows) for value in output)
    return output
