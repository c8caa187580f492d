"""Does real Minecraft work here? Looks for all that it needs, plays a short episode, and says what is missing.

    python scripts/check_minecraft.py --minestudio-python FOLDER/bin/python

Each line is `ok`, `note` (worth knowing, may still work), `FAIL` with what to do, or `--` for what could not be tried
because of an earlier failure. The exit status is 0 if an episode was played, 1 otherwise. The first picture of the
game's window is saved as --frame.
"""

import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tyro

import minestudio_envs
from minestudio_envs.actions import BUTTONS, env_to_joint
from minestudio_envs.minecraft import MinecraftError, find_engine, find_minestudio_python
from minestudio_envs.minecraft_worker import tagged
from minestudio_envs.tasks import kill_cow

INSTALL = "scripts/install_minestudio.sh FOLDER, then --minestudio-python FOLDER/bin/python"
# What an engine that does not start says, and what helps.
SYMPTOMS = (
    ("UnsupportedClassVersionError|Unrecognized VM option|InaccessibleObjectException", "put a Java 8 first on PATH"),
    ("OutOfMemoryError|Cannot allocate memory|Could not reserve enough space", "free memory: an engine takes 2.5 GB"),
    ("xauth", "apt install xauth, which xvfb-run calls"),
    ("GLX|OpenGL|Pixel format not accelerated", "install software OpenGL: apt install libgl1-mesa-dri libgl1-mesa-glx"),
    ("Display|DISPLAY", "the virtual display does not work: try xvfb-run -a glxinfo (apt install xvfb mesa-utils)"),
    ("within .* s", "if the machine is slow or busy, give it longer: --start-limit 600"),
    ("Unable to access jarfile|Invalid or corrupt jarfile", f"the engine is damaged: delete it, and {INSTALL}"),
)


@dataclass
class Args:
    minestudio_python: str | None = None
    """the interpreter that holds minestudio (default: the environment variable MINESTUDIO_PYTHON)"""
    steps: int = 200
    """length of the episode"""
    frame: Path = Path("minecraft.png")
    """where the picture of the game's window is saved"""
    start_limit: float = 300.0
    """seconds after which an engine that is not up is given up"""
    step_limit: float = 60.0
    """seconds after which an engine that does not answer to a step or a reset is given up"""


class Problem(Exception):
    """What is wrong, and what to do about it."""

    def __init__(self, what: str, remedy: str):
        super().__init__(f"{what}\nWhat to do: {remedy}".replace("\n", "\n      "))


class Note(Exception):
    """What may be wrong."""


class Report:
    """Prints a line for each check, and remembers whether one failed."""

    def __init__(self):
        self.failed: list[str] = []

    def check(self, name: str, function: Callable[[], str], needs: tuple[str, ...] = ()) -> None:
        """Run a check, which gives what it found or raises Problem, unless one that it ``needs`` failed."""
        if missing := [other for other in needs if other in self.failed]:
            self.failed.append(name)
            print(f"--    {name}: not tried without {missing[0]}", flush=True)
            return
        try:
            print(f"ok    {name}: {function()}", flush=True)
        except Note as note:
            print(f"note  {name}: {note}", flush=True)
        except Problem as problem:
            self.failed.append(name)
            print(f"FAIL  {name}: {problem}", flush=True)


def check_java() -> str:
    remedy = "install Java 8 and put it first on PATH: apt install openjdk-8-jdk, or conda install openjdk=8"
    try:
        result = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        raise Problem("no `java` on PATH", remedy) from None
    except subprocess.TimeoutExpired:
        raise Problem("`java -version` does not answer within 60 s", remedy) from None
    version = re.search(r'version "([^"]+)"', result.stderr + result.stdout)
    if result.returncode or version is None:
        raise Problem(f"`java -version` failed: {(result.stderr + result.stdout).strip()[:200]}", remedy)
    if not version[1].startswith("1.8."):
        raise Note(
            f"version {version[1]}, but Minecraft 1.16.5 is made for Java 8. If the engine does not start: {remedy}"
        )
    return version[1]


def check_display() -> str:
    if platform.system() == "Darwin":
        raise Note("macOS draws on its own display")
    if (found := shutil.which("xvfb-run")) is None:
        raise Problem("no `xvfb-run` on PATH: the game draws on a virtual display", "apt install xvfb xauth")
    return found


