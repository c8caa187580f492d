"""Films of episodes: what they hold, and what the overlay shows."""

import functools

import imageio.v3 as iio
import numpy as np
import pytest

from minestudio_envs.actions import BUTTONS, INVENTORY, NULL_BUTTONS, NULL_CAMERA, env_to_joint
from minestudio_envs.training.video import KEYS, PAD, Overlay, VideoRecorder

GREY = np.full((180, 320, 3), 128, np.uint8)
GREY.flags.writeable = False


class GreyEnvs:
    """Draws grey pictures, as bright as drawings were asked for, and remembers those."""

    def __init__(self):
        self.asked = []

    def frame(self, index, size):
        self.asked.append((index, size))
        return np.full((size[1], size[0], 3), min(20 * len(self.asked), 255), np.uint8)


def film(recorder: VideoRecorder, firsts: list[bool]) -> None:
    """Plays steps that begin episodes where `firsts` says so."""
    for first in firsts:
        if recorder.wants(first):
            recorder.step(0.5, NULL_BUTTONS, NULL_CAMERA, 0.0)


def joint(*names: str, pitch: float = 0.0, yaw: float = 0.0) -> tuple[int, int]:
    buttons, camera = env_to_joint(np.isin(BUTTONS, names).astype(np.uint8)[None], np.array([[pitch, yaw]]))
    return int(buttons[0]), int(camera[0])


