"""Draws a sheet of the voxel engine's pictures: four views as on a 16:9 screen, and below what an agent sees.

python scripts/gallery.py --output docs/gallery.png
"""

from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import tyro

from minestudio_envs.voxel.commands import compile_commands
from minestudio_envs.voxel.engine import VoxelEngine
from minestudio_envs.voxel.items import ITEM_ID
from minestudio_envs.voxel.randomness import environment_key
from minestudio_envs.voxel.state import COW

SCREEN, AGENT, GAP = (480, 270), (128, 128), 8  # width and height; pixels between pictures


@dataclass
class Args:
    output: Path = Path("docs/gallery.png")
    """the sheet, a PNG"""
    seed: int = 0
    """of the worlds"""


@dataclass
class Scene:
    """A world, the time, and where cows stand: (blocks ahead, blocks to the right, degrees away from the viewer)."""

    world: int
    time: int
    yaw: float = 0.0
    pitch: float = 0.0
    item: str = "iron_sword"
    swing: int = 0
    cows: tuple[tuple[float, float, float], ...] = ()
    hurt: bool = False  # the first cow was just hit
    dying: bool = False  # the first cow was just killed


SCENES = [
    Scene(1, 6000, 52, 8, cows=((3.0, -1.0, 130), (7.0, 2.5, 70), (12.0, -5.0, 250))),
    Scene(3, 1000, -90, 10, swing=2, hurt=True, cows=((2.6, -0.2, 100), (6.0, -3.0, 160))),
    Scene(0, 12600, 90, -4, cows=((6.0, -2.0, 90), (9.0, 3.0, 200))),
    Scene(5, 18000, 200, -2, cows=((5.0, 1.0, 150), (8.0, -3.0, 20))),
    Scene(2, 6000, 140, 12, item="air", dying=True, cows=((3.0, -0.5, 80),)),
    Scene(4, 3000, -30, 6, item="oak_log", cows=((4.0, 0.5, 170), (15.0, -3.0, 60))),
    Scene(7, 9000, 118, 25, item="beef", cows=((2.0, -0.6, 120),)),
]


def set_up(engine: VoxelEngine, scene: Scene, seed: int) -> None:
    """Makes the scene's world and puts everything in its place."""
    state = engine.state
    engine.set_keys(np.array([environment_key(seed, scene.world)]))
    engine.tick(np.zeros((1, 20)), np.zeros((1, 2)), np.ones(1, bool))
    state.time_of_day[0], state.yaw[0], state.pitch[0] = scene.time, scene.yaw, scene.pitch
    state.inventory_item[0, 0], state.inventory_count[0, 0] = ITEM_ID[scene.item], 1
    state.held_item[0] = ITEM_ID[scene.item]
    state.swing_ticks[0], state.attack_ticks[0] = scene.swing, 1 if scene.swing else 100
    yaw = np.radians(scene.yaw)
    size = state.height.shape[1]
    for slot, (ahead, right, turned) in enumerate(scene.cows):
        x = state.position[0, 0] - np.sin(yaw) * ahead - np.cos(yaw) * right
        z = state.position[0, 2] + np.cos(yaw) * ahead - np.sin(yaw) * right
        y = state.height[0, int(np.floor(x)) % size, int(np.floor(z)) % size]
        state.mob_kind[0, slot], state.mob_health[0, slot] = COW, 10
        state.mob_position[0, slot] = state.mob_previous_position[0, slot] = (x, y, z)
        state.mob_position[0, slot, 0] += 0.05 * slot  # all but the first walk
        state.mob_yaw[0, slot] = state.mob_head_yaw[0, slot] = scene.yaw + turned
        state.mob_head_yaw[0, slot] += 25
        state.mob_walk[0, slot] = 0.9 * slot
    state.mob_hurt_ticks[0, 0] = 18 if scene.hurt else 0
    state.mob_death_ticks[0, 0] = 9 if scene.dying else 0


def draw(engine: VoxelEngine) -> np.ndarray:
    image = np.empty((1, engine.height, engine.width, 3), np.uint8)
    engine.render(image)
    return image[0]


def main(args: Args) -> None:
    program = compile_commands(["/give @p minecraft:iron_sword", "/give @p minecraft:cooked_beef 12"])
    engines = [VoxelEngine(1, *size, program=program, max_mobs=4) for size in (SCREEN, AGENT)]
    (width, height), (small, _) = SCREEN, AGENT
    sheet = np.full((2 * height + small + 2 * GAP, 2 * width + GAP, 3), 255, np.uint8)
    step = (sheet.shape[1] - small) // (len(SCENES) - 1)
    for i, scene in enumerate(SCENES):
        for engine in engines:
            set_up(engine, scene, args.seed)
        if i < 4:
            top, left = (i // 2) * (height + GAP), (i % 2) * (width + GAP)
            sheet[top : top + height, left : left + width] = draw(engines[0])
        sheet[-small:, i * step : i * step + small] = draw(engines[1])
    args.output.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(args.output, sheet, optimize=True)
    print(f"wrote {args.output}: {sheet.shape[1]}x{sheet.shape[0]}, {args.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(tyro.cli(Args))
