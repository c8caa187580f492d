"""The data flow of ppo_vpt_online.py as one PNG, the picture in the README's "How it works".

python scripts/draw_data_flow.py --output docs/data_flow.png
"""

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import tyro

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Line

WIDTH, HEIGHT, DPI, LINE = 1040, 474, 110, 15  # pixels
INK, GREY, WHITE, FRAME = "#1f2933", "#56616e", "#ffffff", "#9aa5b1"
GREEN, BLUE = ("#4f8a6b", "#eff6f1"), ("#3f74b5", "#edf3fa")  # edge, inside
AMBER, VIOLET = ("#b0812f", "#fbf5e8"), ("#7a64ad", "#f3f0f9")


@dataclass
class Args:
    output: Path = Path("docs/data_flow.png")
    """the picture"""


def write(axes, x, y, text, **style) -> float:
    """Lines at an even distance, the first one's base at y -> the next one's."""
    for line in text.split("|"):
        axes.text(x, y, line, **{"size": 8, "color": GREY, "zorder": 3} | style)
        y += LINE
    return y


def box(axes, x, y, w, h, color, name, does="", fill=None, **style) -> None:
    """A rounded box with its name in the code, and below in grey what it does."""
    shape = "round,pad=0,rounding_size=8"
    axes.add_patch(FancyBboxPatch((x, y), w, h, shape, fc=fill or color[1], ec=color[0], lw=1.2, **style))
    y = write(axes, x + 10, y + 20, name, size=9, family="DejaVu Sans Mono", weight="bold", color=INK)
    write(axes, x + 10, y + 3, does)


def arrow(axes, *points) -> None:
    path = Line(points, [Line.MOVETO] + [Line.LINETO] * (len(points) - 1))
    axes.add_patch(FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=11, color=INK, lw=1.3, zorder=2))


def draw(axes) -> None:
    box(axes, 8, 18, 1024, 424, (FRAME, WHITE), "")
    title = {"size": 9, "weight": "bold", "bbox": {"fc": WHITE, "ec": WHITE, "pad": 4}}
    write(axes, 26, 22, "Trainer: one iteration", **title)
    flow = {"weight": "bold", "color": INK}
    middle = {"ha": "center"}

    box(axes, 20, 138, 146, 82, GREEN, "envs", "MinecraftVectorSim:|N environments in|one batched step")
    arrow(axes, (166, 164), (242, 164))
    write(axes, 204, 142, "images,|rewards", **middle)
    arrow(axes, (242, 194), (166, 194))
    write(axes, 204, 211, "buttons,|camera", **middle)

    box(axes, 242, 84, 192, 228, BLUE, "Collector", "one chunk per environment")
    box(axes, 252, 132, 172, 72, BLUE, "policy", "acts with its memory;|pi_behavior = mu", WHITE)
    seen = "optional: sees the same|steps with a memory of|its own (latents are kept)"
    box(axes, 252, 216, 172, 86, BLUE, "reference policy", seen, WHITE, ls="--")

    write(axes, 496, 164, "chunks", **flow, **middle)
    arrow(axes, (434, 172), (558, 172))
    chunks = "images, first,|actions, log mu,|values, rewards,|terminated,|truncated, valid,|"
    chunks += "versions, memory,|reference latents"
    write(axes, 496, 190, chunks, **middle)

    replay = "drops what is used|max_reuse times,|staler than|max_staleness, or|beyond max_chunks;|in memory or HDF5"
    box(axes, 558, 84, 150, 132, AMBER, "Replay", replay)
    arrow(axes, (708, 106), (772, 106))
    write(axes, 735, 99, "sample", **middle)
    arrow(axes, (633, 216), (633, 312), (772, 312))
    write(axes, 642, 261, "the same chunks,|in minibatches")

    box(axes, 762, 32, 258, 400, VIOLET, "Learner")
    anew = "stale chunks: one no-grad pass|gives log pi_prox, values"
    box(axes, 772, 60, 238, 64, VIOLET, "see_anew", anew, WHITE)
    arrow(axes, (891, 124), (891, 138))
    formulas = "gae / vtrace|normalize_advantages|off_policy_terms"
    box(axes, 772, 138, 238, 80, VIOLET, formulas, "w = pi_prox / mu, clipped", WHITE)
    arrow(axes, (891, 218), (891, 242))
    write(axes, 900, 234, "Targets", **flow)
    losses = "loss: policy (clipped around pi_prox,|weighed by w) + value + KL to|reference − entropy; AdamW"
    passes = "minibatches of whole chunks;|context_length steps of|back-propagation, memory carried;|"
    box(axes, 772, 242, 238, 124, VIOLET, "optimize", passes + losses, WHITE)
    arrow(axes, (891, 366), (891, 378))
    box(axes, 772, 378, 238, 46, VIOLET, "sleep", "optional: values teach the trunk", WHITE, ls="--")

    arrow(axes, (762, 402), (338, 402), (338, 312))
    write(axes, 550, 394, "new weights (version + 1)", **flow, **middle)
    arrow(axes, (94, 442), (94, 458), (118, 458))
    write(axes, 126, 462, "checkpoint, metrics.jsonl, film")


def main(args: Args) -> None:
    figure = plt.figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI, facecolor=WHITE)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    axes.axis("off")
    draw(axes)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.output)
    print(args.output)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
