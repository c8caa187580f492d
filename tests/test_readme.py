"""What the README points at is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_links_into_the_code_point_at_what_they_name():
    links = re.findall(r"\[`([\w.]+)`\]\(([\w/.]+)#L(\d+)\)", README)
    assert len(links) > 10
    for name, file, number in links:
        lines = (ROOT / file).read_text().splitlines()
        definition = re.compile(rf"\s*(def|class) {name.split('.')[-1]}\b")
        where = [i + 1 for i, line in enumerate(lines) if definition.match(line)]
        assert int(number) in where, f"README: {name} is at {file}#L{where}"


def test_files_and_tests_that_it_names_exist():
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    for name in re.findall(r"`(test_\w+?)(?:\[\w+\])?`", README):
        assert f"def {name}(" in tests, name
    for path in re.findall(r"\]\(([\w/.]+?)(?:#L\d+)?\)", README):
        assert (ROOT / path).exists(), path
