"""The command as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pipemount

from .conftest import COMMAND


def test_the_command_runs_from_the_current_directory(shop: Path) -> None:
    command = [*COMMAND, "run", "shop:weather", "--city", "Rome"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "The weather in Rome is 3.0 degrees C." in done.stdout


def test_an_expected_error_has_a_code_and_no_traceback(shop: Path) -> None:
    done = subprocess.run([*COMMAND, "check", "shop:uncompilable"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")
def test_ctrl_c_ends_a_run_at_once(shop: Path) -> None:
    (shop / "long.py").write_text(
        "import asyncio, sys\n"
        "async def forever() -> int:\n"
        "    print('waiting', flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "    return 1\n"
    )
    with subprocess.Popen(
        [*COMMAND, "run", "long:forever"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told == "interrupted\n"


def test_without_the_extra_one_line_says_what_to_install() -> None:
    source = str(Path(pipemount.__file__).parents[1])
    hide = f"import sys; sys.path.insert(0, {source!r}); sys.modules['typer'] = None"
    done = subprocess.run(
        [sys.executable, "-c", f"{hide}; import pipemount.cli as c; c.main()"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "pipemount: the command line needs an extra: pip install 'pipemount[cli]'\n"
