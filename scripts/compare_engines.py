"""The same actions in both engines: what agrees and what differs, as a page with a table and pictures side by side.

    python scripts/compare_engines.py --minestudio-python FOLDER/bin/python --output docs/engines.md

One env generator and one list of actions run in the voxel engine and in real Minecraft. Without a Minecraft (neither
--minestudio-python nor the environment variable MINESTUDIO_PYTHON) the page has the voxel engine alone, and says so.
Every number is the median over --episodes worlds: the ground is not the same in both engines, and a hill or a tree in
the way shows up in some of them.
"""

import json
import math
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import tyro
from PIL import Image, ImageDraw

import minestudio_envs
from minestudio_envs import MinecraftSim
from minestudio_envs.actions import BUTTONS, env_to_joint
from minestudio_envs.callbacks import CommandsCallback, MinecraftCallback, SummonMobsCallback

if TYPE_CHECKING:
    from minestudio_envs.minecraft import MinecraftTask
    from minestudio_envs.simulator import EngineSetup

SCREEN, SHOWN = (640, 360), (320, 180)  # width and height of the game's window, and on the page


@dataclass
class Args:
    minestudio_python: str | None = None
    """the interpreter that holds minestudio (default: the environment variable MINESTUDIO_PYTHON)"""
    output: Path = Path("docs/engines.md")
    """the page; its picture has the same name with .png"""
    episodes: int = 3
    """worlds for each engine"""
    seed: int = 0
    """of the worlds"""
    label: str | None = None
    """what the second engine is called on the page (default: Minecraft, or a stand-in where the game's jar is empty)"""


@dataclass
class Part:
    """Some ticks of the script with the same buttons and camera."""

    name: str
    ticks: int
    buttons: tuple[str, ...] = ()
    camera: tuple[float, float] = (0.0, 0.0)  # degrees of pitch and yaw a tick
    shown: bool = False  # a picture of its last tick


SCRIPT = (
    Part("stand", 10, shown=True),
    Part("turn right", 4, camera=(0, 10), shown=True),
    Part("turn left", 4, camera=(0, -10)),
    Part("turn a little", 4, camera=(0, 1.6095)),
    Part("look down", 4, camera=(10, 0), shown=True),
    Part("look up", 6, camera=(-10, 0), shown=True),
    Part("look ahead", 2, camera=(10, 0)),
    Part("walk", 25, ("forward",), shown=True),
    Part("stop walking", 10),
    Part("sprint", 25, ("forward", "sprint"), shown=True),
    Part("stop sprinting", 10),
    Part("walk back", 20, ("back",)),
    Part("stop walking back", 10),
    Part("strafe", 20, ("left",)),
    Part("stop strafing", 10),
    Part("sneak", 20, ("forward", "sneak")),
    Part("stop sneaking", 10),
    Part("jump", 1, ("jump",)),
    Part("rise", 5, shown=True),
    Part("fall", 14),
    Part("swing", 2, ("attack",), shown=True),
    Part("after the swing", 10),
)


class RecordInfos(MinecraftCallback):
    """Has minestudio write every step's info into a folder: the adapter hands out pictures and rewards only."""

    def __init__(self, folder: Path):
        self.folder = folder

    def configure(self, setup: "EngineSetup") -> None:
        """Nothing: the voxel engine's infos come with the steps."""

    def translate(self, task: "MinecraftTask") -> None:
        task.add("RecordCallback", record_path=str(self.folder), record_infos=True, environments=[0])


def env_generator(records: Path) -> MinecraftSim:
    """Plains at noon, an iron sword, three cows."""
    return MinecraftSim(
        obs_size=(128, 128),
        render_size=SCREEN,
        preferred_spawn_biome="plains",
        callbacks=[
            SummonMobsCallback([{"name": "cow", "number": 3, "range_x": [-6, 6], "range_z": [-6, 6]}]),
            CommandsCallback(["/time set 6000", "/give @p minecraft:iron_sword 1"]),
            RecordInfos(records),
        ],
    )


@dataclass
class Episode:
    """What happened in one run of the script; entry 0 is the reset."""

    images: list[np.ndarray] = field(default_factory=list)  # as the policy sees them
    screens: dict[str, np.ndarray] = field(default_factory=dict)  # by the part's name
    places: np.ndarray | None = None  # float64 [ticks + 1, 5]: x, y, z, yaw, pitch

    def part(self, name: str) -> slice:
        """The ticks of a part, with the one before it."""
        names = [part.name for part in SCRIPT]
        begin = sum(part.ticks for part in SCRIPT[: names.index(name)])
        return slice(begin, begin + SCRIPT[names.index(name)].ticks + 1)

    def moves(self, name: str) -> np.ndarray:
        """Blocks moved horizontally in each tick of a part."""
        steps = np.diff(self.places[self.part(name)][:, [0, 2]], axis=0)
        return np.hypot(*steps.T)

    def speed(self, name: str) -> float:
        """Blocks a tick once it is steady: the median of the last ten."""
        return float(np.median(self.moves(name)[-10:]))

    def turns(self, name: str, column: int) -> float:
        """Degrees of yaw (3) or pitch (4) turned in a tick: the median."""
        return float(np.median((np.diff(self.places[self.part(name)][:, column]) + 180) % 360 - 180))

    def heights(self) -> np.ndarray:
        """Blocks above the ground in the ticks from the jump on."""
        begin = self.part("jump").start
        return self.places[begin : self.part("fall").stop, 1] - self.places[begin, 1]

    def difference(self, name: str) -> float:
        """Mean absolute difference of consecutive pictures in a part, of 255."""
        images = np.stack(self.images[self.part(name)]).astype(np.float32)
        return float(np.abs(np.diff(images, axis=0)).mean())


