"""Commands of this room, one folder in, one folder out:  python -m training.run train | adopt | evaluate | sample"""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from training.config import load_config
from training.errors import StorageError
from training.events import Events
from training.signals import raising

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code: 0 done, 1 fault of ours, 2 bad input, 5 Hub, 130 interrupted.

    What went wrong is one line on stderr and the last event (with exit_code, since launchers put their own in its place);
    LORASMITH_DEBUG=1 adds the traceback.
    """
    options = _parser().parse_args(arguments)
    try:
        with Events(_logs(options)) as events:
            return _guarded(options, events)
    except OSError as error:
        print(
            f"events cannot be written ({error.strerror}: {error.filename}): give --events and --out a writable place",
            file=sys.stderr,
        )
        return 2


def _guarded(options: argparse.Namespace, events: Events) -> int:
    try:
        with raising():
            options.command(options, events)
    except KeyboardInterrupt:
        return _failed(events, options.name, "stopped: run again and finished work is found", 130)
    except Exception as error:
        if os.environ.get("LORASMITH_DEBUG") == "1":
            traceback.print_exception(error)
        said = " ".join(str(error).split())
        if isinstance(error, ValueError) and hasattr(error, "exit_code"):
            return _failed(events, options.name, said, error.exit_code)
        if isinstance(error, OSError) and error.errno in _FULL:
            line = f"no room to write '{error.filename}' ({error.strerror}): make room on the disk and run again"
            return _failed(events, options.name, f"{line}; what was finished is found", 2)
        return _failed(events, options.name, f"unexpected {type(error).__name__}: {said[:300]}; LORASMITH_DEBUG=1 shows where", 1)
    events.emit("done", stage=options.name)
    return 0


def _failed(events: Events, stage: str, line: str, code: int) -> int:
    print(line, file=sys.stderr)
    with suppress(StorageError):  # a disk that is full for events too: the line was said
        events.emit("error", stage=stage, exit_code=code, message=line)
    return code


def _logs(options: argparse.Namespace) -> list[Path]:
    """Where events go: the file asked for, and events.jsonl of the folder made, which goes on from that of the training."""
    if os.environ.get("RANK", "0") != "0":
        return []
    asked = [options.events] if options.events else []
    if options.name == "sample":
        return asked
    kept = options.out / "events.jsonl"
    if options.name == "evaluate" and (options.adapter / kept.name).is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(options.adapter / kept.name, kept)
    return [*asked, kept]


def _train(options: argparse.Namespace, events: Events) -> None:
    from training.stages import train_adapter

    train_adapter(load_config(options.config), options.out, work=options.work, events=events)


def _adopt(options: argparse.Namespace, events: Events) -> None:
    from training.adoption import adopt_adapter

    adopt_adapter(load_config(options.config), options.adapter, options.out, events=events)


def _evaluate(options: argparse.Namespace, events: Events) -> None:
    from training.stages import evaluate_adapter

    evaluate_adapter(
        load_config(options.config), options.adapter, options.out, events=events, champion=options.champion, twin=options.twin
    )


def _sample(options: argparse.Namespace, events: Events) -> None:
    from training.sample import sample

    sample(options.bundle, options.prompt, seed=options.seed, scale=options.scale, out=options.out, base=options.base)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.run", description=__doc__)
    commands = parser.add_subparsers(dest="name", required=True)
    train = commands.add_parser("train", help="dataset folder -> adapter.safetensors and training.json")
    train.add_argument("--config", type=Path, required=True)
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--work", type=Path, required=True, help="keeps the checkpoint by which a stopped run goes on")
    train.set_defaults(command=_train)
    adopt = commands.add_parser("adopt", help="LoRA file from elsewhere -> what train leaves")
    adopt.add_argument("--config", type=Path, required=True)
    adopt.add_argument("--adapter", type=Path, required=True, help=".safetensors in diffusers', kohya's or ComfyUI's keys")
    adopt.add_argument("--out", type=Path, required=True)
    adopt.set_defaults(command=_adopt)
    evaluate = commands.add_parser("evaluate", help="trained adapter -> adapter bundle")
    evaluate.add_argument("--config", type=Path, required=True)
    evaluate.add_argument("--adapter", type=Path, required=True)
    evaluate.add_argument("--out", type=Path, required=True)
    evaluate.add_argument("--champion", type=Path, help="bundle of the adapter that is live, to be measured beside the new one")
    evaluate.add_argument("--twin", type=Path, help="a second training of the same configuration: says what difference is chance")
    evaluate.set_defaults(command=_evaluate)
    sample = commands.add_parser("sample", help="adapter bundle and prompt -> PNG")
    sample.add_argument("--bundle", type=Path, required=True)
    sample.add_argument("--prompt", required=True)
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--scale", type=float, default=1.0)
    sample.add_argument("--base", help="folder or repository to use in place of the bundle's base")
    sample.add_argument("--out", type=Path, required=True)
    sample.set_defaults(command=_sample)
    for command in (train, adopt, evaluate, sample):
        command.add_argument("--events", type=Path, help="JSONL file that progress is appended to")
    return parser


if __name__ == "__main__":
    sys.exit(main())
