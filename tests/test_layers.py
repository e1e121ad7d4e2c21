"""The rooms of hpsuite: imports go down, never up or round, and the cellar knows no frameworks."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

import hpsuite

PACKAGE = Path(hpsuite.__file__).resolve().parent

# From the top floor down: a room may import from rooms below it only. Rooms of one line do not
# know each other.
FLOORS = [
    "__main__ library",
    "multirun asking",
    "sync",
    "experiment analyze",
    "compose forecast running earlier",
    "replays tuning",
    "arms scheduler explain tiers hydra_targets",
    "parsing samplers report study attempts places",
    "alone executors judging claim_checks",
    "on_ray measuring cells",
    "findings foreign model_checks parsing_space parsing_pruning parsing_days",
    "untuned",
    "config",
    "declared evidence",
    "samples",
    "values",
    "strategies record provenance tracking pruning",
    "workers sweeping",
    "space journal serving",
    "equipment",
    "training analysis served",
    "lasting",
    "overrides postgres",
    "datasets models checks",
    "trials texts troubles scratch devices losses __init__",
]
ROOMS = {room: floor for floor, line in enumerate(FLOORS) for room in line.split()}

# Who may import a framework; everyone else gets plain values.
FRAMEWORKS = {
    "hydra": "__main__ library compose explain multirun",
    "omegaconf": "__main__ compose explain multirun",
    "mlflow": "tracking",
    "optuna": "running foreign journal library experiment arms parsing parsing_pruning pruning "
    "record samplers served study strategies space alone tuning",
    "optunahub": "strategies",
    "rich": "analyze sync running library experiment forecast report tuning",
    "matplotlib": "report",
    "plotly": "report",
    "ray": "on_ray",
}


@functools.cache
def modules() -> list[tuple[str, str, set[str]]]:
    """(room, dotted name, dotted names that it imports anywhere) of every module."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        found.append((parts[0], ".".join(("hpsuite", *parts)), set(imported(tree))))
    return found


def imported(tree: ast.Module) -> Iterator[str]:
    """Dotted names of all that a module imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            assert node.module is not None
            yield node.module
            if node.module == "hpsuite":
                yield from (f"hpsuite.{alias.name}" for alias in node.names)


def graph() -> dict[str, set[str]]:
    """Room -> rooms that it imports from."""
    found: dict[str, set[str]] = {}
    for room, _, names in modules():
        rooms = found.setdefault(room, set())
        for name in names:
            if name == "hpsuite":
                rooms.add("__init__")
            elif name.startswith("hpsuite.") and name.split(".")[1] in ROOMS:
                rooms.add(name.split(".")[1])
        rooms.discard(room)
    # The package lends names of the library, for type checkers alone: it imports it when asked.
    found["__init__"].discard("library")
    return found


def test_every_room_has_its_floor() -> None:
    assert set(graph()) == set(ROOMS)


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_imports_go_down(room: str) -> None:
    upwards = {other for other in graph()[room] if ROOMS[other] <= ROOMS[room]}
    assert not upwards, f"{room} imports from {', '.join(sorted(upwards))}"


@pytest.mark.parametrize("framework", sorted(FRAMEWORKS))
def test_frameworks_stay_in_their_rooms(framework: str) -> None:
    users = {
        room
        for room, _, names in modules()
        if any(name.partition(".")[0] == framework for name in names)
    }
    assert users <= set(FRAMEWORKS[framework].split())


@pytest.mark.parametrize("room", ["training", "analysis", "datasets", "models", "trials"])
def test_the_cellar_knows_no_frameworks_by_others_either(room: str) -> None:
    rooms = graph()
    reached = {room}
    while new := set().union(*(rooms[r] for r in reached)) - reached:
        reached |= new
    names = {name.partition(".")[0] for r, _, names in modules() if r in reached for name in names}
    assert not names & {"optuna", "mlflow", "hydra", "omegaconf", "ray"}


def test_rooms_with_several_modules_have_no_circles() -> None:
    """Within a subpackage too, where order is not a matter of floors."""
    known = {name for _, name, _ in modules()}
    edges = {name: (names & known) - {name} for _, name, names in modules()}
    edges["hpsuite.__init__"] = set()  # see `graph`
    done: set[str] = set()
    while ready := {name for name in edges if name not in done and edges[name] <= done}:
        done |= ready
    assert done == set(edges), sorted(set(edges) - done)