def airborne(episode: Episode) -> float:
    """Ticks from leaving the ground until back at its height."""
    above = episode.heights()[1:] > 1e-6
    return float(np.argmin(above)) + 1 if not above.all() else math.nan


def color(channel: int) -> Callable[[Episode], float]:
    return lambda episode: float(np.stack(episode.images)[..., channel].mean())


# name, unit, what it is in Minecraft 1.16.5 by its formulas (None: no formula), how it is measured
QUANTITIES: tuple[tuple[str, str, float | None, Callable[[Episode], float]], ...] = (
    ("walking", "blocks/tick", 0.21586, lambda e: e.speed("walk")),
    ("first tick of walking", "blocks", 0.098, lambda e: float(e.moves("walk")[0])),
    ("sliding after walking", "blocks", None, lambda e: float(e.moves("stop walking").sum())),
    ("sprinting", "blocks/tick", 0.28062, lambda e: e.speed("sprint")),
    ("walking back", "blocks/tick", 0.21586, lambda e: e.speed("walk back")),
    ("strafing", "blocks/tick", 0.21586, lambda e: e.speed("strafe")),
    ("sneaking", "blocks/tick", 0.06476, lambda e: e.speed("sneak")),
    ("height of a jump", "blocks", 1.2522, lambda e: float(e.heights().max())),
    ("first tick of a jump", "blocks", 0.42, lambda e: float(e.heights()[1])),
    ("ticks in the air", "ticks", 12.0, airborne),
    ("fastest fall in a jump", "blocks/tick", None, lambda e: float(-np.diff(e.heights()).min())),
    ("yaw for a camera of 10", "degrees", 10.0, lambda e: e.turns("turn right", 3)),
    ("yaw for a camera of 1.6095", "degrees", 1.6095, lambda e: e.turns("turn a little", 3)),
    ("pitch for a camera of 10", "degrees", 10.0, lambda e: e.turns("look down", 4)),
    ("picture: mean red", "of 255", None, color(0)),
    ("picture: mean green", "of 255", None, color(1)),
    ("picture: mean blue", "of 255", None, color(2)),
    ("picture: standard deviation", "of 255", None, lambda e: float(np.stack(e.images).std())),
    ("picture: change a tick while turning", "of 255", None, lambda e: e.difference("turn right")),
    ("picture: change a tick while walking", "of 255", None, lambda e: e.difference("walk")),
    ("picture: change a tick while standing", "of 255", None, lambda e: e.difference("stand")),
)


def script_actions() -> list[tuple[Part, bool, dict[str, np.ndarray]]]:
    """(part, whether this is its last tick, VPT's action) for every tick."""
    ticks = []
    for part in SCRIPT:
        pressed = np.isin(BUTTONS, part.buttons).astype(np.uint8)[None]
        buttons, camera = env_to_joint(pressed, np.array([part.camera]))
        ticks += [(part, t == part.ticks - 1, {"buttons": buttons, "camera": camera}) for t in range(part.ticks)]
    return ticks


def play_voxel(records: Path, args: Args) -> list[Episode]:
    """The script in the voxel engine, once in each world."""
    sim, episodes = env_generator(records), []
    for number in range(args.episodes):
        episode, places = Episode(), []

        def remember(observation, info, episode=episode, places=places):
            episode.images.append(observation["image"])
            places.append([info["player_pos"][key] for key in ("x", "y", "z", "yaw", "pitch")])

        remember(*sim.reset(seed=args.seed + number))
        for part, last, action in script_actions():
            observation, _, _, _, info = sim.step({key: value[0] for key, value in action.items()})
            remember(observation, info)
            if part.shown and last:
                episode.screens[part.name] = info["pov"]
        episode.places = np.array(places)
        episodes.append(episode)
    sim.close()
    return episodes


