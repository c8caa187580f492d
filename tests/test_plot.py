"""scripts/plot.py: what is wrong with its flags and with runs is named, and what it prints is what it wrote."""

import json
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
from scripts import plot

ROWS = [{"charts/global_step": 100 * i, "charts/episodic_return": float(i)} for i in range(1, 5)]


def run_of(folder: Path, text: bytes = b"") -> Path:
    """A run with four rows and, after them, this text."""
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in ROWS) + text)
    return folder


@pytest.mark.parametrize("name, written", [("a.pdf", "a.pdf"), ("a", "a.png"), ("sub/b.PNG", "sub/b.PNG")])
def test_it_prints_the_file_that_it_wrote(tmp_path, capsys, name, written):
    run_of(tmp_path / "run")
    plot.main(plot.Args((f"one={tmp_path}/run",), tmp_path / name))
    assert capsys.readouterr().out == f"{tmp_path / written}\n" and (tmp_path / written).stat().st_size > 1000


def test_rows_without_a_value_are_left_out(tmp_path):
    run = run_of(
        tmp_path / "run", b'{"charts/global_step": 500}\n{"charts/global_step": 600, "charts/episodic_return": null}\n'
    )
    xs, ys = plot.read_curve(run / "metrics.jsonl", "charts/global_step", "charts/episodic_return")
    assert xs.tolist() == [100, 200, 300, 400] and ys.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "line",
    [
        b'{"charts/global_st',
        b"[1, 2]",
        b"3",
        b'{"charts/global_step": "then", "charts/episodic_return": 1}',
        b'{"charts/global_step": 1, "charts/episodic_return": [1]}',
        b'{"charts/global_step": 1, "charts/episodic_return": 1' + b"0" * 400 + b"}",
        b"\xff",
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path, line):
    run_of(tmp_path / "run", line + b"\n")
    with pytest.raises(SystemExit, match=r"run/metrics\.jsonl, line 5 is no row of metrics"):
        plot.main(plot.Args((f"one={tmp_path}/run",), tmp_path / "a.png"))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"smooth": 0}, "--smooth 0 must be at least 1"),
        ({"output": Path("a.xyz")}, r"--output a\.xyz must be a picture: .*pdf.*png"),
        ({"begin": 401.0}, "--begin 401 must not be beyond 400, where the shortest run of one ends"),
        ({"begin": float("nan")}, "--begin nan"),
        ({"runs": ()}, "--runs is empty"),
        ({"runs": ("one=run", "one=r*")}, "--runs one=r.: 'one' is the label of another group already"),
        ({"runs": ("one=none",)}, "no folder with a metrics.jsonl matches"),
        ({"y": "charts/none"}, "has no row with charts/global_step and charts/none"),
    ],
)
def test_bad_flags_are_named(tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    run_of(tmp_path / "run")
    with pytest.raises(SystemExit, match=message):
        plot.main(plot.Args(**{"runs": ("one=run",), "output": Path("a.png")} | settings))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
