"""The experiments of the course's claims, whole, at tier=quick: what they say of themselves."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.nightly.parts import CLAIMS
from hpsuite.overrides import config_dir
from tests.commands import Command

VERDICTS = {
    "supported",
    "contradicted",
    "no difference",
    "inconclusive",
    "tuning did not matter here",
    "did not train",
}
# These need MNIST; the others digits alone.
ON_MNIST = ("ioffe_szegedy_2015",)
ON_DIGITS = tuple(name for name in CLAIMS if name not in ON_MNIST)


def declared(name: str) -> dict[str, Any]:
    text = (Path(config_dir()) / "experiment" / f"{name}.yaml").read_text(encoding="utf-8")
    found = yaml.safe_load(text)
    assert isinstance(found, dict)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_DIGITS)
def test_quick_tier_answers_what_was_declared(name: str, command: Command) -> None:
    answers(name, command)


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_MNIST)
def test_quick_tier_on_mnist(name: str, command: Command, mnist_dir: Path) -> None:
    answers(name, command, f"data_dir={mnist_dir}")


def answers(name: str, command: Command, *overrides: str) -> None:
    """Run a quick tier, and check what it says of itself."""
    ended = command(f"+experiment={name}", "tier=quick", "tracking=none", *overrides)
    assert ended.status == 0, ended.err
    (path,) = Path("outputs", name).glob("*/summary.json")
    found = json.loads(path.read_text())
    asked = declared(name)
    claims = asked["claims"] + asked["tiers"]["quick"].get("claims", [])
    assert [v["claim"] for v in found["verdicts"]] == [claim["claim"] for claim in claims]
    for verdict, claim in zip(found["verdicts"], claims, strict=True):
        assert verdict["verdict"] in VERDICTS
        assert all(math.isfinite(verdict[key]) for key in ("estimate", "low", "high"))
        assert verdict["low"] <= verdict["estimate"] <= verdict["high"]
        assert verdict["n"] == verdict["planned_n"] == claim["n"]
        assert verdict["smallest_effect"] == claim["smallest_effect"]
    assert found["tier"] == "quick"
    assert found["left_out"] == asked["tiers"]["quick"]["left_out"]
    report = (path.parent / "report.md").read_text()
    assert all(left_out in report for left_out in found["left_out"])
    (CHECKS.get(name) or (lambda summary: None))(found)


def misses(summary: dict[str, Any]) -> None:
    """Nothing but the rate acts: searches miss as often as the closed forms say.

    A grid may miss less often, as it tries each rate with three seeds.
    """
    for arm in summary["arms"]:
        low, high = 1 - arm["reached_good_high"], 1 - arm["reached_good_low"]
        assert low <= arm["expected_never_good_high"], arm["strategy"]
        is_grid = "grid" in arm["strategy"]
        assert is_grid or high >= arm["expected_never_good_low"]
        expected = 3 if is_grid else 9
        assert arm["distinct_learning_rate"] == arm["distinct_decay_rate"] == expected


def the_rate_first(summary: dict[str, Any]) -> None:
    """That the rate matters more than momentum was never in doubt."""
    assert summary["verdicts"][0]["verdict"] == "supported"


def choices_carried_over(summary: dict[str, Any]) -> None:
    """Both changes are there, with what they cost and save."""
    assert len(summary["carried"]) == 2
    for verdict, carried in zip(summary["verdicts"], summary["carried"], strict=True):
        assert verdict["estimate"] == pytest.approx(carried["staleness"])
        assert 0 <= carried["trials_saved_low"] <= carried["trials_saved_high"] <= 15


def ahead_on_mnist(summary: dict[str, Any]) -> None:
    """Curves to step 10,000, and what the last sigmoids see."""
    without, with_norm = summary["learning_curves"]
    assert without["steps"][-1] == with_norm["steps"][-1] == 10_000
    assert len(without["probe_percentiles"]) == len(without["steps"]) + 1
    assert with_norm["val_accuracy"][0] > 0.9


CHECKS = {
    "grid_vs_random": misses,
    "importance_order": the_rate_first,
    "staleness": choices_carried_over,
    "ioffe_szegedy_2015": ahead_on_mnist,
}
