"""Samplers of OptunaHub: found, checked and identified. No test goes to the network."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import initialize_config_dir

from hpsuite.arms import PlannedArm, plan_arms
from hpsuite.checks import UserError
from hpsuite.compose import compose_experiment
from hpsuite.overrides import config_dir
from hpsuite.strategies.hub import HubSampler, content_hash
from tests.registries import write_registry

ONE = ("name=one", "model.units=8", "tracking=none", "strategy=hub")
HILL_CLIMB = "strategy.package=samplers/hill_climb"

Plan = Callable[..., PlannedArm]


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    return write_registry(tmp_path / "a registry")


@pytest.fixture
def plan(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Plans the one arm of some overrides, in an empty folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def plan(*overrides: str, root: object = registry) -> PlannedArm:
        folder = "null" if root is None else f"'{root}'"
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            _, arms = compose_experiment([*ONE, f"strategy.registry_root={folder}", *overrides])
        (planned,) = plan_arms(arms)
        assert not list(Path.cwd().iterdir()), "something was written"
        return planned

    return plan


def refused(plan: Plan, *overrides: str, root: object = None) -> str:
    """The line with which overrides are refused."""
    with pytest.raises(UserError) as caught:
        plan(*overrides) if root is None else plan(*overrides, root=root)
    line = str(caught.value)
    assert "\n" not in line
    assert "; accepted: " in line
    return line


def test_the_folder_is_no_part_of_the_identity(plan: Plan, registry: Path, tmp_path: Path) -> None:
    planned = plan(HILL_CLIMB)
    copied = shutil.copytree(registry, tmp_path / "elsewhere")
    inside = copied / "package"
    linked = tmp_path / "link"
    linked.symlink_to(copied)
    for root in (copied, inside, linked, os.path.relpath(registry)):
        assert plan(HILL_CLIMB, root=root).identity == planned.identity
    assert str(registry) not in str(planned.decided_by)
    # Nor is what it left to default, nor how the class was named.
    assert plan(HILL_CLIMB, "strategy.sampler=HillClimbSampler").identity == planned.identity
    assert plan(HILL_CLIMB, "+strategy.width=0.1").identity == planned.identity


def test_what_the_package_does_is_part_of_the_identity(plan: Plan, registry: Path) -> None:
    planned = plan(HILL_CLIMB)
    others = {
        plan(HILL_CLIMB, "+strategy.width=0.2").identity,
        plan(HILL_CLIMB, "strategy.asks_at_once=4").identity,
        plan(HILL_CLIMB, "strategy.relative_space=declared").identity,
        plan("strategy.package=samplers/middle", "strategy.sampler=MiddleSampler").identity,
        plan("strategy.package=samplers/middle", "strategy.sampler=UpperSampler").identity,
    }
    # A file that changes by one character, in a module of the package's own: also what is run.
    code = registry / "package/samplers/hill_climb/sampler.py"
    before = code.read_text()
    code.write_text(before.replace("n_random: int = 4", "n_random: int = 5"))
    changed = plan(HILL_CLIMB)
    others.add(changed.identity)
    assert _default(planned, "n_random") == 4
    assert _default(changed, "n_random") == 5
    code.with_name("table.json").write_text("[]")
    others.add(plan(HILL_CLIMB).identity)
    assert len(others) == 7
    assert planned.identity not in others
    # Changed back, it is the same arm.
    code.with_name("table.json").unlink()
    code.write_text(before)
    assert plan(HILL_CLIMB).identity == planned.identity


def _default(planned: PlannedArm, name: str) -> object:
    sampler = planned.arm.strategy.sampler
    return sampler.__init__.__kwdefaults__[name]  # type: ignore[misc]


def test_documents_and_caches_are_no_part_of_the_content(registry: Path) -> None:
    folder = registry / "package/samplers/hill_climb"
    before = content_hash(folder)
    (folder / "README.md").write_text("other words")
    (folder / "LICENSE").unlink()
    (folder / ".DS_Store").write_text("x")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "sampler.cpython-311.pyc").write_text("x")
    assert content_hash(folder) == before
    # The parts of two files are not taken for those of two others.
    (folder / "sampler.py").rename(folder / "sample.py")
    assert content_hash(folder) != before


def test_loading_leaves_nothing_in_the_folder(
    plan: Plan, registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = sorted(registry.rglob("*"))
    plan(HILL_CLIMB, "+strategy.width=0.3")
    assert sorted(registry.rglob("*")) == before
    assert not sys.dont_write_bytecode


def test_packages_of_one_name_in_two_registries(plan: Plan, registry: Path, tmp_path: Path) -> None:
    other = shutil.copytree(registry, tmp_path / "other")
    code = other / "package/samplers/hill_climb/sampler.py"
    code.write_text(code.read_text().replace("width: float = 0.1", "width: float = 0.7"))
    arms = [plan(HILL_CLIMB, root=root) for root in (registry, other, registry)]
    assert [_default(arm, "width") for arm in arms] == [0.1, 0.7, 0.1]
    assert arms[0].identity == arms[2].identity != arms[1].identity
    # The one that was planned last is whole: its class is found by its name.
    sampler = arms[2].arm.strategy.sampler
    assert pickle.loads(pickle.dumps(sampler)) is sampler  # noqa: S301 - our own


def test_one_on_optunahubs_base_class_is_told_its_space(plan: Plan) -> None:
    middle = ("strategy.package=samplers/middle", "strategy.sampler=MiddleSampler")
    planned = plan(*middle, "+space.dropout={scale: choice, choices: [0.5]}")
    assert planned.arm.strategy.arguments == ()
    # The space is in the setup's part of the identity, and what has one value is not searched.
    line = refused(plan, *middle, "+strategy.search_space=3")
    assert line.startswith("strategy.search_space: found no such key; accepted: one of share, ")


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ([], "strategy.package: found nothing; accepted: a value"),
        (["strategy.package=null"], "strategy.package: found null; accepted: text"),
        (["strategy.package=3"], "strategy.package: found 3; accepted: text"),
        (["strategy.package=hill_climb"], "strategy.package: found 'hill_climb'; accepted: a path"),
        (["strategy.package=../x"], "strategy.package: found '../x'; accepted: a path in the reg"),
        (["strategy.package=/etc/x"], "strategy.package: found '/etc/x'; accepted: a path in the"),
        (
            ["strategy.package=samplers/nowhere"],
            "strategy.package: found 'samplers/nowhere'; accepted: a package of ",
        ),
        ([HILL_CLIMB, "strategy.ref=main"], "strategy.ref: found 'main' with registry_root; acc"),
        ([HILL_CLIMB, "strategy.ref=--x"], "strategy.ref: found '--x'; accepted: a commit, tag or"),
        ([HILL_CLIMB, "strategy.ref=a/../b"], "strategy.ref: found 'a/../b'; accepted: a commit,"),
        ([HILL_CLIMB, "strategy.sampler=Foo"], "strategy.sampler: found 'Foo'; accepted: HillCli"),
        (
            ["strategy.package=samplers/middle"],
            "strategy.sampler: found null; accepted: MiddleSampler, UpperSampler",
        ),
        *(
            (
                ["strategy.package=samplers/middle", f"strategy.sampler={name}"],
                f"strategy.sampler: found '{name}'; accepted: MiddleSampler, UpperSampler",
            )
            for name in ("Abstract", "function", "NoSampler", "BaseSampler", "np")
        ),
        (
            ["strategy.package=visualization/no_sampler"],
            "strategy.sampler: found null; accepted: none, as visualization/no_sampler has no samp",
        ),
        (
            ["strategy.package=samplers/unseeded", "strategy.sampler=UnseededSampler"],
            "strategy.sampler: found 'UnseededSampler'; accepted: a sampler that takes a seed",
        ),
        (
            ["strategy.package=samplers/unseeded", "strategy.sampler=ForgetfulSampler"],
            "strategy: hub drew {learning_rate: ",
        ),
        (
            ["strategy.package=samplers/unseeded", "strategy.sampler=FailingSampler"],
            "strategy: hub cannot be built ('nothing'); accepted: what it takes",
        ),
        (
            ["strategy.package=samplers/unseeded", "strategy.sampler=SpoilingSampler"],
            "strategy: hub cannot search this space (no such luck); accepted: another strategy or",
        ),
        (
            ["strategy.package=samplers/needy"],
            "strategy.package: found 'samplers/needy', which cannot be imported "
            "(ModuleNotFoundError: No module named 'a_module_that_nobody_has'); accepted: a pack",
        ),
        (
            ["strategy.package=samplers/wrong"],
            "strategy.package: found 'samplers/wrong', which cannot be imported (SyntaxError: ",
        ),
        (
            ["strategy.package=samplers/exploding"],
            "strategy.package: found 'samplers/exploding', which cannot be imported "
            "(OSError: boom and more); accepted: ",
        ),
        ([HILL_CLIMB, "+strategy.foo=1"], "strategy.foo: found no such key; accepted: one of wid"),
        ([HILL_CLIMB, "+strategy.seed=1"], "strategy.seed: found no such key; accepted: one of w"),
        ([HILL_CLIMB, "+strategy.width=a"], "strategy.width: found 'a'; accepted: a number"),
        (
            [HILL_CLIMB, "+strategy.width=0"],
            "strategy: hub cannot be built (width must be more than 0, but found 0.0); accepted: ",
        ),
        ([HILL_CLIMB, "strategy.seeding=x"], "strategy.seeding: found 'x'; accepted: 'trial' or"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_clear_line(plan: Plan, overrides: list[str], line: str) -> None:
    found = refused(plan, *overrides)
    assert found.startswith(line), found


@pytest.mark.parametrize("root", ["nowhere", "~nobody-of-that-name/x", "/dev/null"])
def test_a_registry_that_is_not_there(plan: Plan, root: str) -> None:
    line = refused(plan, HILL_CLIMB, root=root)
    assert line == f"strategy.registry_root: found '{root}'; accepted: a folder"


def test_without_optunahub(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optunahub", None)
    line = refused(plan, HILL_CLIMB)
    assert line.startswith("strategy.package: found 'samplers/hill_climb', and optunahub is not in")
    assert line.endswith("; accepted: after pip install 'hpsuite[hub]'")


# --- From the network: git is told that OptunaHub's address is a folder here.

ADDRESS = "https://github.com/optuna/optunahub-registry"
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=main")
    command = ["git", *who, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def hub(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository at the place of OptunaHub's, and an empty cache."""
    git(registry, "init")
    git(registry, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(registry, "add", ".")
    git(registry, "commit", "-m", "first")
    monkeypatch.setenv("OPTUNAHUB_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{registry}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", ADDRESS)
    monkeypatch.setattr("hpsuite.strategies.hub._FETCHED", {})
    return registry


@needs_git
def test_fetched_once_and_the_same_as_from_a_folder(
    plan: Plan, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = plan(HILL_CLIMB, root=None)
    assert fetched.identity == plan(HILL_CLIMB).identity
    # The next process needs no network.
    hub.rename(hub.with_name("gone"))
    monkeypatch.setattr("hpsuite.strategies.hub._FETCHED", {})
    assert plan(HILL_CLIMB, root=None).identity == fetched.identity


@needs_git
def test_a_commit_stays_what_it_was(plan: Plan, hub: Path) -> None:
    first = git(hub, "rev-parse", "HEAD")
    before = plan(HILL_CLIMB, f"strategy.ref={first}", root=None)
    code = hub / "package/samplers/hill_climb/sampler.py"
    code.write_text(code.read_text().replace("width: float = 0.1", "width: float = 0.9"))
    git(hub, "commit", "-a", "-m", "second")
    newest = plan(HILL_CLIMB, root=None)
    assert [_default(arm, "width") for arm in (before, newest)] == [0.1, 0.9]
    again = plan(HILL_CLIMB, f"strategy.ref={first}", root=None)
    assert before.identity == again.identity != newest.identity
    assert plan(HILL_CLIMB).identity == newest.identity


@needs_git
def test_what_cannot_be_fetched_is_one_line(plan: Plan, hub: Path) -> None:
    for overrides in (
        ["strategy.package=samplers/nowhere"],
        [HILL_CLIMB, "strategy.ref=no-such-branch"],
    ):
        line = refused_from_hub(plan, *overrides)
        assert "', which cannot be fetched (" in line, line
    line = refused_from_hub(plan, "strategy.package=samplers/exploding")
    assert "cannot be imported (OSError: boom and more)" in line
    hub.rename(hub.with_name("gone"))
    line = refused_from_hub(plan, HILL_CLIMB)
    assert line.startswith("strategy.package: found 'samplers/hill_climb', which cannot be fetched")
    assert "GitCommandError: fatal: " in line
    assert line.endswith("or registry_root= with a registry on this machine")


def refused_from_hub(plan: Plan, *overrides: str) -> str:
    with pytest.raises(UserError) as caught:
        plan(*overrides, root=None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_outside_of_hpsuite(registry: Path) -> None:
    sampler, identifier = HubSampler("samplers/hill_climb", registry_root=str(registry)).load()
    assert sampler.__name__ == "HillClimbSampler"
    content = content_hash(registry / "package/samplers/hill_climb")
    assert identifier == f"optunahub:samplers/hill_climb:HillClimbSampler@{content}"
