"""Where the server of a home is, told by a lock that its keeper holds and a file that may be stale."""

import subprocess
import sys
from pathlib import Path

from flows.orchestration import server_state
from flows.orchestration.server_state import ServerState

ROOT = Path(__file__).resolve().parents[2]
KEEPER = """
import sys
from pathlib import Path
from flows.orchestration.server_state import sole

with sole(Path(sys.argv[1])):
    print("held", flush=True)
    input()
"""
STATE = ServerState(port=4200, pid=1, since="2026-11-22T12:00:00+00:00")


def test_a_file_without_a_living_keeper_is_no_server(tmp_path: Path) -> None:
    assert server_state.running(tmp_path) is None
    with server_state.sole(server_state.lock_file(tmp_path)) as mine:
        assert mine
        assert server_state.running(tmp_path) is None, "it is only starting"
        server_state.write(tmp_path, STATE)
        assert server_state.running(tmp_path) == STATE
        with server_state.sole(server_state.lock_file(tmp_path)) as second:
            assert not second
    assert server_state.state_file(tmp_path).exists()
    assert server_state.running(tmp_path) is None
    assert server_state.keeper(tmp_path) is None


def test_the_keeper_is_known_before_it_is_ready(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KEEPER, str(server_state.lock_file(tmp_path))]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout
        assert keeper.stdout.readline() == b"held\n"
        assert server_state.keeper(tmp_path) == keeper.pid
        keeper.kill()
    assert server_state.keeper(tmp_path) is None


def test_a_damaged_file_is_no_server(tmp_path: Path) -> None:
    with server_state.sole(server_state.lock_file(tmp_path)):
        for text in ("", "{", "[]", '{"port": 4200}'):
            server_state.write_private(server_state.state_file(tmp_path), text)
            assert server_state.running(tmp_path) is None


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    with server_state.sole(server_state.lock_file(tmp_path)):
        server_state.write(tmp_path, STATE)
    assert server_state.state_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "prefect").iterdir() if path.suffix == ".part"] == []
