"""Where training runs: here, as `accelerate launch` under the reaper. Its events are a JSONL file that becomes progress."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.errors import StepFailed, StepKilled
from flows.machines import gpus
from flows.machines.placing import processes_for
from flows.progress import Bar, say

GRACE_SECONDS = 8.0
ACCELERATE = Path(__file__).resolve().parents[1] / "deployments" / "accelerate"
NOT_HANDED_ON = ("FAL_", "LORASMITH_SMOKE", "LORASMITH_REGISTRY", "LORASMITH_C2PA", "PREFECT_API_AUTH", "PREFECT_SERVER_API_AUTH")


def launch_trainer(arguments: Sequence[str], *, events: Path, log: Path, bar: Bar, pictures: int = 1) -> None:
    """Run `training.run` through accelerate. StepFailed carries its one line and its exit code; nothing of it survives us.

    pictures: of a step, which the GPUs may share; with one, one GPU does it all.
    """
    devices = gpus.seen()
    processes = processes_for(gpus.at_most(os.environ, len(devices)), pictures)
    events.unlink(missing_ok=True)
    events.touch()
    command = command_of(arguments, processes, cpu=not devices)
    with gpus.held(devices, processes) as held, log.open("ab") as output, events.open(encoding="utf-8") as reader:
        env = {**child_environment(), **held.environment}
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=env, pass_fds=held.locks)
        assert child.stdin
        try:
            while True:
                code = wait(child, 0.3)
                for event in new_events(reader):
                    show(event, bar)
                if code is not None:
                    break
        finally:
            child.stdin.close()  # the reaper ends the tree when this closes, whatever ended us
            child.wait(GRACE_SECONDS + 15)
    if code:
        raise failure(events, log, code)


def command_of(arguments: Sequence[str], processes: int, *, cpu: bool) -> list[str]:
    """The trainer in `processes` processes of one machine, as flows/deployments/accelerate has it."""
    return [
        *(sys.executable, "-m", "flows.orchestration.reaper", str(GRACE_SECONDS)),
        *(sys.executable, "-m", "accelerate.commands.launch", "--quiet"),
        *("--config_file", str(ACCELERATE / ("one.yaml" if processes == 1 else "many.yaml"))),
        *("--num_processes", str(processes), *(("--cpu",) if cpu else ()), "-m", "flows.orchestration.tied", "training.run"),
        *arguments,
    ]


def child_environment() -> Mapping[str, str]:
    """Ours, less keys and passwords: no child of ours needs them. Modules in the caller's folder are not ours."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_HANDED_ON)}
    python = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
    return kept | python | {"TOKENIZERS_PARALLELISM": "false"}


def wait(child: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def new_events(reader: Any) -> Iterator[dict[str, Any]]:
    """The whole lines that came since the last look; half a line waits for its end."""
    while True:
        start = reader.tell()
        line = reader.readline()
        if not line.endswith("\n"):
            reader.seek(start)
            return
        yield json.loads(line)


def show(event: Mapping[str, Any], bar: Bar) -> None:
    stage = f"({event.get('stage', '')})"
    if event.get("event") == "step":
        loss = f" loss {event['loss']:.4f}" if event.get("loss") is not None else ""
        speed = f", {event['steps_per_second']:.3g} steps/s" if event.get("steps_per_second") else ""
        bar.update(event.get("step", 0), event.get("total"), note=f"{stage}{loss}{speed}")
    elif event.get("event") == "warning":
        say(f"! train       {event.get('message', '')}")
    elif event.get("event") == "stage":
        bar.update(0, event.get("total"), note=stage)


def failure(events: Path, log: Path, code: int) -> StepFailed:
    """The trainer's own line and code where it wrote them (accelerate passes no code on), else where to look."""
    lines = events.read_text(encoding="utf-8").split("\n")[:-1]  # a last line without its end is half a line
    last = json.loads(lines[-1]) if lines else {}
    if last.get("event") == "error":
        return StepFailed(str(last.get("message")), exit_code=int(last.get("exit_code", 1)))
    return StepKilled(f"training ended with code {code} and said nothing; its output is in {log}", exit_code=1)
