"""What is made of a run that was called Crashed while its process lives."""

import pytest
import yaml
from prefect.client.schemas.objects import State, StateType

from flows.orchestration.automating import FOLDER
from flows.orchestration.silence import LIVES, UNHEARD, pause_before, verdict

ZOMBIE, STILLBORN = (
    action["message"]
    for automation in yaml.safe_load((FOLDER / "zombies.yaml").read_text())["automations"]
    for action in automation["actions"]
)


def running(message: str | None = None) -> State[None]:
    return State(type=StateType.RUNNING, message=message)


def crashed(message: str | None) -> State[None]:
    return State(type=StateType.CRASHED, message=message)


def suspended() -> State[None]:
    return State(type=StateType.PAUSED, name="Suspended")


@pytest.mark.parametrize(
    ("states", "wanted"),
    [
        ([], None),
        ([running()], None),
        ([running(), crashed(ZOMBIE)], "lives"),
        ([running(), crashed(STILLBORN)], "lives"),  # its first heartbeat was not heard in time
        ([running(), crashed(ZOMBIE), running(LIVES)], None),
        ([running(), crashed(ZOMBIE), running(LIVES), crashed(ZOMBIE)], "lives"),  # heard, and silent once more
        ([running(), crashed(ZOMBIE), *[running(LIVES), crashed(STILLBORN)] * (UNHEARD - 1)], "lives"),
        ([running(), crashed(ZOMBIE), *[running(LIVES), crashed(STILLBORN)] * UNHEARD], "wedged"),
        ([running(), crashed(ZOMBIE), running(LIVES), crashed(ZOMBIE), running(LIVES), crashed(STILLBORN)], "lives"),
        ([running(), crashed("Flow run infrastructure exited with non-zero status code 1.")], None),
        ([running(), crashed(None)], None),
        ([running(), crashed(ZOMBIE), State(type=StateType.SCHEDULED)], None),
        ([running(), suspended(), crashed(ZOMBIE)], None),  # its process is about to end
    ],
)
def test_silence_is_judged(states: list[State[None]], wanted: str | None) -> None:
    assert verdict(states) == wanted


@pytest.mark.parametrize(
    ("states", "waits"),
    [
        ([running(), suspended(), crashed(ZOMBIE)], True),
        ([running(), suspended(), crashed("somebody said so")], False),
        ([running(), crashed(ZOMBIE)], False),
        ([running(), suspended()], False),
        ([crashed(ZOMBIE)], False),
    ],
)
def test_silence_of_a_run_that_waits_for_a_person_is_no_crash(states: list[State[None]], waits: bool) -> None:
    assert bool(pause_before(states)) is waits
