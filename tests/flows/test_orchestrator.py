"""The environment of server, workers and flows: what it sets, what it takes away, and that Prefect knows every name of it."""

import subprocess
import sys
from pathlib import Path

from flows.orchestration.orchestrator import SOURCE, address, environment, settings

FOLDER = Path("/somewhere/prefect")


def test_it_is_a_function_of_folder_and_port() -> None:
    assert settings(FOLDER, 4201) == settings(FOLDER, 4201)
    different = {name for name, value in settings(FOLDER, 4201).items() if settings(FOLDER, 4202)[name] != value}
    assert different == {"PREFECT_API_URL", "PREFECT_SERVER_API_PORT"}
    assert address(4201) == "http://127.0.0.1:4201/api"


def test_it_wins_over_the_shell() -> None:
    shell = {
        "PREFECT_SERVER_API_HOST": "0.0.0.0",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
        "PREFECT_DEFAULT_WORK_POOL_NAME": "elsewhere",
        "PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME": "elsewhere",
        "PREFECT_PROFILE": "cloud",
        "PREFECT__FLOW_RUN_ID": "of another run",
        "PYTHONPATH": "/theirs",
        "NO_PROXY": "internal",
        "FAL_KEY": "kept",
    }
    made = environment(shell, FOLDER, 4201)
    assert made["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    assert made["PREFECT_SERVER_EPHEMERAL_ENABLED"] == "false"
    assert [name for name in made if "DEFAULT" in name or "PROFILE" in name or "__" in name] == []
    assert made["PYTHONPATH"] == f"{SOURCE}:/theirs"
    assert made["NO_PROXY"] == "internal,127.0.0.1,localhost"
    assert made["FAL_KEY"] == "kept"
    assert environment(made, FOLDER, 4201) == made


def test_a_password_of_the_shell_is_asked_for_by_the_server_and_given_by_its_clients() -> None:
    made = environment({"PREFECT_SERVER_API_AUTH_STRING": "me:secret"}, FOLDER, 4201)
    assert made["PREFECT_API_AUTH_STRING"] == made["PREFECT_SERVER_API_AUTH_STRING"] == "me:secret"
    assert [name for name in environment({}, FOLDER, 4201) if "AUTH" in name] == []


def test_prefect_reads_every_setting(tmp_path: Path) -> None:
    """One whose name were wrong would be ignored in silence."""
    code = (
        "import os; from prefect.settings import get_current_settings as now;"
        "known = now().to_environment_variables(exclude_unset=True);"
        "print(*sorted(name for name in os.environ if name.startswith('PREFECT_') and name not in known))"
    )
    made = environment({}, tmp_path, 4201)
    done = subprocess.run([sys.executable, "-c", code], env=made, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.split() == []
