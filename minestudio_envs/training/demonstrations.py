"""People's play in the format of VPT's contractor data: a film, and a JSON line for each of its frames.

What a line's keys mean is documented in VPT's README and by how its data loader reads them (``env_action``).
``scripts/play.py`` writes such files.
"""

from collections.abc import Mapping
from typing import Any

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
