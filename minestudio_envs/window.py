"""A window that shows pictures to people, in real time: render_mode="human" and scripts/play.py."""

import math
import os
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

SIZE = (1280, 720)
TEXT_SIZE, TEXT, PANEL = 20, (240, 243, 248), (12, 14, 20, 165)


def import_pygame() -> Any:
    """pygame. Raises DependencyNotInstalled, which says what to install."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    try:
        import pygame
    except ImportError as error:
        raise gym.error.DependencyNotInstalled(
            'a window needs pygame: pip install "minestudio_envs[play]" (in a clone: pip install -e ".[play]")'
        ) from error
    return pygame


class Window:
    """A window of ``size`` = (width, height) pixels that ``show`` fills no more than ``fps`` times a second.

    Raises DependencyNotInstalled without pygame, and gymnasium's Error where there is no display.
    """

    def __init__(self, title: str, fps: int, size: tuple[int, int] = SIZE):
        self.pygame = pygame = import_pygame()
        self.fps = fps
        try:
            pygame.display.init()
            driver = pygame.display.get_driver()
            if driver == "offscreen" and os.environ.get("SDL_VIDEODRIVER") != driver:  # SDL's last resort
                raise pygame.error("no video device")
            pygame.display.set_mode(size, pygame.RESIZABLE)
        except pygame.error as error:
            pygame.display.quit()
            raise gym.error.Error(
                f"a window needs a display, and there is none here ({error}): use render_mode='rgb_array', or set "
                "DISPLAY; SDL_VIDEODRIVER=dummy does without"
            ) from error
        pygame.display.set_caption(title)
        pygame.font.init()
        self._font = pygame.font.Font(None, TEXT_SIZE)
        self._clock = pygame.time.Clock()

    def show(self, picture: np.ndarray, lines: Sequence[str] = ()) -> None:
        """Show uint8 [height, width, 3] as large as fits, lines of text over it, and wait for the next frame's time."""
        pygame, screen = self.pygame, self.pygame.display.get_surface()
        height, width, _ = picture.shape
        scale = min(screen.get_width() / width, screen.get_height() / height)
        size = round(width * scale), round(height * scale)
        surface = pygame.image.frombuffer(np.ascontiguousarray(picture), (width, height), "RGB")
        screen.fill(0)
        corner = (screen.get_width() - size[0]) // 2, (screen.get_height() - size[1]) // 2
        screen.blit(pygame.transform.scale(surface, size), corner)
        texts = [self._font.render(line, True, TEXT) for line in lines]
        for row, text in enumerate(texts):
            panel = pygame.Surface((text.get_width() + 12, TEXT_SIZE), pygame.SRCALPHA)
            panel.fill(PANEL)
            panel.blit(text, (6, (TEXT_SIZE - text.get_height()) // 2))
            screen.blit(panel, (8, 8 + row * TEXT_SIZE))
        pygame.event.pump()  # else the system takes the window for dead
        pygame.display.flip()
        self._clock.tick(self.fps)

    def close(self) -> None:
        """Closing twice is harmless."""
        self.pygame.display.quit()


def grid(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures uint8 [h, w, 3] of one size side by side as one, about as wide and high as the window."""
    height, width, _ = pictures[0].shape
    columns = min(len(pictures), math.ceil(math.sqrt(len(pictures) * height / width * SIZE[0] / SIZE[1])))
    rows = math.ceil(len(pictures) / columns)
    whole = np.zeros((rows * height, columns * width, 3), np.uint8)
    for i, picture in enumerate(pictures):
        y, x = i // columns * height, i % columns * width
        whole[y : y + height, x : x + width] = picture
    return whole
