"""data-sensor: a look at the dataset folders of what is live, for a server that has schedules and nobody who keeps a watch."""

from pathlib import Path
from typing import Any

from prefect import flow

from flows.errors import FlowError
from flows.progress import say
from flows.retraining.data_watch import settled, tell, update
from flows.targets import job_of, live_releases


@flow(name="data-sensor")
def data_sensor(settle: float = 30.0, patience: float = 600.0) -> list[dict[str, Any]]:
    """Tell of every folder that live releases train on or are judged by, where its content is another one; the payloads told.

    settle, patience: seconds without a change after which a folder has come to rest, and for how long that is waited for; a
    folder that does not come to rest is left to the next look. Raises FlowError at the end for folders that are not there.
    """
    sent, faults = [], []
    for folder in folders():
        try:
            state = settled(folder, settle=settle, patience=patience)
            found = update(folder, state) if state else None
            if found:
                tell(found)
                sent.append(found.payload)
                say(f"✓ dataset     {folder} is another one: {found.state.sha256[:12]}")
        except ValueError as error:  # every error of this project is one; one folder keeps no other from its look
            faults.append(str(error))
    if faults:
        raise FlowError("; ".join(faults))
    return sent


def folders() -> list[Path]:
    """Folders and zips of the live releases' jobs that lie on this disk, each once."""
    datasets = [job_of(release).dataset for release in live_releases()]
    places = [place for dataset in datasets for place in (dataset.path, dataset.held_out)]
    return sorted({Path(place) for place in places if isinstance(place, str) and Path(place).is_absolute()})
