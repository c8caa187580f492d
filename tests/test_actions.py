"""VPT's joint action space: tables, quantiser, conflict rules, both directions, numpy and torch."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minestudio_envs.actions import (
    BUTTONS,
    CAMERA_META,
    FACTORS,
    INVENTORY,
    NULL_BUTTONS,
    NULL_CAMERA,
    NUM_BUTTONS,
    NUM_CAMERA,
    button_table,
    camera_degrees,
    env_to_joint,
    factored_to_joint,
    joint_to_env,
    joint_to_factored,
)

GOLDEN = np.load(Path(__file__).parent / "golden" / "actions_public.npz")
META = json.loads(str(GOLDEN["meta"]))
KINDS = [pytest.param(lambda x: x, id="numpy"), pytest.param(torch.from_numpy, id="torch")]


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def press(*names: str) -> np.ndarray:
    return np.isin(BUTTONS, names).astype(np.uint8)[None]


def joint(*names: str, pitch: float = 0.0, yaw: float = 0.0) -> tuple[int, int]:
    buttons, camera = env_to_joint(press(*names), np.array([[pitch, yaw]]))
    return int(buttons[0]), int(camera[0])


def test_tables_are_the_published_ones():
    assert list(BUTTONS) == META["button_names"]
    assert digest(button_table()) == META["sha256"]["button_table_u8_8641x20"]
    assert camera_degrees().shape == (NUM_CAMERA, 2) and camera_degrees().dtype == np.float64
    np.testing.assert_allclose(camera_degrees(), GOLDEN["camera_degrees"], rtol=0, atol=1e-12)
    off = (np.arange(NUM_BUTTONS) & CAMERA_META == 0) & (np.arange(NUM_BUTTONS) != INVENTORY)
    assert digest(off.astype(np.uint8)) == META["sha256"]["camera_meta_off_u8_8641"]
    assert (NULL_BUTTONS, NULL_CAMERA, INVENTORY) == tuple(
        META[key] for key in ("null_buttons", "camera_null_index", "inventory_index")
    )


def test_shared_tables_cannot_be_changed_by_accident():
    for table in (button_table(), camera_degrees()):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 1
    pressed, degrees = joint_to_env(np.array([0]), np.array([60]))
    pressed[:], degrees[:] = 1, 1  # results are copies
    assert not button_table()[0].any() and not camera_degrees()[60].any()


@pytest.mark.parametrize("kind", KINDS)
def test_joint_to_env_equals_the_reference(kind):
    pressed, degrees = joint_to_env(kind(GOLDEN["to/joint_buttons"][:, 0]), kind(GOLDEN["to/joint_camera"][:, 0]))
    assert type(pressed) is type(degrees) is type(kind(np.zeros(1)))
    assert np.asarray(pressed).dtype == np.uint8 and np.asarray(degrees).dtype == np.float64
    assert np.array_equal(pressed, GOLDEN["to/buttons"])
    np.testing.assert_allclose(degrees, GOLDEN["to/env_camera"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", ["from", "env"])
def test_env_to_joint_equals_the_reference(kind, source):
    bins = GOLDEN["from/camera_bins"].astype(int)
    degrees = camera_degrees()[11 * bins[:, 0] + bins[:, 1]] if source == "from" else GOLDEN["env/camera_degrees"]
    buttons, camera = env_to_joint(kind(GOLDEN["from/buttons"]), kind(degrees))
    assert type(buttons) is type(camera) is type(kind(np.zeros(1)))
    assert np.asarray(buttons).dtype == np.asarray(camera).dtype == np.int64
    assert np.array_equal(buttons, GOLDEN[f"{source}/joint_buttons"][:, 0])
    assert np.array_equal(camera, GOLDEN[f"{source}/joint_camera"][:, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_camera_quantiser_equals_the_reference_on_both_axes(kind):
    degrees = GOLDEN["quant/degrees"]
    nothing = kind(np.zeros((len(degrees), 20), np.uint8))
    _, camera = env_to_joint(nothing, kind(np.stack([degrees, -degrees], 1)))
    pitch, yaw = np.divmod(np.asarray(camera), 11)
    assert np.array_equal(pitch, GOLDEN["quant/mu_law_bins"])
    _, mirrored = env_to_joint(nothing, kind(np.stack([-degrees, degrees], 1)))
    assert np.array_equal(yaw, np.asarray(mirrored) // 11)


def test_documented_examples():
    for index, names in {
        0: [],
        2: ["jump"],
        4: ["attack"],
        48: ["sprint", "use"],
        432: ["forward", "left", "sprint", "use"],
        864: ["hotbar.1"],
        8638: ["hotbar.9", "back", "right", "sneak", "use", "drop", "attack", "jump"],
        INVENTORY: ["inventory"],
    }.items():
        assert joint(*names) == (index, NULL_CAMERA), names
        assert np.array_equal(button_table()[index], press(*names)[0])
    assert joint(yaw=10.0) == (1, 65) and joint(pitch=-10.0) == (1, 5)
    assert joint(*("hotbar.9", "back", "right", "sneak", "use", "drop", "attack", "jump"), yaw=1.0)[0] == 8639


def test_conflicting_keys():
    assert joint("forward", "back", "jump") == joint("jump")
    assert joint("left", "right", "use") == joint("use")
    assert joint("sprint", "sneak") == joint("sneak")
    assert joint("hotbar.2", "hotbar.7", "hotbar.5") == joint("hotbar.7")
    assert joint("inventory", "attack", "hotbar.3", yaw=5.0) == (INVENTORY, NULL_CAMERA)


def test_camera_moves_only_with_its_bit_and_with_inventory():
    buttons = np.array([2, 3, INVENTORY])
    pressed, degrees = joint_to_env(buttons, np.full(3, 120))
    assert np.array_equal(degrees, [[0, 0], [10, 10], [10, 10]])
    assert np.array_equal(pressed[0], pressed[1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("camera", [0, 7, 59, NULL_CAMERA, 61, 120])
def test_every_action_survives_the_round_trip_up_to_what_it_means(kind, camera):
    buttons = np.arange(NUM_BUTTONS)
    back, back_camera = env_to_joint(*joint_to_env(kind(buttons), kind(np.full(NUM_BUTTONS, camera))))
    moves = (buttons & CAMERA_META == 1) & (camera != NULL_CAMERA)
    expected = np.where(buttons == INVENTORY, INVENTORY, (buttons & ~CAMERA_META) + moves)
    assert np.array_equal(back, expected)
    assert np.array_equal(back_camera, np.where(moves, camera, NULL_CAMERA))


@pytest.mark.parametrize("kind", KINDS)
def test_every_joint_action_is_one_choice_in_each_group_and_back(kind):
    buttons, camera = np.divmod(np.arange(NUM_BUTTONS * NUM_CAMERA), NUM_CAMERA)
    factors = joint_to_factored(kind(buttons), kind(camera))
    assert tuple(np.asarray(factors).max(0) + 1) == FACTORS and np.asarray(factors).min() == 0
    for joint_action, back in zip((buttons, camera), factored_to_joint(factors), strict=True):
        assert type(back) is type(factors) and np.array_equal(joint_action, back)


def test_a_groups_choice_presses_its_key_and_inventory_excludes_the_others():
    names = ("hotbar.1", "forward", "left", "sprint", "use", "drop", "attack", "jump")
    for group, name in enumerate(names):
        factors = np.zeros((1, len(FACTORS)), np.int64)
        factors[0, group], factors[0, -2:] = 1, 5
        pressed, degrees = joint_to_env(*factored_to_joint(factors))
        assert np.array_equal(pressed, press(name)) and not degrees.any()
    pressed, degrees = joint_to_env(*factored_to_joint(np.array([[10, 1, 1, 1, 1, 1, 1, 1, 0, 0, 5]])))
    assert np.array_equal(pressed, press("inventory")) and np.allclose(degrees, [[-10, 0]])
    pressed, degrees = joint_to_env(*factored_to_joint(np.array([[0] * 8 + [camera, 5, 10] for camera in (0, 1)])))
    assert np.allclose(degrees, [[0, 0], [0, 10]])


@pytest.mark.parametrize("column", range(len(FACTORS)))
def test_a_choice_that_a_group_does_not_have_is_named(column):
    factors = np.zeros((2, len(FACTORS)), np.int64)
    factors[1, column] = FACTORS[column]
    with pytest.raises(ValueError, match=f"{FACTORS[column]}"):
        factored_to_joint(factors)


@given(st.lists(st.tuples(st.lists(st.booleans(), min_size=20, max_size=20), *[st.floats(-1e6, 1e6)] * 2), max_size=5))
def test_torch_equals_numpy_on_any_action(actions):
    pressed = np.array([row[0] for row in actions], bool).reshape(-1, 20)
    degrees = np.array([row[1:] for row in actions], np.float64).reshape(-1, 2)
    expected = env_to_joint(pressed, degrees)
    actual = env_to_joint(torch.from_numpy(pressed), torch.from_numpy(degrees))
    assert all(np.array_equal(a, b) for a, b in zip(actual, expected, strict=True))
    assert all(a.shape == (len(actions),) for a in expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
def test_any_integer_dtype_means_the_same(dtype):
    indices = np.array([0, 3, 100, 120], dtype)
    expected = joint_to_env(indices.astype(np.int64), indices.astype(np.int64))
    for kind in (np.asarray, torch.from_numpy):
        assert all(
            np.array_equal(a, b) for a, b in zip(joint_to_env(kind(indices), kind(indices)), expected, strict=True)
        )


def test_float32_degrees_and_lists_are_taken():
    assert np.array_equal(env_to_joint(press(), np.array([[1.0, -3.0]], np.float32))[1], [6 * 11 + 2])
    assert np.array_equal(joint_to_env([4], [60])[0], press("attack"))


ONE, CAM = np.array([1]), np.array([60])
STILL = np.zeros((1, 2))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("function", "arguments", "error", "words"),
    [
        (joint_to_env, (np.array([8641]), CAM), ValueError, "buttons must lie in 0 ... 8640, but has \\[8641\\]"),
        (joint_to_env, (np.array([-1]), CAM), ValueError, "buttons must lie in"),
        (joint_to_env, (ONE, np.array([121])), ValueError, "camera must lie in 0 ... 120"),
        (joint_to_env, (ONE, np.array([60, 60])), ValueError, "camera must have shape \\[1\\], not \\[2\\]"),
        (joint_to_env, (ONE[None], CAM[None]), ValueError, "buttons must have shape \\['N'\\], not \\[1, 1\\]"),
        (joint_to_env, (np.array(1), CAM), ValueError, "buttons must have shape"),
        (joint_to_env, (ONE.astype(float), CAM), TypeError, "buttons must have a dtype of kind int.*float64"),
        (joint_to_env, (ONE, CAM == 60), TypeError, "camera must have a dtype of kind int.*bool"),
        (env_to_joint, (press()[:, :19], STILL), ValueError, "pressed must have shape \\['N', 20\\]"),
        (env_to_joint, (press() + 2, STILL), ValueError, "pressed must lie in 0 ... 1"),
        (env_to_joint, (press() * 1.0, STILL), TypeError, "pressed must have a dtype"),
        (env_to_joint, (press(), np.zeros((2, 2))), ValueError, "degrees must have shape \\[1, 2\\]"),
        (env_to_joint, (press(), STILL + np.nan), ValueError, "degrees must lie in .* has \\[nan, nan\\]"),
        (env_to_joint, (press(), np.array([[0, np.inf]])), ValueError, "degrees must lie in .* has \\[inf\\]"),
        (env_to_joint, (press(), STILL * 1j), TypeError, "degrees must have a dtype"),
    ],
)
def test_bad_input_is_named(kind, function, arguments, error, words):
    with pytest.raises(error, match=words):
        function(*(kind(np.ascontiguousarray(argument) if argument.ndim else argument) for argument in arguments))


def test_numpy_and_torch_do_not_mix():
    with pytest.raises(TypeError, match="both"):
        joint_to_env(torch.tensor([1]), np.array([60]))
