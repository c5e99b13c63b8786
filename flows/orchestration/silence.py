"""A run that was called Crashed because nothing was heard of it, while its process lives: the server was busy, or a laptop slept.

The keeper of its worker knows the process. Scheduled again, such a run would be there twice.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import State

SILENT: Final = "no heartbeat"  # how what the automations of zombies.yaml say begins
NOT_ONE: Final = "no heartbeat at all"  # since the run was Running
LIVES: Final = "its process lives: the server did not hear it in time"
WAITS: Final = "it waits for a person; its last heartbeat came after it was suspended"
UNHEARD: Final = 3
Verdict = Literal["lives", "wedged"]


def verdict(states: "Sequence[State]") -> Verdict | None:
    """What the states of a run with a living process, first to last, say of it; None where nobody took it for dead by its silence.

    wedged: put right UNHEARD times in a row it was not heard once (minutes), so that it is the process that is silent.
    """
    if not states or not states[-1].is_crashed():
        return None
    said = states[-1].message or ""
    if pause_before(states):  # its process is about to end
        return None
    if unheard(states) >= UNHEARD:
        return "wedged"
    return "lives" if said.startswith(SILENT) else None


def unheard(states: "Sequence[State]") -> int:
    """How often in a row, up to now, it was put right and then not heard."""
    rounds = zip(states[::-2], states[-2::-2], strict=False)
    silent = ((crash.message or "").startswith(NOT_ONE) and before.message == LIVES for crash, before in rounds)
    return sum(1 for _ in takewhile(bool, silent))


def pause_before(states: "Sequence[State]") -> "State | None":
    """What a run was when its silence was taken for a crash, where that is a pause: whoever is suspended says nothing.

    A heartbeat that comes between the pause and the end of the process is what no other event ever follows.
    """
    if len(states) < 2 or not states[-1].is_crashed() or not (states[-1].message or "").startswith(SILENT):
        return None
    return states[-2] if states[-2].is_paused() else None


def judged(client: "SyncPrefectClient", run_id: str) -> Verdict | None:
    """The same of a run on the server."""
    return verdict(states_of(client, UUID(run_id)))


def states_of(client: "SyncPrefectClient", run: UUID) -> "list[State]":
    """First to last."""
    return sorted(client.read_flow_run_states(run), key=lambda state: state.timestamp)


def put_right(client: "SyncPrefectClient", run_id: str) -> None:
    """Running again, for its process was so all the time."""
    from prefect.states import Running

    client.set_flow_run_state(UUID(run_id), Running(message=LIVES), force=True)


def suspend_again(client: "SyncPrefectClient", run: UUID, pause: "State") -> None:
    """As it was: with its question, and its deadline."""
    from prefect.client.schemas.objects import State

    kept = pause.state_details.model_copy(update={"transition_id": None})
    client.set_flow_run_state(run, State(type=pause.type, name=pause.name, message=WAITS, state_details=kept), force=True)
