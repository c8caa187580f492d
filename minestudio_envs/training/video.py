"""Films of single environments: what the agent sees, and over it what it presses, expects and is paid."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from minestudio_envs.actions import BUTTONS, joint_to_env

SHOWN_STEPS = 150  # of the curve
SMOOTH = 3  # shapes are drawn this much larger and averaged: Pillow's have hard edges
PANEL, IDLE, LIT, TEXT = (12, 14, 20, 165), (78, 84, 98, 205), (255, 205, 80, 255), (240, 243, 248, 255)
VALUE, AREA, GAIN, LOSS = (105, 195, 255, 255), (38, 78, 112, 200), (95, 225, 105, 255), (255, 95, 85, 255)

# Widget: what the button is called on a keyboard, and its place: left, top, width, height in keys.
KEYS = {
    "forward": ("W", 2.6, 0, 1, 1),
    "sneak": ("shift", 0, 1, 1.6, 1),
    "left": ("A", 1.6, 1, 1, 1),
    "back": ("S", 2.6, 1, 1, 1),
    "right": ("D", 3.6, 1, 1, 1),
    "sprint": ("ctrl", 0, 2, 1.6, 1),
    "jump": ("space", 1.6, 2, 3, 1),
    "attack": ("", 5, 0, 1, 1.3),
    "use": ("", 6, 0, 1, 1.3),
}
MOUSE, PAD, WIDGET = (5, 1.3, 2, 1.7), (7.4, 0, 3, 3), (10.4, 3)


class Film:
    """An mp4 of frames uint8 [height, width, 3], encoded as they come. size: (width, height), even numbers."""

    def __init__(self, path: Path, size: tuple[int, int], fps: int):
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = av.open(path, "w")
        # superfast: a quarter of the default's time, half as large again
        self._stream = self._file.add_stream("libx264", rate=fps, options={"preset": "superfast"})
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"

    def add(self, frame: np.ndarray) -> None:
        self._file.mux(self._stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))

    def close(self) -> None:
        """Ends the film, which cannot be played before."""
        self._file.mux(self._stream.encode())
        self._file.close()


class VideoRecorder:
    """Films one environment of a batch, from the beginning of an episode to its end, when asked to.

    envs: has frame(index, (width, height)) -> uint8 [height, width, 3]. width: pixels; the height follows at 16:9.
    """

    def __init__(self, envs: Any, folder: Path, width: int, fps: int, index: int = 0):
        self.envs, self.folder, self.fps, self.index = envs, Path(folder), fps, index
        self.size = (width // 2 * 2, width * 9 // 16 // 2 * 2)  # the codec wants even numbers
        self.overlay = Overlay(*self.size)
        self.wanted: str | None = None  # name of the film that begins with the next episode
        self.finished: list[Path] = []
        self._path: Path | None = None  # of the running film
        self._film: Film | None = None  # opened with its first frame
        self._values: list[float | None] = []
        self._rewards: list[float] = []

    def request(self, name: str) -> None:
        """The next episode becomes <folder>/<name>.mp4."""
        self.wanted = name

    @property
    def active(self) -> bool:
        """Is a film running or asked for? While not, `wants` need not be called."""
        return self.wanted is not None or self._path is not None

    def wants(self, first: bool) -> bool:
        """Is this step to be filmed? To be called with every observation acted on; `first`: it begins an episode."""
        if first:
            self.close()
            if self.wanted is not None:
                self._path, self.wanted = self.folder / f"{self.wanted}.mp4", None
        return self._path is not None

    def step(self, value: float | None, buttons: int, camera: int, reward: float) -> None:
        """Films the current observation, if `wants` said so.

        value: its estimated return in units of reward, None or not finite: not shown. buttons, camera: VPT's joint
        action about to be taken. reward: what the step before paid; with the first frame it is not this episode's.
        """
        if self._path is None:
            return
        if self._film is None:
            self._film = Film(self._path, self.size, self.fps)
            self._values, self._rewards, reward = [], [], 0.0
        self._values.append(float(value) if value is not None and math.isfinite(value) else None)
        self._rewards.append(float(reward))
        frame = self.envs.frame(self.index, self.size)
        self._film.add(self.overlay.draw(frame, self._values, self._rewards, int(buttons), int(camera)))

    def close(self) -> None:
        """Ends the film. What was filmed so far can be played."""
        path, film, self._path, self._film = self._path, self._film, None, None
        if film is not None:
            film.close()
            self.finished.append(path)

    def pop_finished(self) -> list[Path]:
        """The films that ended since this was last asked."""
        finished, self.finished = self.finished, []
        return finished


class Overlay:
    """Keys, mouse and camera at the bottom left; value, rewards and their sum at the top left. Scaled with the width.

    The bottom's middle is the hotbar's and the picture's middle the crosshair's. Words that do not fit are left out,
    and in pictures less than 128 pixels wide everything is.
    """

    def __init__(self, width: int, height: int):
        self.visible, self.margin = width >= 128, max(2, round(width / 80))
        self.key = key = min(width * 0.0295, 6 + width / 64)  # pixels: of a small picture keys are a larger part
        self.font = ImageFont.load_default(size=max(9, round(key * 0.7)))
        self.inset, line = round(key * 0.4), self.font.size
        self.widget_size = round(WIDGET[0] * key) + 2 * self.inset, round(WIDGET[1] * key) + 2 * self.inset
        self.widget_at = self.margin, height - self.margin - self.widget_size[1]
        self.plot_size = max(self.widget_size[0], round(min(15 * line, width * 0.45))), round(2.6 * key) + 2 * line
        self.words = self.font.getlength("value -00.00  reward -00.00") < self.plot_size[0] - 2 * self.inset
        if self.visible:
            self.idle, self.lit = self._widget(IDLE), self._widget(LIT)

    def draw(
        self, frame: np.ndarray, values: Sequence[float | None], rewards: Sequence[float], buttons: int, camera: int
    ) -> np.ndarray:
        """The frame (uint8 [h, w, 3], itself left as it is) with the overlay. values, rewards: the episode's so far."""
        if not self.visible:
            return frame
        (pressed,), ((pitch, yaw),) = joint_to_env([buttons], [camera])
        names = [name for name, down in zip(BUTTONS, pressed, strict=True) if down]
        picture = Image.fromarray(frame)
        draw, size = ImageDraw.Draw(picture, "RGBA"), self.font.size

        widget = self.idle.copy()
        for name in KEYS.keys() & names:
            box = self._box(*KEYS[name][1:])
            widget.paste(self.lit.crop(box), box)
        if pitch or yaw:
            widget.alpha_composite(self._camera(pitch, yaw), self._box(*PAD)[:2])
        picture.paste(widget, self.widget_at, widget)
        others = "  ".join(name.replace(".", " ") for name in names if name not in KEYS)
        if others and self.words:
            x, y = self.widget_at[0], self.widget_at[1] - 2 * size
            right = x + self.font.getlength(others) + 2 * self.inset
            draw.rounded_rectangle((x, y, right, y + 1.5 * size), 0.3 * size, PANEL)
            draw.text((x + self.inset, y + 0.75 * size), others, LIT, self.font, anchor="lm")

        plot = self._plot(values[-SHOWN_STEPS:], rewards[-SHOWN_STEPS:])
        picture.paste(plot, (self.margin, self.margin), plot)
        left, y = self.margin + self.inset, self.margin + size
        if values[-1] is not None:
            draw.text((left, y), "value " * self.words + number(values[-1]), VALUE, self.font, anchor="lm")
        news = sum(rewards[-10:])
        color = GAIN if news > 0 else LOSS if news < 0 else TEXT  # a payment glows for ten steps
        right = self.margin + self.plot_size[0] - self.inset
        draw.text((right, y), "reward " * self.words + number(sum(rewards)), color, self.font, anchor="rm")
        return np.asarray(picture)

    def _box(self, x: float, y: float, width: float, height: float) -> tuple[int, int, int, int]:
        """A place in keys -> pixels (left, top, right, bottom) in the widget, less a gap at the right and bottom."""
        gap = max(1, round(self.key * 0.12))
        left, top, right, bottom = (round(v * self.key) + self.inset for v in (x, y, x + width, y + height))
        return left, top, right - gap, bottom - gap

    def _widget(self, fill: tuple[int, ...]) -> Image.Image:
        """Keyboard and mouse with every button of this colour."""
        picture, draw = canvas(self.widget_size, PANEL)
        size = max(8, self.key * 0.62)
        font = ImageFont.load_default(size=SMOOTH * size)
        for label, *place in [*KEYS.values(), ("", *MOUSE), ("", *PAD)]:
            left, top, right, bottom = (SMOOTH * v for v in self._box(*place))
            button = place not in ([*MOUSE], [*PAD])
            radius = SMOOTH * self.key * (0.6 if place == [*MOUSE] else 0.2)
            corners = (place != [*MOUSE],) * 2 + (True, True)
            draw.rounded_rectangle(
                (left, top, right - 1, bottom - 1), radius, fill if button else IDLE, corners=corners
            )
            fits = len(label) == 1 or font.getlength(label) + SMOOTH * size / 3 < right - left
            if fits and size < self.key - 1:
                color = PANEL[:3] if fill == LIT else TEXT
                draw.text(((left + right) / 2, (top + bottom) / 2), label, color, font, anchor="mm")
        return picture.reduce(SMOOTH)

    def _camera(self, pitch: float, yaw: float) -> Image.Image:
        """Where the view turns. The root of the degrees: the fine bins around 0 could not be told apart."""
        left, top, right, bottom = self._box(*PAD)
        picture, draw = canvas((right - left, bottom - top))
        middle, dot = SMOOTH * (right - left) / 2, SMOOTH * self.key * 0.28
        x, y = (middle + (middle - 1.5 * dot) * math.copysign(math.sqrt(abs(v) / 10), v) for v in (yaw, pitch))
        draw.line((middle, middle, x, y), LIT, round(0.7 * dot))
        draw.ellipse((x - dot, y - dot, x + dot, y + dot), LIT)
        return picture.reduce(SMOOTH)

    def _plot(self, values: Sequence[float | None], rewards: Sequence[float]) -> Image.Image:
        """The value's curve, and ticks of the rewards: gains stand on the ground, losses hang from the ceiling."""
        picture, draw = canvas(self.plot_size, PANEL)
        inset, line = SMOOTH * self.inset, SMOOTH * max(1, self.key / 12)
        width, bottom = picture.width - 2 * inset, picture.height - inset
        top = SMOOTH * 2 * self.font.size
        xs = [inset + width * (i + 0.5) / SHOWN_STEPS for i in range(len(values))]
        known = [(x, value) for x, value in zip(xs, values, strict=True) if value is not None]
        if known:
            low, high = min(value for _, value in known), max(value for _, value in known)
            span = max(high - low, 0.1 * max(-low, high), 1e-3)  # noise must not look like news
            scale, middle = (bottom - top - 2 * line) / span, (top + bottom) / 2
            curve = [(x, middle - (value - (low + high) / 2) * scale) for x, value in known]
            draw.polygon([(curve[0][0], bottom), *curve, (curve[-1][0], bottom)], AREA)
        largest = max(map(abs, rewards))
        for x, reward in zip(xs, rewards, strict=True):
            if reward:
                tall = (0.3 + 0.7 * abs(reward) / largest) * (bottom - top)
                ends = (bottom - tall, bottom) if reward > 0 else (top, top + tall)
                draw.line((x, ends[0], x, ends[1]), GAIN if reward > 0 else LOSS, round(2 * line))
        if known:
            draw.line(curve, VALUE, round(1.5 * line))
            x, y = curve[-1]
            draw.ellipse((x - 2 * line, y - 2 * line, x + 2 * line, y + 2 * line), VALUE)
        return picture.reduce(SMOOTH)


def canvas(size: tuple[int, int], fill: tuple[int, ...] | None = None) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A transparent picture SMOOTH times this size, to be reduced when drawn on; fill: with a panel of this colour."""
    picture = Image.new("RGBA", (SMOOTH * size[0], SMOOTH * size[1]))
    draw = ImageDraw.Draw(picture)
    if fill is not None:
        draw.rounded_rectangle((0, 0, picture.width - 1, picture.height - 1), 0.08 * picture.height, fill)
    return picture, draw


def number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.4g}"
