"""Samplers of OptunaHub (https://hub.optuna.org), by package and class.

Loading one runs code that others wrote. It happens only where a configuration names a package.
"""

import contextlib
import hashlib
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Annotated, TypeGuard

from optuna.samplers import BaseSampler
from pydantic import AfterValidator

# Of every package, and read by no sampler.
_DOCUMENTS = {"README.md", "LICENSE"}


def _package(path: str) -> str:
    if not re.fullmatch(r"\w[\w-]*(/\w[\w-]*)+", path):
        raise ValueError("a path in the registry, such as samplers/auto_sampler")
    return path


def _ref(ref: str) -> str:
    if not re.fullmatch(r"\w[\w./-]*", ref) or ".." in ref:
        raise ValueError("a commit, tag or branch")
    return ref


@dataclass(frozen=True)
class HubSampler:
    """Where to find a sampler of OptunaHub.

    Attributes:
        package: path in the registry, such as `samplers/auto_sampler`.
        sampler: name of the class; None for a package that has one only.
        registry_root: a registry's folder on this machine: a clone of OptunaHub's, or what is in
            its `package`. None fetches from OptunaHub into its cache, where it is looked for first.
        ref: commit, tag or branch of OptunaHub's registry; None takes `main` as it is when it is
            first fetched. A folder has none.
    """

    package: Annotated[str, AfterValidator(_package)]
    sampler: str | None = None
    registry_root: str | None = None
    ref: Annotated[str, AfterValidator(_ref)] | None = None

    def load(self) -> tuple[type[BaseSampler], str]:
        """Import the package.

        Returns:
            The class, and a name that tells it from any other: package, class and a hash of the
            package's files, but not where they came from.

        Raises:
            ValueError: as `argument: found ...; accepted: ...`, on a package that cannot be found,
                fetched or imported, or has no such sampler.
        """
        hub = self._optunahub()
        if self.registry_root is None:
            folder = self._fetched(hub)
        elif self.ref is not None:
            raise ValueError(f"ref: found {self.ref!r} with registry_root; accepted: null")
        else:
            folder = self._local(self.registry_root)
        content = content_hash(folder)
        module = self._imported(hub, folder, content)
        sampler = self._sampler(module)
        return sampler, f"optunahub:{self.package}:{sampler.__name__}@{content}"

    def _optunahub(self) -> ModuleType:
        """The client, which packages import too."""
        # It brings a client of git, which by default refuses to be imported where there is no git,
        # and asks for passwords where a repository is not public.
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        os.environ.setdefault("GIT_TERMINAL_PROMPT", "0")
        try:
            import optunahub
        except ImportError as error:
            raise ValueError(
                f"package: found {self.package!r}, and optunahub is not installed ({_line(error)});"
                " accepted: after pip install 'hpsuite[hub]'"
            ) from error
        return optunahub

    def _local(self, given: str) -> Path:
        """The package's folder in a registry on this machine."""
        root = Path(given)
        with contextlib.suppress(RuntimeError):  # no such user
            root = root.expanduser()
        if not root.is_dir():
            raise ValueError(f"registry_root: found {given!r}; accepted: a folder")
        for registry in (root, root / "package"):
            if (registry / self.package / "__init__.py").is_file():
                return registry / self.package
        raise ValueError(
            f"package: found {self.package!r}; accepted: a package of {given}, which has no "
            "such folder with an __init__.py"
        )

    def _fetched(self, hub: ModuleType) -> Path:
        """The package's folder in OptunaHub's cache, filled where it has none."""
        key = (self.package, self.ref)
        if key not in _FETCHED:
            self._forget()
            try:
                module = hub.load_module(self.package, ref=self.ref or "main")
            except Exception as error:  # of git, of GitHub, of the network, or of the package
                if _is_from(error, "load_local_module"):
                    raise self._broken(error) from error
                raise ValueError(
                    f"package: found {self.package!r}, which cannot be fetched ({_line(error)}); "
                    "accepted: a package of https://hub.optuna.org and a network, or "
                    "registry_root= with a registry on this machine"
                ) from error
            _FETCHED[key] = folder = Path(module.__file__).parent
            self._keep(module, content_hash(folder))
        return _FETCHED[key]

    def _imported(self, hub: ModuleType, folder: Path, content: str) -> ModuleType:
        """The package as a module: the same one for the same files."""
        self._forget()
        if (self.package, content) in _IMPORTED:
            known, all_of_it = _IMPORTED[self.package, content]
            sys.modules.update(all_of_it)
            return known
        root = folder.parents[self.package.count("/")]
        try:
            with _no_bytecode():
                importlib.invalidate_caches()
                module: ModuleType = hub.load_local_module(self.package, registry_root=str(root))
        except Exception as error:  # importing runs the package, which may fail in any way
            raise self._broken(error) from error
        self._keep(module, content)
        return module

    def _modules(self) -> dict[str, ModuleType]:
        """The modules of the package of this name that is imported now."""
        name = f"optunahub_registry.package.{self.package.replace('/', '.')}"
        return {m: sys.modules[m] for m in sys.modules if f"{m}.".startswith(f"{name}.")}

    def _keep(self, module: ModuleType, content: str) -> None:
        _IMPORTED[self.package, content] = (module, self._modules())

    def _forget(self) -> None:
        """Let go of another package of this name, whose modules would be taken for this one's."""
        for name in self._modules():
            del sys.modules[name]

    def _broken(self, error: Exception) -> ValueError:
        return ValueError(
            f"package: found {self.package!r}, which cannot be imported ({_line(error)}); accepted:"
            " a package whose requirements are installed"
        )

    def _sampler(self, module: ModuleType) -> type[BaseSampler]:
        """The class in the package."""
        samplers = {name: c for name, c in vars(module).items() if _is_sampler(c)}
        public = getattr(module, "__all__", None)
        own = {
            name: c
            for name, c in samplers.items()
            if (name in public if public is not None else c.__module__.startswith(module.__name__))
        }
        if self.sampler is None and len(own) == 1:
            return next(iter(own.values()))
        if self.sampler in samplers:
            return samplers[self.sampler]
        found = "null" if self.sampler is None else repr(self.sampler)
        accepted = ", ".join(sorted(own)) or f"none, as {self.package} has no sampler of Optuna's"
        raise ValueError(f"sampler: found {found}; accepted: {accepted}")


