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
        where = 0
        for part in name.split("."):  # the class, then its method
            definition = re.compile(rf"\s*(def|class) {part}\b")
            where = next(i for i in range(where, len(lines)) if definition.match(lines[i]))
        assert int(number) == where + 1, f"README: {name} is at {file}#L{where + 1}"


def test_files_and_tests_that_it_names_exist():
    tests = "".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))
    for name in re.findall(r"`(test_\w+?)(?:\[\w+\])?`", README):
        assert f"def {name}(" in tests, name
    for path in re.findall(r"\]\(([\w/.]+?)(?:#L\d+)?\)", README):
        assert (ROOT / path).exists(), path
