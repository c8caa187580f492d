"""scripts/install_minestudio.sh: what it says of wrong arguments. (That it makes the environment, CI shows.)"""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "install_minestudio.sh"


def install(*arguments) -> subprocess.CompletedProcess:
    command = ["bash", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def fake_python(folder: Path, version: str) -> Path:
    """A program that answers as a Python of this version would when asked whether it will do."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\ncase "$1" in -V) echo "Python {version}";; -c) [ -z "$2" ];; esac\n')
    python.chmod(0o755)
    return python


def test_wrong_arguments_are_named(tmp_path):
    for arguments, message in (
        ((), "install_minestudio.sh FOLDER"),
        (("--bogus", tmp_path), "unknown option --bogus"),
        ((tmp_path, "--torch"), "--torch needs a value"),
        ((tmp_path, tmp_path), "one folder"),
        ((tmp_path / "new", "--python", tmp_path / "none"), "does not run; give --python"),
    ):
        result = install(*arguments)
        assert result.returncode == 1 and message in result.stderr, (arguments, result.stderr)
    assert install("--help").returncode == 0 and not (tmp_path / "new").exists()


@pytest.mark.parametrize("version", ["3.9.18", "3.13.0"])
def test_a_python_that_is_too_old_or_too_new_is_refused(tmp_path, version):
    result = install(tmp_path / "new", "--python", fake_python(tmp_path, version))
    assert result.returncode == 1 and f"Python {version} cannot run minestudio" in result.stderr
    assert "3.10 to 3.12" in result.stderr and not (tmp_path / "new").exists()


@pytest.mark.skipif(not (3, 10) <= sys.version_info[:2] <= (3, 12), reason="needs a Python that minestudio runs on")
def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").touch()
    result = install(tmp_path, "--python", sys.executable)
    assert result.returncode == 1 and "no virtual environment" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