@functools.cache
def overlay(width: int) -> Overlay:
    return Overlay(width, width * 9 // 16)


def draw(*names: str, values=(None,), rewards=(0.0,), width: int = 320, **camera: float) -> np.ndarray:
    height = width * 9 // 16
    return overlay(width).draw(np.full((height, width, 3), 128, np.uint8), values, rewards, *joint(*names, **camera))


def changed(a: np.ndarray, b: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of where two pictures differ."""
    ys, xs = np.nonzero((a != b).any(-1))
    return xs.min(), ys.min(), xs.max() + 1, ys.max() + 1


def within(inner: tuple, outer: tuple) -> bool:
    return all(a >= b for a, b in zip(inner[:2], outer[:2], strict=True)) and all(
        a <= b for a, b in zip(inner[2:], outer[2:], strict=True)
    )


def place(*keys: float, width: int = 320) -> tuple[int, int, int, int]:
    """Pixels of a place in the widget."""
    return tuple(np.array(overlay(width)._box(*keys)) + np.tile(overlay(width).widget_at, 2))


def amount(picture: np.ndarray, color: str) -> int:
    """Pixels in which red or green is much stronger than the other."""
    red, green = picture[..., 0].astype(int), picture[..., 1].astype(int)
    return int(((red - green if color == "red" else green - red) > 80).sum())


def test_a_film_begins_with_an_episode_and_ends_with_it(tmp_path):
    envs = GreyEnvs()
    recorder = VideoRecorder(envs, tmp_path / "videos", 160, 20, index=3)
    film(recorder, [True, False])
    recorder.request("one")  # in the middle of an episode
    film(recorder, [False, False, True, False, False, False])
    assert envs.asked == [(3, (160, 90))] * 4 and recorder.pop_finished() == []
    film(recorder, [True, False])
    assert len(envs.asked) == 4
    assert recorder.pop_finished() == [tmp_path / "videos" / "one.mp4"]
    frames = iio.imread(tmp_path / "videos" / "one.mp4", plugin="pyav")
    assert frames.shape == (4, 90, 160, 3)
    np.testing.assert_allclose(frames[:, 40:50, 75:85].mean((1, 2, 3)), [20, 40, 60, 80], atol=4)


def test_nothing_is_drawn_or_written_when_nothing_is_requested(tmp_path):
    envs = GreyEnvs()
    recorder = VideoRecorder(envs, tmp_path / "videos", 160, 20)
    assert not any(recorder.wants(first) for first in [True, False, True])
    recorder.step(0.5, NULL_BUTTONS, NULL_CAMERA, 1.0)
    recorder.close()
    assert not envs.asked and not (tmp_path / "videos").exists() and recorder.pop_finished() == []


def test_a_request_during_a_film_is_for_the_episode_after_it(tmp_path):
    recorder = VideoRecorder(GreyEnvs(), tmp_path, 160, 20)
    recorder.request("one")
    film(recorder, [True, False])
    recorder.request("two")
    film(recorder, [False, True, False, True])
    assert [path.name for path in recorder.pop_finished()] == ["one.mp4", "two.mp4"]
    assert [len(iio.imread(tmp_path / f"{name}.mp4", plugin="pyav")) for name in ("one", "two")] == [3, 2]


def test_a_film_cut_short_plays_and_is_reported_once(tmp_path):
    recorder = VideoRecorder(GreyEnvs(), tmp_path, 160, 20)
    recorder.request("short")
    film(recorder, [True, False, False])
    recorder.close()
    recorder.close()
    assert recorder.pop_finished() == [tmp_path / "short.mp4"] and recorder.pop_finished() == []
    assert len(iio.imread(tmp_path / "short.mp4", plugin="pyav")) == 3
    assert not recorder.wants(False)


def test_a_film_closed_before_its_first_frame_leaves_nothing(tmp_path):
    recorder = VideoRecorder(GreyEnvs(), tmp_path, 160, 20)
    recorder.request("none")
    assert recorder.wants(True)
    recorder.close()
    assert recorder.pop_finished() == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("width", [17, 161, 333])
def test_odd_widths_give_even_frames(tmp_path, width):
    recorder = VideoRecorder(GreyEnvs(), tmp_path, width, 20)
    recorder.request("odd")
    film(recorder, [True, False])
    recorder.close()
    _, height, got, _ = iio.improps(tmp_path / "odd.mp4", plugin="pyav").shape
    assert (got, height) == (width - 1, width * 9 // 16 // 2 * 2)


@pytest.mark.parametrize("width", [128, 160, 320, 640])
@pytest.mark.parametrize("name", KEYS)
def test_a_pressed_button_lights_up_and_no_other(name, width):
    idle, lit = draw(width=width), draw(name, width=width)
    left, top, right, bottom = box = place(*KEYS[name][1:], width=width)
    assert within(changed(idle, lit), box)
    assert (lit[top:bottom, left:right, 0].mean() - idle[top:bottom, left:right, 0].mean()) > 60


def test_no_two_keys_lie_on_each_other():
    taken = np.zeros((180, 320), int)
    for _, *keys in KEYS.values():
        left, top, right, bottom = place(*keys)
        taken[top:bottom, left:right] += 1
    assert taken.max() == 1


def test_buttons_without_a_key_are_named_above_the_widget():
    idle, named = draw(), {name: draw(name) for name in BUTTONS if name not in KEYS}
    assert len(named) == len(BUTTONS) - len(KEYS) == 11
    assert all(changed(idle, picture)[3] <= overlay(320).widget_at[1] for picture in named.values())
    assert len({picture.tobytes() for picture in named.values()}) == 11


def test_the_camera_points_where_the_view_turns():
    left, top, right, bottom = pad = place(*PAD)
    x, y = (left + right) / 2, (top + bottom) / 2

    def middle(**camera):
        area = changed(draw(), draw(**camera))
        assert within(area, pad)
        return (area[0] + area[2]) / 2 - x, (area[1] + area[3]) / 2 - y

    assert middle(yaw=10)[0] > 3 and middle(yaw=-10)[0] < -3 and abs(middle(yaw=10)[1]) <= 1
    assert middle(pitch=10)[1] > 3 and middle(pitch=-10)[1] < -3  # positive pitch looks down
    assert middle(yaw=10)[0] > middle(yaw=1)[0] > 0.5


def test_a_camera_that_the_buttons_hold_still_shows_no_motion():
    moved = overlay(320).draw(GREY, [None], [0.0], NULL_BUTTONS, 0)
    np.testing.assert_array_equal(moved, overlay(320).draw(GREY, [None], [0.0], NULL_BUTTONS, NULL_CAMERA))
    inventory = [overlay(320).draw(GREY, [None], [0.0], INVENTORY, camera) for camera in (0, NULL_CAMERA)]
    assert (inventory[0] != inventory[1]).any()


def test_gains_are_green_ticks_and_losses_red_ones():
    nothing, gain, loss = (draw(rewards=[0.0, reward] + [0.0] * 20, values=[None] * 22) for reward in (0, 1, -1))
    assert amount(nothing, "green") == amount(nothing, "red") == 0
    assert amount(gain, "green") > 10 and amount(gain, "red") == 0
    assert amount(loss, "red") > 10 and amount(loss, "green") == 0


def test_the_sum_of_rewards_outlives_its_tick():
    later = [0.0] * 200  # longer than the curve
    none, one, two = (draw(values=[None] * 201, rewards=[reward, *later]) for reward in (0.0, 1.0, 2.0))
    assert (none != one).any() and (one != two).any()


def test_the_value_is_a_number_and_a_curve():
    values = [0.0, 1.0, 0.0, 1.0, 0.5]
    unknown = draw(values=[None] * 5, rewards=[0.0] * 5)
    shown = draw(values=values, rewards=[0.0] * 5)
    other_number = draw(values=[2 * v for v in values], rewards=[0.0] * 5)  # the curve is the same, in its own scale
    other_curve = draw(values=[0.0, 1.0, 1.0, 1.0, 0.5], rewards=[0.0] * 5)
    number, curve = changed(shown, other_number), changed(shown, other_curve)
    assert number[3] <= curve[1], "the number stands above the curve"
    assert within(number, changed(unknown, shown)) and within(curve, changed(unknown, shown))


def test_noise_in_a_constant_value_is_not_blown_up():
    rough = draw(values=[10.0, 10.001, 10.0, 10.001], rewards=[0.0] * 4)
    flat = draw(values=[10.0, 10.0, 10.0, 10.0], rewards=[0.0] * 4)
    assert np.abs(rough.astype(int) - flat).max() < 30


def test_values_that_are_not_finite_are_left_out_and_a_film_starts_with_an_empty_history(tmp_path):
    recorder = VideoRecorder(GreyEnvs(), tmp_path, 320, 20)
    shown = []
    recorder.overlay.draw = lambda frame, values, rewards, *action: (shown.append((values[:], rewards[:])), frame)[1]
    recorder.request("one")
    for first, value, reward in [(True, 1.0, 5.0), (False, float("nan"), 1.0), (False, None, 2.0)]:
        assert recorder.wants(first)
        recorder.step(value, NULL_BUTTONS, NULL_CAMERA, reward)
    recorder.request("two")
    assert recorder.wants(True)
    recorder.step(3.0, NULL_BUTTONS, NULL_CAMERA, 7.0)
    recorder.close()
    # What came with a first observation was paid for the episode before.
    assert shown[2:] == [([1.0, None, None], [0.0, 1.0, 2.0]), ([3.0], [0.0])]


@pytest.mark.parametrize("width", [16, 96, 128, 160, 200, 320, 640, 1280])
def test_crosshair_and_hotbar_stay_free(width):
    """The game's interface is laid out in a window of 640x360: the hotbar is 182 wide, with hearts and food 39 high."""
    height = width * 9 // 16
    frame = np.full((height, width, 3), 128, np.uint8)
    values, rewards = list(np.sin(np.arange(200))), [1.0, -1.0] * 100
    after = overlay(width).draw(frame, values, rewards, *joint(*KEYS, "drop", "hotbar.9", pitch=9, yaw=9))
    touched = (after != frame).any(-1)
    assert touched.any() == (width >= 128)
    scale = width / 640
    assert not touched[round(height - 39 * scale) :, int(229 * scale) : int(411 * scale) + 1].any()
    x, y, radius = width // 2, height // 2, int(np.ceil(8 * scale))
    assert not touched[y - radius : y + radius, x - radius : x + radius].any()


def test_the_environments_picture_is_not_drawn_on():
    overlay(320).draw(GREY, [1.0], [0.0], *joint("forward"))  # read-only: drawing on it would raise
    assert (GREY == 128).all()
