"""VPT's action space: one index for all buttons (8641), one for the camera (121), and what they mean in the game.

VPT (arXiv 2206.11795) acts with two categoricals. The buttons' index enumerates every combination of nine groups of
keys that exclude each other, most significant first, and `inventory`, which excludes everything, comes last:

    hotbar 10 x (forward, back) 3 x (left, right) 3 x (sprint, sneak) 3 x use 2 x drop 2 x attack 2 x jump 2 x camera 2

The lowest bit (CAMERA_META) says whether the camera moves at all: if not, the camera's index has no effect. The
camera's index is 11 x pitch bin + yaw bin, on a mu-law scale that is fine near 0 and ends at 10 degrees.

Everything is batched over N and takes numpy arrays or torch tensors; results are of the same kind, on the same device.
Values are checked on the CPU only: looking at them on a GPU would wait for it.
"""

import functools
import itertools

import numpy as np

BUTTONS = (
    *("attack", "back", "forward", "jump", "left", "right", "sneak", "sprint", "use", "drop", "inventory"),
    *(f"hotbar.{i}" for i in range(1, 10)),
)
NUM_BUTTONS, NUM_CAMERA = 8641, 121
NULL_BUTTONS, NULL_CAMERA = 0, 60  # nothing pressed and the camera still; both camera bins in the middle
INVENTORY = 8640
# `index & CAMERA_META`: the camera moves. Inventory lacks the bit, yet lets the camera pass (as in VPT).
CAMERA_META = 1

_GROUPS = (  # options besides "none", most significant group first
    tuple(f"hotbar.{i}" for i in range(1, 10)),
    ("forward", "back"),
    ("left", "right"),
    ("sprint", "sneak"),
    ("use",),
    ("drop",),
    ("attack",),
    ("jump",),
    ("camera",),
)
_BINS, _MAX_DEGREES, _MU = 11, 10.0, 10.0

# The same actions with a number for each group. `inventory` is the first group's last option: it excludes the others.
FACTORS = (len(_GROUPS[0]) + 2, *(len(group) + 1 for group in _GROUPS[1:]), _BINS, _BINS)  # pitch and yaw come last


@functools.cache
def button_table() -> np.ndarray:
    """uint8 [8641, 20], read-only: which of BUTTONS each index presses."""
    table = np.zeros((NUM_BUTTONS, len(BUTTONS)), np.uint8)
    for index, options in enumerate(itertools.product(*[(None, *group) for group in _GROUPS])):
        table[index, [BUTTONS.index(name) for name in options if name in BUTTONS]] = 1
    table[INVENTORY, BUTTONS.index("inventory")] = 1
    table.flags.writeable = False
    return table


@functools.cache
def camera_degrees() -> np.ndarray:
    """float64 [121, 2], read-only: (pitch, yaw) in degrees of each camera index."""
    x = (2 * np.arange(_BINS) - (_BINS - 1)) / (_BINS - 1)
    degrees = np.sign(x) / _MU * ((1 + _MU) ** np.abs(x) - 1) * _MAX_DEGREES
    table = np.stack([np.repeat(degrees, _BINS), np.tile(degrees, _BINS)], axis=1)
    table.flags.writeable = False
    return table


def joint_to_env(buttons, camera):
    """VPT's action -> (pressed uint8 [N, 20] in the order of BUTTONS, degrees float64 [N, 2] of pitch and yaw).

    buttons, camera: integers [N] in 0 ... 8640 and 0 ... 120.
    Raises TypeError for other kinds and dtypes, ValueError for wrong shapes and values.
    """
    xp, buttons, camera = _as_joint(buttons, camera)
    moves = ((buttons & CAMERA_META) == 1) | (buttons == INVENTORY)
    presses, degrees = _tables(None if xp is np else buttons.device)
    return presses[buttons], degrees[xp.where(moves, camera, NULL_CAMERA)]


def env_to_joint(pressed, degrees):
    """What is pressed -> VPT's action: (buttons, camera), int64 [N] each. Every action has one; some lose keys.

    Inventory drops everything else. Opposite directions cancel. Of several keys of another group the one listed last
    in the groups above wins (sneak over sprint, the highest hotbar). The camera is rounded to the nearest bin of the
    mu-law scale, beyond 10 degrees to the last.

    pressed: bool or integers [N, 20] of 0 and 1. degrees: (pitch, yaw) [N, 2], finite.
    Raises TypeError for other kinds and dtypes, ValueError for wrong shapes and values.
    """
    xp, pressed, degrees = _as_arrays(pressed, degrees, names=("pressed", "degrees"))
    _check("pressed", pressed, (None, len(BUTTONS)), ("bool", "int", "uint"), 0, 1)
    largest = np.finfo(np.float64).max
    _check("degrees", degrees, (pressed.shape[0], 2), ("float", "bfloat", "int", "uint"), -largest, largest)
    x = xp.clip(_cast(degrees, "float64") / _MAX_DEGREES, -1.0, 1.0)
    x = xp.sign(x) * xp.log(1 + _MU * xp.abs(x)) / np.log(1 + _MU)
    bins = _cast(xp.round((_MAX_DEGREES * x + _MAX_DEGREES) / 2), "int64")  # bins of 2; halves go to the even one
    camera = bins[:, 0] * _BINS + bins[:, 1]
    key = {name: column for name, column in zip(BUTTONS, _cast(pressed, "int64").T, strict=True)}
    key["camera"] = _cast(camera != NULL_CAMERA, "int64")
    buttons = xp.zeros_like(camera)
    for group in _GROUPS:
        chosen = xp.stack([key[name] * option for option, name in enumerate(group, start=1)])
        cancel = group in (("forward", "back"), ("left", "right"))
        buttons = buttons * (len(group) + 1) + (chosen.sum(0) % 3 if cancel else xp.amax(chosen, 0))
    inventory = key["inventory"] == 1
    return xp.where(inventory, INVENTORY, buttons), xp.where(inventory, NULL_CAMERA, camera)