# What this process has: folders by (package, ref); by (package, hash of its files) its module, and
# all of its modules by name.
_FETCHED: dict[tuple[str, str | None], Path] = {}
_IMPORTED: dict[tuple[str, str], tuple[ModuleType, dict[str, ModuleType]]] = {}


def content_hash(folder: Path) -> str:
    """A hash, 16 hexadecimal digits, of a package's files: their names and what is in them.

    Hidden files, Python's caches, README.md and LICENSE are left out.

    Raises:
        ValueError: a file that cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
            parts = path.relative_to(folder).parts
            left_out = any(part.startswith(".") or part == "__pycache__" for part in parts)
            if left_out or path.name in _DOCUMENTS or not path.is_file():
                continue
            content = path.read_bytes()
            digest.update(f"{'/'.join(parts)}\0{len(content)}\0".encode())
            digest.update(content)
    except OSError as error:
        raise ValueError(
            f"package: found files that cannot be read ({_line(error)}); accepted: readable ones"
        ) from error
    return digest.hexdigest()[:16]


def given_to(sampler: type[BaseSampler]) -> tuple[str, ...]:
    """The arguments of a sampler that are hpsuite's to give: its seed, and the space if it asks.

    Those built on OptunaHub's base class may be told their space; elsewhere an argument of that
    name is something else, such as the points of Optuna's grid.
    """
    base = getattr(sys.modules.get("optunahub"), "samplers", None)
    told = base is not None and issubclass(sampler, base.SimpleBaseSampler)
    own = inspect.signature(sampler).parameters
    return ("seed", "search_space") if told and "search_space" in own else ("seed",)


def _is_sampler(found: object) -> TypeGuard[type[BaseSampler]]:
    return (
        isinstance(found, type) and issubclass(found, BaseSampler) and not inspect.isabstract(found)
    )


def _is_from(error: Exception, function: str) -> bool:
    """Whether an error was raised while a function of this name ran."""
    return any(frame.name == function for frame in traceback.extract_tb(error.__traceback__))


def _line(error: Exception) -> str:
    """An error on one line; of one of git's, what git itself said."""
    text = " ".join(str(error).split())
    _, of_git, said = text.rpartition("stderr: ")
    if of_git:
        text = said.strip("'")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextlib.contextmanager
def _no_bytecode() -> Iterator[None]:
    """Import without writing caches: the folder is the user's, and a cache may outlive a change."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
