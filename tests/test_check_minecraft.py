"""scripts/check_minecraft.py against the stand-in engine: a set-up that works, and what it says of those that do not.

Tests that run minestudio need MINESTUDIO_PYTHON, an interpreter that has it (scripts/install_minestudio.sh makes one).
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import pytest
from stand_in_engine import stand_in, survivors

ROOT = Path(__file__).parents[1]
needs_minestudio = pytest.mark.skipif(
    "MINESTUDIO_PYTHON" not in os.environ,
    reason="MINESTUDIO_PYTHON names no interpreter with minestudio; scripts/install_minestudio.sh makes one",
)


@pytest.fixture
def game(tmp_path):
    """(folder, environment) of a stand-in."""
    yield tmp_path / "game", os.environ | stand_in(tmp_path / "game") | {"PYTHONPATH": str(ROOT)}
    for pid in survivors(tmp_path / "game"):
        os.kill(pid, signal.SIGKILL)


def check(environment: dict[str, str], *arguments) -> tuple[int, dict[str, str]]:
    """Run the script -> exit status, {name of the check: its first word and all it said}."""
    command = [sys.executable, str(ROOT / "scripts" / "check_minecraft.py"), *map(str, arguments)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in result.stderr, result.stderr
    said, name = {}, ""
    for line in result.stdout.splitlines():
        if line.startswith(("ok ", "note ", "FAIL ", "-- ")):
            kind, rest = line.split(None, 1)
            name = rest.partition(":")[0]
            said[name] = f"{kind} {rest}"
        elif line.startswith(" "):
            said[name] += f"\n{line}"
        else:
            said["verdict"] = line
    return result.returncode, said


@needs_minestudio
def test_a_set_up_that_works_plays_an_episode_and_saves_a_picture(game, tmp_path):
    folder, environment = game
    status, said = check(environment, "--steps", 30, "--frame", tmp_path / "new" / "frame.png")
    assert status == 0, said
    names = ["Java", "display", "minestudio", "engine", "start", "picture", "episode", "next episode", "end"]
    assert list(said) == [*names, "verdict"] and all(said[name].startswith("ok ") for name in names)
    assert "1.8.0" in said["Java"] and "30 steps" in said["episode"] and "works here" in said["verdict"]
    frame = iio.imread(tmp_path / "new" / "frame.png")
    assert frame.shape == (360, 640, 3) and frame[20, 20].argmax() == 2 and frame[-20, 20].argmax() == 1  # sky, grass
    assert not survivors(folder)


@needs_minestudio
@pytest.mark.parametrize(
    ("fault", "where", "messages"),
    [
        ({"fault": "exit", "when": "start"}, "start", ("java.lang.OutOfMemoryError", "free memory")),
        ({"fault": "silent", "when": "start"}, "start", ("within 5 s", "--start-limit 600")),
        ({"fault": "die", "after": 50}, "episode", ("failure 1 in a row", "What to do: ")),
    ],
)
def test_an_engine_that_fails_is_reported_with_its_words_and_a_remedy(game, tmp_path, fault, where, messages):
    folder, environment = game
    stand_in(folder, fault)
    limit = 5 if fault["fault"] == "silent" else 60
    status, said = check(environment, "--steps", 100, "--start-limit", limit, "--frame", tmp_path / "frame.png")
    assert status == 1 and said[where].startswith("FAIL "), said
    for message in messages:
        assert message in said[where]
    assert said["next episode"].startswith("--") and f"{where} failed" in said["verdict"]
    assert not survivors(folder)


def test_everything_that_is_missing_is_named_at_once_with_what_to_do(game):
    folder, environment = game
    for name in ("java", "xvfb-run"):
        (folder / "bin" / name).unlink()
    (folder / "engine/build/libs/mcprec-6.13.jar").unlink()
    environment["PATH"] = str(folder / "bin")
    status, said = check(environment, "--minestudio-python", sys.executable)
    assert status == 1
    for name, what, remedy in (
        ("Java", "no `java` on PATH", "apt install openjdk-8-jdk"),
        ("display", "no `xvfb-run`", "apt install xvfb"),
        ("minestudio", "No module named 'minestudio'", "scripts/install_minestudio.sh FOLDER"),
        ("engine", "mcprec-6.13.jar", "export MINESTUDIO_DIR"),
    ):
        assert said[name].startswith("FAIL ") and what in said[name], said[name]
        assert remedy in said[name].split("What to do: ")[1]
    assert all(said[name].startswith("--") for name in ("start", "picture", "episode", "next episode", "end"))


def test_an_interpreter_that_is_not_named_or_not_there_is_a_failure_with_a_remedy(game):
    _, environment = game
    environment.pop("MINESTUDIO_PYTHON", None)
    for arguments, message in (((), "name it with"), (("--minestudio-python", "/nowhere/python"), "/nowhere/python")):
        status, said = check(environment, *arguments)
        assert status == 1 and said["minestudio"].startswith("FAIL ") and message in said["minestudio"]
        assert "install_minestudio.sh" in said["minestudio"] and said["start"].startswith("--")


def test_another_java_is_noted_and_one_that_does_not_run_fails(game):
    folder, environment = game
    environment.pop("MINESTUDIO_PYTHON", None)
    java = folder / "bin" / "java"
    for body, begins, message in (
        ("echo 'openjdk version \"17.0.15\"' >&2", "note ", "17.0.15"),
        ("echo 'broken pipe organ' >&2; exit 1", "FAIL ", "broken pipe organ"),
    ):
        java.write_text(f"#!/bin/sh\n{body}\n")
        said = check(environment)[1]["Java"]
        assert said.startswith(begins) and message in said and "Java 8" in said
