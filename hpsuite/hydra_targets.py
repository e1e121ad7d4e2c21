"""What Hydra itself builds of its own part of a configuration: callbacks, launchers, log handlers.

It does so before anything of ours is run, so that a folder of somebody else's options could have
anything run that has a name.
"""

from collections.abc import Collection, Iterator, Mapping

from hpsuite.checks import UserError, brief, show

# Where Hydra's own lie, those of its plugins, and ours.
_HOMES = (
    "hydra._internal.core_plugins.",
    "hydra.experimental.callbacks.",
    "hydra_plugins.",
    "hpsuite.multirun.",
)
# What Python's logging builds by name.
_LOGGING = ("logging.", "colorlog.")
_STREAMS = ("ext://sys.stdout", "ext://sys.stderr")


def check_hydra(hydra: object, packages: Collection[str] = ()) -> None:
    """Check that all names in a configuration's `hydra`, as plain values, are of known things.

    Args:
        hydra: with its interpolations as they were written.
        packages: top-level packages that the user allowed.

    Raises:
        UserError: a name that lies elsewhere.
    """
    for key, name in _names("hydra", hydra):
        homes = _HOMES if key.endswith("._target_") else _LOGGING
        allowed = isinstance(name, str) and (
            name.startswith(homes) or name in _STREAMS or name.partition(".")[0] in packages
        )
        if not allowed:
            accepted = "one of Hydra's own, or packages=[PACKAGE], which runs its code"
            raise UserError(f"{key}: found {brief(show(name))}; accepted: {accepted}")


def _names(path: str, node: object) -> Iterator[tuple[str, object]]:
    """All values by which something is found and called, by key."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            here = f"{path}.{key}"
            if key in ("_target_", "()", "class"):
                yield here, value
            else:
                yield from _names(here, value)
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _names(f"{path}[{i}]", value)
    elif isinstance(node, str) and node.startswith("ext://"):
        yield path, node