def play_minecraft(records: Path, args: Args) -> list[Episode]:
    """The script in real Minecraft, once in each world. Raises RuntimeError if the engine fails on the way."""
    envs = minestudio_envs.make_vec(
        lambda: env_generator(records),
        num_envs=1,
        engine="minecraft",
        seed=args.seed,
        array="numpy",
        minestudio_python=args.minestudio_python,
        restart_interval=None,
    )
    episodes = []
    try:
        for number in range(args.episodes):
            observations, _ = envs.reset(seed=args.seed + number)
            episode = Episode([observations["image"][0]])
            for part, last, action in script_actions():
                observations, _, terminated, truncated, infos = envs.step(action)
                if terminated[0] or truncated[0] or infos["lost"][0]:
                    raise RuntimeError(f"Minecraft failed or ended the episode in {part.name!r}; run this again")
                episode.images.append(observations["image"][0].copy())
                if part.shown and last:
                    episode.screens[part.name] = envs.frame(0, SCREEN)
            episodes.append(episode)
        envs.reset()  # writes the last record
    finally:
        envs.close()
    files = sorted(records.glob("episode_*_info.json"), key=lambda path: int(path.name.split("_")[1]))
    recordings = [(file, infos) for file in files if len(infos := json.loads(file.read_text())) > 1]  # of the reset: 1
    recordings = recordings[-args.episodes :]
    if len(recordings) < args.episodes:
        raise RuntimeError(
            f"minestudio recorded {len(recordings)} of {args.episodes} episodes in {records}; run this again"
        )
    for episode, (file, infos) in zip(episodes, recordings, strict=True):
        keys = ("x", "y", "z", "yaw", "pitch")
        recorded = np.array([[float(info["player_pos"][key]) for key in keys] for info in infos])
        # minestudio 1.1.6 overwrites each info that it recorded in the step after: entry k shows step k + 1. What the
        # reset gave is lost; the script begins with standing still.
        episode.places = np.concatenate([recorded[:1], recorded[:-1]])
        if len(episode.places) != len(episode.images):
            raise RuntimeError(
                f"{file} has {len(episode.places)} steps, expected {len(episode.images)}; run this again"
            )
    return episodes


def picture(engines: dict[str, list[Episode]]) -> np.ndarray:
    """Pictures of the first world: a row for each engine, a column for each part that is shown."""
    shown = [part.name for part in SCRIPT if part.shown]
    (width, height), margin = SHOWN, 20
    sheet = Image.new("RGB", (len(shown) * width, len(engines) * (height + margin)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (engine, episodes) in enumerate(engines.items()):
        top = row * (height + margin)
        for column, name in enumerate(shown):
            draw.text((column * width + 4, top + 4), f"{engine}: {name}", fill="black")
            sheet.paste(Image.fromarray(episodes[0].screens[name]).resize(SHOWN), (column * width, top + margin))
    return np.asarray(sheet)


def page(engines: dict[str, list[Episode]], command: str, image: str) -> str:
    """The page in Markdown."""
    names = list(engines)
    lines = [
        "# The same actions in both engines",
        "",
        f"*Made by `{command}`: medians over {len(engines[names[0]])} worlds.*",
        "",
    ]
    if len(names) == 1:
        lines += [
            "**There was no Minecraft to compare with**: the columns are the voxel engine and what Minecraft 1.16.5's",
            "formulas say. With one, `--minestudio-python` adds it.",
            "",
        ]
    elif "stand-in" in names[1]:
        lines += ["**The second engine is a stand-in, not Minecraft**: this shows that the comparison runs.", ""]
    lines += [
        f"![A row for each engine, a column for each part of the script]({image})",
        "",
        f"| | {' | '.join(names)} | Minecraft 1.16.5 by formula | unit |",
        f"|---|{'---|' * (len(names) + 2)}",
    ]
    for name, unit, formula, measure in QUANTITIES:
        values = [float(np.median([measure(episode) for episode in episodes])) for episodes in engines.values()]
        expected = "" if formula is None else f"{formula:g}"
        lines.append(f"| {name} | {' | '.join(f'{value:.4g}' for value in values)} | {expected} | {unit} |")
    lines += [
        "",
        "The script: " + ", ".join(f"{part.name} ({part.ticks})" for part in SCRIPT) + ", ticks in brackets.",
        "",
    ]
    return "\n".join(lines)


def second_engine(args: Args) -> str | None:
    """What the second engine is called, None if there is none. Raises MinecraftError if it is named but not there."""
    if not (args.minestudio_python or os.environ.get("MINESTUDIO_PYTHON")):
        return None
    from minestudio_envs.minecraft import JAR, find_engine

    if (find_engine() / JAR).stat().st_size == 0:  # no game is in there
        return "stand-in (not Minecraft)"
    return args.label or "Minecraft"


def main(args: Args) -> None:
    if args.episodes < 1:
        sys.exit("--episodes must be at least 1")
    label = second_engine(args)
    with tempfile.TemporaryDirectory() as folder:
        engines = {"voxel": play_voxel(Path(folder), args)}
        if label is None:
            print(
                "No Minecraft: neither --minestudio-python nor MINESTUDIO_PYTHON names an interpreter with minestudio."
            )
        else:
            engines[label] = play_minecraft(Path(folder), args)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    image = args.output.with_suffix(".png")
    iio.imwrite(image, picture(engines))
    command = f"python scripts/compare_engines.py --episodes {args.episodes} --seed {args.seed}"
    args.output.write_text(page(engines, command, image.name))
    print(f"{args.output} and {image}: {' against '.join(engines)}")


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
