"""People's play in the format of VPT's contractor data: a film, and a JSON line for each of its frames.

What a line's keys mean is documented in VPT's README and by how its data loader reads them (``env_action``).
``scripts/play.py`` writes such files, ``scripts/pretrain.py`` learns from them.
"""

import json
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np

from minestudio_envs.actions import BUTTONS, NULL_BUTTONS, NULL_CAMERA, env_to_joint
from minestudio_envs.images import resize_linear
from minestudio_envs.training.dataset import DatasetError
from minestudio_envs.voxel import textures

logger = logging.getLogger("ppo_vpt")

RECORDED_HEIGHT = 720  # pixels of the window in which VPT's lines say where the mouse is

CAMERA_SCALER = 360 / 2400  # degrees that a pixel of the mouse turns the camera

KEYS = {  # name of the key: the button that it presses
    **{"w": "forward", "s": "back", "a": "left", "d": "right", "space": "jump", "left.shift": "sneak"},
    **{"left.control": "sprint", "e": "inventory", "q": "drop", **{str(i): f"hotbar.{i}" for i in range(1, 10)}},
}
KEYS = {f"key.keyboard.{name}": button for name, button in KEYS.items()}
MOUSE_BUTTONS = {0: "attack", 1: "use"}


def env_action(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line's action as ``MinecraftSim(action_type="env")`` takes it: pressed buttons, and camera [2] in degrees.

    Keys that press none of VPT's buttons (Esc, F, ...) are left out. VPT's own loader rounds the camera towards 0 to
    whole degrees, which loses slow turns; here it stays as it was.
    """
    mouse = line["mouse"]
    pressed = [KEYS[key] for key in line["keyboard"]["keys"] if key in KEYS]
    pressed += [MOUSE_BUTTONS[button] for button in mouse["buttons"] if button in MOUSE_BUTTONS]
    return dict.fromkeys(pressed, 1) | {"camera": [mouse["dy"] * CAMERA_SCALER, mouse["dx"] * CAMERA_SCALER]}


def find_recordings(folder: str | Path) -> list[Path]:
    """The films in a folder and those below it that have their lines beside them, by name.

    Raises DatasetError if there are none; films without lines, as VPT's lists have some, are named in a warning.
    """
    films = sorted(Path(folder).rglob("*.mp4"))
    pairs = [film for film in films if film.with_suffix(".jsonl").is_file()]
    if alone := [film.name for film in films if film not in pairs]:
        logger.warning(f"{folder}: passed over, without a .jsonl of the same name: {', '.join(alone)}")
    if not pairs:
        raise DatasetError(
            f"{folder} has no recording: a film.mp4 and, of the same name, a film.jsonl with its actions"
        )
    return pairs


def read_lines(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a recording -> for each what ``env_action`` makes of it, and "pointer": (x, y), parts of the
    screen's height, or None while no screen is open.

    By VPT's rules for its recordings: an attack held from the very first frame on is stuck, and none, until it is
    pressed anew; a change of "hotbar" is a press of that slot's key. Raises DatasetError naming the line.
    """
    actions, stuck, slot = [], False, None
    with open(path, "rb") as file:
        for number, text in enumerate(file, start=1):
            try:
                line = json.loads(text.decode())
                mouse = line["mouse"]
                if not actions:
                    stuck = list(mouse.get("newButtons", [])) == [0]
                elif 0 in mouse.get("newButtons", []):
                    stuck = False
                action = env_action(line)
                if stuck:
                    action.pop("attack", None)
                now = line.get("hotbar")
                if None not in (slot, now) and now != slot:
                    action[f"hotbar.{now + 1}"] = 1
                slot = now
                height = RECORDED_HEIGHT
                pointer = (mouse["x"] / height, mouse["y"] / height) if line.get("isGuiOpen") else None
                if not all(map(math.isfinite, (*action["camera"], *(pointer or ())))):
                    raise ValueError("the mouse's x, y, dx, dy must be finite")
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
                raise DatasetError(
                    f"{path}, line {number} is none of VPT's ({type(error).__name__}: {error}): download it again, or "
                    "delete it and its film"
                ) from error
            actions.append({"action": action, "pointer": pointer})
    return actions


def draw_pointer(frame: np.ndarray, x: float, y: float) -> None:
    """Draw the mouse pointer, which films lack, with its tip at (x, y), parts of the height; uint8 [H, W, 3]."""
    left, top = int(x * len(frame)), int(y * len(frame))
    arrow = textures.pointer()[: max(0, len(frame) - top), : max(0, frame.shape[1] - left)]
    if left < 0 or top < 0 or arrow.size == 0:
        return
    below = frame[top : top + 16, left : left + 16]
    np.copyto(below, arrow[..., :3], where=arrow[..., 3:] > 0)


def read_recording(film: str | Path, size: tuple[int, int], length: int = 512) -> Iterator[dict[str, np.ndarray]]:
    """A film and its lines -> its steps, as DatasetWriter.append takes them, at most ``length`` at a time.

    size: (width, height) that frames are shrunk to, as VPT did. Steps in which nothing is pressed and the camera stands
    still are left out, as VPT's were. Raises DatasetError.
    """
    film = Path(film)
    lines = read_lines(film.with_suffix(".jsonl"))
    if not lines:
        logger.warning(f"{film.with_suffix('.jsonl')} is empty: nothing is learnt from its film")
    frames, pressed, degrees, count, begins = [], [], [], 0, True

    def steps() -> dict[str, np.ndarray]:
        nonlocal begins
        buttons, camera = env_to_joint(np.array(pressed), np.array(degrees))
        kept = (buttons != NULL_BUTTONS) | (camera != NULL_CAMERA)
        first = np.zeros(int(kept.sum()), bool)
        first[:1] = begins
        begins &= not kept.any()
        pictures = resize_linear(np.stack(frames)[kept], size)
        return {"frames": pictures, "buttons": buttons[kept], "camera": camera[kept], "first": first}

    try:
        with av.open(film) as container:
            for line, frame in zip(lines, container.decode(video=0), strict=False):
                if frame.width < size[0] or frame.height < size[1]:
                    raise DatasetError(
                        f"{film} is {frame.width} x {frame.height} pixels, the policy sees {size[0]} x {size[1]}: "
                        "record it larger, or take it out of the folder"
                    )
                picture = frame.to_ndarray(format="rgb24")
                if line["pointer"] is not None:
                    draw_pointer(picture, *line["pointer"])
                frames.append(picture)
                pressed.append([line["action"].get(name, 0) for name in BUTTONS])
                degrees.append(line["action"]["camera"])
                count += 1
                if len(frames) == length:
                    yield steps()
                    frames, pressed, degrees = [], [], []
        if frames:
            yield steps()
    except (av.FFmpegError, IndexError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        reason = str(error).splitlines()[0]
        raise DatasetError(
            f"{film} cannot be read after {count} frames ({reason}): download it again, or delete it"
        ) from error
    if count != len(lines):
        logger.warning(f"{film}: {len(lines)} lines, {count} frames: what is more on one side was left out")