def factored_to_joint(factors):
    """A choice in each group -> VPT's action: (buttons, camera), int64 [N] each. Every action has one.

    factors: integers [N, 11], column k in 0 ... FACTORS[k] - 1: the option of each group (0: none), pitch and yaw bin.
    With inventory the other groups of buttons mean nothing.
    Raises TypeError for other kinds and dtypes, ValueError for wrong shapes and values.
    """
    xp, factors = _as_arrays(factors, names=("factors",))
    _check("factors", factors, (None, len(FACTORS)), ("int", "uint"), 0, max(FACTORS) - 1)
    columns = _cast(factors, "int64").T
    for k, options in enumerate(FACTORS):
        _check(f"factors[:, {k}]", columns[k], (None,), ("int",), 0, options - 1)
    buttons = columns[0]
    for column, options in zip(columns[1:-2], FACTORS[1:-2], strict=True):
        buttons = buttons * options + column
    return xp.clip(buttons, 0, INVENTORY), columns[-2] * _BINS + columns[-1]


def joint_to_factored(buttons, camera):
    """``factored_to_joint``'s inverse: int64 [N, 11]. Arguments and errors as ``joint_to_env``."""
    xp, buttons, camera = _as_joint(buttons, camera)
    columns = [camera % _BINS, camera // _BINS]  # last one first
    for options in FACTORS[-3:0:-1]:
        columns.append(buttons % options)
        buttons = buttons // options
    return xp.stack([buttons, *columns[::-1]], 1)


@functools.cache
def _tables(device):
    """(button_table, camera_degrees) as numpy arrays (device None) or as tensors on `device`."""
    if device is None:
        return button_table(), camera_degrees()
    import torch

    return torch.tensor(button_table(), device=device), torch.tensor(camera_degrees(), device=device)


def _as_joint(buttons, camera):
    """The module as in _as_arrays, and VPT's action, checked, as int64 [N] each."""
    xp, buttons, camera = _as_arrays(buttons, camera, names=("buttons", "camera"))
    _check("buttons", buttons, (None,), ("int", "uint"), 0, NUM_BUTTONS - 1)
    _check("camera", camera, buttons.shape, ("int", "uint"), 0, NUM_CAMERA - 1)
    return xp, _cast(buttons, "int64"), _cast(camera, "int64")  # torch would take uint8 indices for a mask


def _as_arrays(*arrays, names):
    """The module (numpy or torch) that the arguments belong to, and the arguments, lists as numpy arrays."""
    tensors = [type(array).__module__.partition(".")[0] == "torch" for array in arrays]
    if any(tensors):
        if not all(tensors) or len({array.device for array in arrays}) > 1:
            raise TypeError(f"{' and '.join(names)} must both be numpy arrays, or torch tensors on one device")
        import torch

        return torch, *arrays
    return np, *map(np.asarray, arrays)


def _cast(array, dtype: str):
    if isinstance(array, np.ndarray):
        return array.astype(dtype)
    import torch

    return array.to(getattr(torch, dtype))


def _check(name: str, array, shape: tuple, kinds: tuple[str, ...], low: float, high: float) -> None:
    """Raise if shape (None: any length), dtype or, on the CPU, a value (NaN too) is not as it should be."""
    if len(array.shape) != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        wanted = ["N" if n is None else n for n in shape]
        raise ValueError(f"{name} must have shape {wanted}, not {list(array.shape)}")
    dtype = str(array.dtype).removeprefix("torch.")
    if not dtype.startswith(kinds):
        raise TypeError(f"{name} must have a dtype of kind {' or '.join(kinds)}, not {dtype}")
    if isinstance(array, np.ndarray) or array.device.type == "cpu":
        wrong = ~((array >= low) & (array <= high))
        if wrong.any():
            raise ValueError(f"{name} must lie in {low} ... {high}, but has {array[wrong][:5].tolist()}")
