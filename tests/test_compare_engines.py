"""scripts/compare_engines.py: its measures on made-up episodes, and a page from both engines (the stand-in's second).

Tests that run minestudio need MINESTUDIO_PYTHON, an interpreter that has it (scripts/install_minestudio.sh makes one).
"""

import math
import os
import signal

import imageio.v3 as iio
import numpy as np
import pytest
from stand_in_engine import GROUND, World, events, stand_in, survivors

from scripts import compare_engines
from scripts.compare_engines import QUANTITIES, SCRIPT, Args, Episode, Part

MEASURES = {name: measure for name, _, _, measure in QUANTITIES}
FORMULAS = {name: formula for name, _, formula, _ in QUANTITIES if formula is not None}


def rows(page: str) -> dict[str, list[str]]:
    """The page's table: {quantity: the other cells}."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:2] == "| "]
    return {first: rest for first, *rest in cells}


@pytest.fixture
def game(tmp_path, monkeypatch):
    """The folder of a stand-in, its environment set."""
    for name, value in stand_in(tmp_path / "game").items():
        monkeypatch.setenv(name, value)
    yield tmp_path / "game"
    for pid in survivors(tmp_path / "game"):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def episode():
    """The script in the stand-in's world, which moves by Minecraft's formulas."""
    world = World(1, "<Width>16</Width><Height>9</Height>")
    places, images = [], []
    for part in (Part("reset", 1), *SCRIPT):
        for _ in range(part.ticks):
            pitch, yaw = part.camera
            world.step({name: "1" for name in part.buttons} | {"camera": f"{pitch} {yaw}"})
            places.append([world.x, world.y, world.z, world.yaw, world.pitch])
            images.append(np.frombuffer(world.frame(), np.uint8).reshape(9, 16, 3))
    return Episode(images=images, places=np.array(places))


@pytest.mark.parametrize("name", FORMULAS)
def test_what_moves_by_minecrafts_formulas_is_measured_as_such(episode, name):
    assert MEASURES[name](episode) == pytest.approx(FORMULAS[name], rel=1e-3)


def test_the_other_measures_see_what_was_put_in(episode):
    still = Episode(images=[np.full((9, 16, 3), (10, 20, 30), np.uint8)] * len(episode.images), places=episode.places)
    still.images[2] = np.full((9, 16, 3), (40, 50, 60), np.uint8)  # while standing: two changes of 30 in ten ticks
    assert MEASURES["picture: change a tick while standing"](still) == pytest.approx(6)
    assert MEASURES["picture: change a tick while turning"](still) == 0
    share = 30 / len(still.images)
    assert MEASURES["picture: mean blue"](still) == pytest.approx(30 + share)
    slides = 0.21586 * 0.546 / (1 - 0.546)  # what is left after each tick's drag, summed
    assert MEASURES["sliding after walking"](episode) == pytest.approx(slides, rel=1e-2)
    endless = Episode(images=still.images, places=episode.places.copy())
    endless.places[endless.part("jump").start + 1 :, 1] = GROUND + 1
    assert math.isnan(MEASURES["ticks in the air"](endless))


def test_without_minecraft_the_page_says_so_and_has_the_voxel_engine(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MINESTUDIO_PYTHON", raising=False)
    compare_engines.main(Args(output=tmp_path / "engines.md", episodes=1))
    text = (tmp_path / "engines.md").read_text()
    assert "There was no Minecraft to compare with" in text and "No Minecraft" in capsys.readouterr().out
    table = rows(text)
    assert table[""][0] == "voxel" and len(table[""]) == 3
    assert float(table["yaw for a camera of 10"][0]) == pytest.approx(10, rel=1e-3)
    assert iio.imread(tmp_path / "engines.png").shape == (200, 320 * sum(part.shown for part in SCRIPT), 3)


@pytest.mark.skipif(
    "MINESTUDIO_PYTHON" not in os.environ,
    reason="MINESTUDIO_PYTHON names no interpreter with minestudio; scripts/install_minestudio.sh makes one",
)
def test_with_a_stand_in_the_page_has_both_engines_and_is_labelled(tmp_path, game):
    compare_engines.main(Args(output=tmp_path / "engines.md", episodes=1, seed=3, label="Minecraft"))
    text = (tmp_path / "engines.md").read_text()
    assert "The second engine is a stand-in, not Minecraft" in text
    table = rows(text)
    assert table[""][:2] == ["voxel", "stand-in (not Minecraft)"]
    for name, formula in FORMULAS.items():
        assert float(table[name][1]) == pytest.approx(formula, rel=1e-3), name
    pictures = iio.imread(tmp_path / "engines.png")
    assert pictures.shape == (400, 320 * sum(part.shown for part in SCRIPT), 3)
    assert pictures[230, 10].argmax() == 2  # the stand-in's sky, in its own row
    assert len(events(game, "reset")) == 2 and not survivors(game)