def check_minestudio(path: str | None) -> str:
    try:
        python = find_minestudio_python(path)
    except MinecraftError as error:
        raise Problem(str(error), INSTALL) from None
    code = (
        "import sys; from importlib.metadata import version; import numpy, minestudio.simulator;"
        "print('FOUND', version('minestudio'), numpy.__version__, sys.version.split()[0])"
    )
    try:
        result = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        raise Problem(
            f"{python} needs more than 120 s to import minestudio", "look at the machine's load and disk"
        ) from None
    except OSError as error:
        raise Problem(f"{python} cannot be run: {error}", INSTALL) from None
    found = re.search(r"^FOUND (\S+) (\S+) (\S+)$", result.stdout, re.MULTILINE)
    if result.returncode or found is None:
        last = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Problem(f"{python} cannot import minestudio.simulator: {last}", INSTALL)
    minestudio, numpy, version = found.groups()
    if int(numpy.split(".")[0]) >= 2:
        raise Problem(f"{python} has numpy {numpy}; minestudio needs 1.x", f"{python} -m pip install 'numpy<2'")
    if minestudio != "1.1.6":
        raise Note(f"minestudio {minestudio}, while 1.1.6 is what this was made for ({python})")
    return f"minestudio {minestudio}, numpy {numpy}, Python {version} ({python})"


def check_engine() -> str:
    try:
        return f"in {find_engine()}"
    except MinecraftError as error:
        raise Problem(str(error), f"{INSTALL}; or export MINESTUDIO_DIR=... if it is somewhere else") from None


def remedy_for(error: str) -> str:
    """What helps against an error of the engine, as far as its words tell."""
    for pattern, remedy in SYMPTOMS:
        if re.search(pattern, error):
            return remedy
    return "read the engine's last lines above; free memory, and a Java 8 first on PATH, are what is missing most often"


class Play:
    """One environment, started, played and closed in four checks."""

    def __init__(self, args: Args):
        self.args = args
        self.envs = None
        self.folder = ""

    def guarded(self, function: Callable[[], str]) -> Callable[[], str]:
        def run() -> str:
            try:
                return function()
            except MinecraftError as error:
                raise Problem(str(error), remedy_for(str(error))) from None

        return run

    def start(self) -> str:
        args, begin = self.args, time.monotonic()
        self.envs = minestudio_envs.make_vec(
            lambda: kill_cow(timestep_limit=args.steps, render_size=(640, 360)),
            num_envs=1,
            engine="minecraft",
            array="numpy",
            minestudio_python=args.minestudio_python,
            start_limit=args.start_limit,
            reset_limit=args.step_limit,
            step_limit=args.step_limit,
            max_failures=1,
        )
        self.envs.reset()
        return f"{time.monotonic() - begin:.0f} s"

    def picture(self) -> str:
        frame = self.envs.frame(0, (640, 360))
        self.args.frame.parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(self.args.frame, frame)
        if frame.std() < 1:
            color = frame.reshape(-1, 3)[0].tolist()
            raise Problem(f"all of it is of one colour, {color} ({self.args.frame})", remedy_for("OpenGL"))
        return f"{self.args.frame}, mean brightness {frame.mean():.0f} of 255"

    def episode(self) -> str:
        pressed = np.isin(BUTTONS, ["forward"]).astype(np.uint8)[None]
        buttons, camera = env_to_joint(pressed, np.array([[0.0, 3.0]]))  # walk in a circle
        steps, ended, begin = 0, False, time.monotonic()
        while not ended and steps < self.args.steps:
            _, _, terminated, truncated, _ = self.envs.step({"buttons": buttons, "camera": camera})
            ended = bool(terminated[0] or truncated[0])
            steps += 1
        seconds = time.monotonic() - begin
        return f"{steps} steps, {steps / seconds:.0f} steps/s with one environment"

    def again(self) -> str:
        begin = time.monotonic()
        _, _, _, _, infos = self.envs.step({"buttons": np.zeros(1, int), "camera": np.full(1, 60)})
        if not infos["began"][0]:
            raise Problem("the step after the episode's end did not reset", "report this; it is a defect of ours")
        return f"{time.monotonic() - begin:.1f} s"

    def close(self) -> str:
        begin = time.monotonic()
        self.envs.close()
        if left := tagged(self.envs._root):
            raise Problem(f"processes {left} are left over", f"kill -9 {' '.join(map(str, left))}")
        return f"{time.monotonic() - begin:.1f} s, no process left over"


def main(args: Args) -> int:
    if args.steps < 1:
        sys.exit("--steps must be at least 1")
    report, play = Report(), Play(args)
    report.check("Java", check_java)
    report.check("display", check_display)
    report.check("minestudio", lambda: check_minestudio(args.minestudio_python))
    report.check("engine", check_engine)
    try:
        report.check("start", play.guarded(play.start), needs=("Java", "display", "minestudio", "engine"))
        report.check("picture", play.guarded(play.picture), needs=("start",))
        report.check("episode", play.guarded(play.episode), needs=("start",))
        report.check("next episode", play.guarded(play.again), needs=("episode",))
        report.check("end", play.close, needs=("start",))
    finally:
        if play.envs is not None:
            play.envs.close()
    if report.failed:
        print(f"Minecraft does not work here yet: {report.failed[0]} failed.")
        return 1
    print("Minecraft works here: python ppo_vpt_online.py --engine minecraft --minestudio-python ...")
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Args, description=__doc__)))
