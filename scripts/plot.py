"""Learning curves of several runs as one PNG: a line for each group of runs, and the band between its seeds.

python scripts/plot.py --runs "KL leash=output/kill_cow__*" --output learning_curve.png
"""

import glob
import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import tyro

matplotlib.use("Agg")
import matplotlib.pyplot as plt


@dataclass
class Args:
    runs: tuple[str, ...] = ("runs=output/*",)
    """groups LABEL=PATTERN of run folders (those with a metrics.jsonl)"""
    output: Path = Path("learning_curve.png")
    """the picture"""
    x: str = "charts/global_step"
    """key along the horizontal axis"""
    y: str = "charts/episodic_return"
    """key along the vertical axis"""
    begin: float = 0.0
    """where the horizontal axis begins: the mean of the very first episodes says little"""
    smooth: int = 5
    """iterations in the moving average"""


def read_curve(path: Path, x: str, y: str) -> tuple[np.ndarray, np.ndarray]:
    """The two columns of a metrics.jsonl, without the rows in which one is missing."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    pairs = [(row[x], row[y]) for row in rows if row.get(x) is not None and row.get(y) is not None]
    if not pairs:
        raise SystemExit(f"{path} has no row with {x} and {y}")
    xs, ys = np.array(pairs, float).T
    return xs, ys


def seeds(label: str, count: int) -> str:
    return f"{label} ({count} seed{'s' * (count > 1)})"


def save(figure: plt.Figure, axes: plt.Axes, x: str, y: str, output: Path) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output)
    print(output)


def draw(groups: dict[str, list[Path]], args: Args) -> None:
    """The picture of runs' folders, by label."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6), dpi=110)
    for label, folders in groups.items():
        curves = [read_curve(folder / "metrics.jsonl", args.x, args.y) for folder in folders]
        grid = np.linspace(max(args.begin, *(xs[0] for xs, _ in curves)), min(xs[-1] for xs, _ in curves), 200)
        kernel = np.ones(args.smooth) / args.smooth
        smoothed = [np.convolve(np.pad(ys, (args.smooth - 1, 0), "edge"), kernel, "valid") for _, ys in curves]
        values = np.stack([np.interp(grid, xs, ys) for (xs, _), ys in zip(curves, smoothed, strict=True)])
        (line,) = axes.plot(grid, values.mean(0), label=seeds(label, len(curves)))
        axes.fill_between(grid, values.min(0), values.max(0), color=line.get_color(), alpha=0.2, linewidth=0)
    save(figure, axes, *(key.split("/")[-1].replace("_", " ") for key in (args.x, args.y)), args.output)


def draw_sweep(amounts: tuple[int, ...], values: dict[str, list[list[float]]], x: str, y: str, output: Path) -> None:
    """The picture of a figure of merit against a setting. values: of each label [amounts][seeds]."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6), dpi=110)
    for label, rows in values.items():
        grid = np.array(rows)
        (line,) = axes.plot(amounts, grid.mean(1), marker="o", label=seeds(label, grid.shape[1]))
        axes.fill_between(amounts, grid.min(1), grid.max(1), color=line.get_color(), alpha=0.2, linewidth=0)
    save(figure, axes, x, y, output)


def main(args: Args) -> None:
    groups = {}
    for group in args.runs:
        label, _, pattern = group.partition("=")
        groups[label] = [path.parent for path in map(Path, sorted(glob.glob(f"{pattern}/metrics.jsonl")))]
        if not groups[label]:
            raise SystemExit(f"--runs {group}: no folder with a metrics.jsonl matches; expected LABEL=PATTERN")
    draw(groups, args)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
