"""What can go wrong in training, as one tree.

TrainingError                 exit code 1
├── ConfigError               2  a configuration that cannot be run
├── DatasetError              2  pictures or captions that have to be mended first
├── BaseModelError            2  a base that is not there or not supported
├── CheckpointError           2  a work folder that belongs to another run
├── StorageError              2  a disk that is full or cannot be written
├── AdapterError              2  an adapter or bundle that cannot be read
├── DivergedError             1  the loss is no longer a number
├── ExportError               1  the exported adapter is not the trained one
└── Interrupted               130
"""


class TrainingError(ValueError):
    """Base of the tree; the message is one line: what, what was got, what to do."""

    exit_code = 1


class ConfigError(TrainingError):
    """A training configuration that cannot be run."""

    exit_code = 2


class DatasetError(TrainingError):
    """Pictures or captions that have to be mended before training."""

    exit_code = 2


class BaseModelError(TrainingError):
    """A base model that is not there, not readable, or of a family that is not supported."""

    exit_code = 2


class HubError(TrainingError):
    """The Hub cannot be asked: no network, an outage, a limit."""

    exit_code = 5


class CheckpointError(TrainingError):
    """A work folder whose checkpoint belongs to another configuration."""

    exit_code = 2


class StorageError(TrainingError):
    """A disk that is full or cannot be written; what was finished before is kept."""

    exit_code = 2


class AdapterError(TrainingError):
    """An adapter or adapter bundle that cannot be read."""

    exit_code = 2


class DivergedError(TrainingError):
    """The loss became NaN or infinite."""


class ExportError(TrainingError):
    """The exported adapter, loaded again, is not what was trained."""


class Interrupted(TrainingError):
    """SIGINT or SIGTERM; what was finished before it is kept."""

    exit_code = 130
