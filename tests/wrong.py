"""Configurations with one mistake each, drawn at random, and what their line must say.

A mistake is made so that it is one whatever is drawn: the oracle knows the key that is wrong and
the value that was given, and asks for both in the line.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from hpsuite.checks import show
from hpsuite.config import MOST, MOST_STUDIES, MOST_TRIALS
from hpsuite.overrides import as_override

Values = st.SearchStrategy[Any]


@dataclass(frozen=True)
class Wrong:
    """A command line with a mistake.

    Attributes:
        overrides: the command line.
        keys: the line begins with one of them.
        found: and says one of these was found.
        file: an experiment's file that the command line names; None for none.
    """

    overrides: tuple[str, ...]
    keys: tuple[str, ...]
    found: tuple[str, ...]
    file: Mapping[str, object] | None = field(default=None, compare=False)


# Texts that break what takes them apart: shells, YAML, Hydra's grammar, terminals, paths.
ODD = [
    "",
    " ",
    "a b",
    "two\nlines",
    "\r\n",
    "\t",
    "'",
    '"',
    "it's",
    "\\",
    "a\\",
    "\\'",
    "\\\\'",
    "${nowhere}",
    "${seed}",
    "${oc.env:HPSUITE_NOWHERE}",
    "a${b",
    "\\${a}",
    "{",
    "[1,",
    "a: b",
    "a=b",
    "???",
    "../..",
    "/etc/passwd",
    "~nobody-there/x",
    "é\u00fc\u4e2d\U0001f600",
    "\u202eabc",
    "\u2028",
    "\x1b[31mred",
    "\0",
    "\x7f",
    "%s %d {0}",
    "null",
    "true",
    "x" * 20_000,
    "é" * 3_000,
]
texts = st.one_of(
    st.sampled_from(ODD),
    st.text(max_size=12),
    st.text(alphabet="\\'\"${}[]():=, \n#", max_size=8),
)
# Names of keys that are nowhere, as far as Hydra's grammar lets a key be typed.
strange = st.one_of(
    st.sampled_from(["foo", "Seed", "_x", "x" * 300, "units_0", "trails", "a-b", "_partial_"]),
    st.from_regex(r"zz[a-z0-9_]{0,9}", fullmatch=True),
)
huge = st.sampled_from([10**30, -(10**30), 10**400, 1e300, -1e300, math.inf, -math.inf, math.nan])
mappings = st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), st.integers(), max_size=3)
lists = st.one_of(
    st.lists(st.one_of(st.integers(), st.text(max_size=3), st.none()), max_size=4),
    st.just([[[]]]),
    st.just(list(range(2000))),
)
numbers = st.one_of(
    st.integers(), st.floats(allow_nan=True, allow_infinity=True, width=64), st.just(10**30)
)


def _not(kept: Callable[[Any], bool], *others: Values) -> Values:
    """Values of any kind but those that are accepted."""
    pool = st.one_of(
        st.booleans(), st.none(), numbers, huge, texts, lists, mappings, st.just({}), *others
    )
    return pool.filter(lambda value: not kept(value))


def not_bool() -> Values:
    return _not(lambda value: isinstance(value, bool))


def not_text() -> Values:
    return _not(lambda value: isinstance(value, str))


def not_one_of(*options: object) -> Values:
    return _not(lambda value: any(type(value) is type(o) and value == o for o in options))


def not_int(
    least: int = 1, most: float = math.inf, *, null: bool = False, wide: bool = False
) -> Values:
    """Not an integer of a range; `wide`: any other value may be accepted where it is larger."""

    def kept(value: object) -> bool:
        if value is None:
            return null
        if isinstance(value, int) and not isinstance(value, bool):
            return least <= value <= most
        return wide and isinstance(value, float) and 0 < value < 1

    near = [st.integers(max_value=least - 1)]
    near += [st.integers(min_value=int(most) + 1)] if math.isfinite(most) else []
    return _not(kept, *near)


def not_number(
    least: float = -math.inf,
    most: float = math.inf,
    *,
    open_low: bool = False,
    open_high: bool = False,
    null: bool = False,
) -> Values:
    """Not a finite number of a range, whose ends may be outside of it."""

    def kept(value: object) -> bool:
        if value is None:
            return null
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if isinstance(value, int) and abs(value) > 1e308:
            return False
        return (
            math.isfinite(value)
            and (least < value if open_low else least <= value)
            and (value < most if open_high else value <= most)
        )

    near = [st.floats(max_value=least)] if math.isfinite(least) else []
    near += [st.floats(min_value=most)] if math.isfinite(most) else []
    return _not(kept, *near)


def not_list(kept: Callable[[Any], bool] = lambda value: isinstance(value, list)) -> Values:
    return _not(kept)


def short(value: object) -> str:
    """The beginning of a value as it stands in a line."""
    return show(value)[:60]


ACTIVATIONS = ("relu", "sigmoid", "tanh", "leaky_relu", "elu", "gelu", "silu")
SCHEDULES = ("none", "step", "exponential", "inverse_time", "cosine")
SCALES = ("linear", "log", "one_minus_log", "integer", "log_integer", "power_of_two", "choice")

Keys = dict[str, Values]


def _fraction(*, null: bool = False) -> Values:
    return not_number(0, 1, open_high=True, null=null)


def _positive() -> Values:
    return not_number(0, open_low=True)


def _size(*, null: bool = False) -> Values:
    """Not a number of rows, nor a share of them; what no data set has, the data refuse."""
    return not_int(1, null=null, wide=True)


NORMED: Keys = {
    "activation": not_one_of(*ACTIVATIONS),
    "normalization": not_one_of("none", "before", "after"),
    "normalizer": not_one_of("batch", "layer", "group"),
    "groups": not_int(1),
    "affine": not_bool(),
    "dropout": _fraction(),
    "initialization": not_one_of("he", "xavier", "default", "gaussian"),
    "sigma": _positive(),
}
SPLIT: Keys = {
    "validation_size": _size(),
    "test_size": _size(null=True),
    "train_fraction": not_number(0, 1, open_low=True),
    "input_normalization": not_one_of("none", "feature", "channel"),
    "flip": not_bool(),
    "shift": not_int(0),
}
OPTIMIZER: Keys = {
    "learning_rate": _positive(),
    "weight_decay": not_number(0),
    "label_smoothing": _fraction(),
    "batch_size": not_int(1, 1078),
    "warmup_fraction": _fraction(),
    "schedule": not_one_of(*SCHEDULES),
    "decay_rate": not_number(0),
    "decay_epochs": not_int(1),
    "kind": not_one_of("sgd", "sgd_ema", "adam", "adamw"),
}
SGD: Keys = {**OPTIMIZER, "momentum": _fraction(), "nesterov": not_bool()}
ADAM: Keys = {**OPTIMIZER, "beta1": _fraction(), "beta2": _fraction(), "epsilon": _positive()}
ASKING: Keys = {"asks_at_once": not_int(1), "seeding": not_one_of("trial", "study")}
TPE: Keys = {**ASKING, "n_startup_trials": _not(lambda v: type(v) is int)}

# By group: its options, each with what else must be said for it, and keys with wrong values.
GROUPS: dict[str, list[tuple[tuple[str, ...], Keys]]] = {
    "dataset": [
        (("dataset=digits",), {**SPLIT, "image": not_bool()}),
        (("dataset=mnist",), {**SPLIT, "download": not_bool()}),
        (
            ("dataset=image_folder", "dataset.path=x"),
            {**SPLIT, "path": not_text(), "color": not_one_of("rgb", "grayscale")},
        ),
        (
            ("dataset=arrays", "dataset.path=x.npz"),
            {**SPLIT, "scale": not_number(0, open_low=True, null=True)},
        ),
    ],
    "model": [
        *(
            (
                (f"model=mlp{norm}",),
                {
                    **NORMED,
                    "layers": not_int(0, 100, null=True),
                    "units": _not(lambda v: isinstance(v, int | list) and not isinstance(v, bool)),
                },
            )
            for norm in ("", "_bn", "_ln")
        ),
        (
            ("model=convnet", "dataset.image=true"),
            {**NORMED, "pool_every": not_int(1), "global_pooling": not_bool()},
        ),
        (("model=resnet_gn", "dataset.image=true"), {**NORMED, "blocks": not_int(1, 100)}),
    ],
    "optimizer": [
        (("optimizer=sgd",), SGD),
        (("optimizer=sgd_ema",), SGD),
        (("optimizer=adam", "space=adam"), ADAM),
        (("optimizer=adamw", "space=rate_only"), ADAM),
    ],
    "space": [
        (
            (),
            {
                "learning_rate.scale": not_one_of(*SCALES),
                "learning_rate.low": not_number(0, 10, open_low=True, open_high=True),
                "learning_rate.high": not_number(1e-4, open_low=True),
                "momentum.high": not_number(0, 1, open_low=True, open_high=True),
            },
        ),
        (
            ("space=architecture",),
            {
                "layers.low": _not(lambda v: type(v) in (int, float)),
                "units_1.high": not_int(32, 1024),
                "activation.choices": _not(lambda v: False),
            },
        ),
    ],
    "strategy": [
        ((), {"scale": not_one_of("own", "linear")}),
        (
            ("strategy=grid",),
            {
                "scale": not_one_of("own", "linear"),
                "offset": not_bool(),
                "points": _not(lambda v: v is None or (type(v) is int and 1 <= v <= 4)),
            },
        ),
        (
            ("strategy=coarse_to_fine",),
            {
                "rounds": not_int(1, 16),
                "zoom": not_number(0, 1, open_low=True),
                "top_fraction": not_number(0, 1, open_low=True),
            },
        ),
        (
            ("strategy=panda",),
            {
                "members": not_int(1, 16),
                "nudged": _not(lambda v: False),
                "factors": _not(lambda v: False),
                "enough": not_number(0, 1),
                "start": not_one_of("random", "defaults"),
            },
        ),
        (
            ("strategy=staged",),
            {
                "groups": _not(lambda v: False),
                "rest": not_one_of("last", "default"),
                "shares": _not(lambda v: v in ("equal", "dimensions")),
            },
        ),
        (("strategy=tpe",), TPE),
        (("strategy=tpe_multivariate",), {**TPE, "multivariate": not_bool()}),
        (
            ("strategy=qmc",),
            {**ASKING, "scramble": not_bool(), "qmc_type": not_one_of("sobol", "halton")},
        ),
        (
            ("strategy=hyperband",),
            {
                "cohort": not_int(1, null=True),
                "pruner.min_resource": not_int(1, 20),
                "pruner.reduction_factor": not_int(2, 10**6),
            },
        ),
        (("strategy=median_pruning",), {"pruner.n_startup_trials": not_int(0)}),
    ],
    "budget": [
        (
            (),
            {
                "trials": not_int(1, MOST_TRIALS),
                # One of them may be null; `contradictory` has both.
                "epochs": not_int(1, MOST, null=True),
                "steps": not_int(1, MOST, null=True),
            },
        )
    ],
    "executor": [
        (
            (f"executor={kind}",),
            {
                "kind": not_one_of("inline", "processes", "ray"),
                "workers": not_int(1, 4096, null=True),
            },
        )
        for kind in ("inline", "processes", "ray")
    ]
    + [
        (
            ("executor=ray",),
            {
                # What may be a host's name, before a port.
                "address": _not(lambda v: v is None or (isinstance(v, str) and ":" in v)),
                "cpus_per_task": not_int(1, 4096),
                "gpus_per_task": not_number(0, 1, open_low=True, null=True),
            },
        )
    ],
    "tracking": [
        (
            (f"tracking={kind}",),
            {
                "enabled": not_bool(),
                "uri": _not(lambda v: v is None or isinstance(v, str)),
                "best_trials": not_int(-1, MOST),
            },
        )
        for kind in ("mlflow", "none")
    ],
    "numerics": [
        (
            (),
            {
                "dtype": not_one_of("float32", "float64"),
                "tf32": not_bool(),
                "trainer": not_one_of("auto", "plain"),
                "autocast": not_one_of("none", "bfloat16"),
                "probe": not_bool(),
                "convolutions": not_one_of("auto", "columns", "grouped"),
                "compiled": not_one_of("auto", "yes", "no"),
                "deterministic": not_bool(),
            },
        )
    ],
    "analysis": [
        (
            (),
            {
                "fresh_seeds": not_int(0, MOST_STUDIES),
                "bands": not_one_of("ks", "tight"),
                "report": not_bool(),
            },
        )
    ],
}

PLAIN: Keys = {
    "name": st.one_of(
        not_text(),
        st.sampled_from(["", " x", "../x", "/x", "a/b", "a\nb", "a\0b", "..", ".", "a\\"]),
    ),
    "title": not_text(),
    "repeats": not_int(1, MOST_STUDIES),
    "seed": not_int(0),
    "split_seed": not_int(0, 2**32 - 1),
    "device": not_one_of("auto", "cpu", "cuda"),
    "data_dir": not_text(),
    "packages": not_list(),
    "storage": not_text(),
    "output_dir": not_text(),
    "fresh": not_bool(),
    "plan": not_bool(),
    "log_level": not_one_of("debug", "info", "warning", "error"),
    "left_out": not_list(lambda v: isinstance(v, list) and all(isinstance(e, str) for e in v)),
    "tier": _not(lambda v: v is None),
}


@st.composite
def of_a_key(draw: st.DrawFn, group: str) -> Wrong:
    """A known key of a group with a value that it does not take."""
    chosen, keys = draw(st.sampled_from(GROUPS[group]))
    key = draw(st.sampled_from(sorted(keys)))
    value = draw(keys[key])
    return valued(f"{group}.{key}", value, chosen)


def valued(key: str, value: object, beside: tuple[str, ...] = ()) -> Wrong:
    """A key with a wrong value, named by the key or by what holds it."""
    keys = tuple(key[:end] for end in _ends(key))
    found = {short(value)}
    if type(value) is int and abs(value) < 10**300:
        found.add(str(float(value)))  # as the ends of a range are
    if isinstance(value, list | dict):
        found.update(short(entry) for entry in value)  # the one that is wrong
    return Wrong((*beside, f"{key}={as_override(value)}"), keys, tuple(sorted(found)))


def _ends(key: str) -> list[int]:
    return [len(key), *(i for i, c in enumerate(key) if c == "." and key.count(".", 0, i) > 0)]


@st.composite
def of_an_unknown_key(draw: st.DrawFn, group: str) -> Wrong:
    """A key that a group does not have, changed, added, forced or taken away."""
    chosen, _ = draw(st.sampled_from(GROUPS[group]))
    name = draw(strange)
    sign = draw(st.sampled_from(["", "+", "++", "~"]))
    value = draw(st.one_of(numbers, st.text(alphabet="ab'\\", max_size=3), mappings, lists))
    key = f"{group}.{name}"
    text = f"~{key}" if sign == "~" else f"{sign}{key}={as_override(value)}"
    return Wrong((*chosen, text), (key,), ("no such key", "nothing that has", short(value)))


@st.composite
def of_an_option(draw: st.DrawFn, group: str) -> Wrong:
    """A choice of a group that is none of its options."""
    value = draw(st.one_of(numbers, st.booleans(), st.none(), lists, texts.filter(_is_no_option)))
    return Wrong(
        (f"{group}={as_override(value)}",),
        (group,),
        (short(value),),
    )


def _is_no_option(text: str) -> bool:
    return text != "none"


@st.composite
def of_raw_text(draw: st.DrawFn, group: str) -> Wrong:
    """Whatever somebody may type after a key, before something that is wrong by all means."""
    _, keys = draw(st.sampled_from(GROUPS[group]))
    key = f"{group}.{draw(st.sampled_from(sorted(keys)))}"
    raw = draw(texts)
    return Wrong((f"++{key}={raw}", "seed=-1"), ("",), ("",))


@st.composite
def of_a_plain_key(draw: st.DrawFn) -> Wrong:
    """A key of no group."""
    key = draw(st.sampled_from(sorted(PLAIN)))
    return valued(key, draw(PLAIN[key]))


@st.composite
def of_no_key(draw: st.DrawFn) -> Wrong:
    """A key, or a group, that is nowhere."""
    name, sign = draw(strange), draw(st.sampled_from(["", "+", "++", "~"]))
    deep = draw(st.sampled_from(["", ".deep", ".a.b.c"]))
    value = draw(st.one_of(numbers, mappings, lists))
    text = f"~{name}{deep}" if sign == "~" else f"{sign}{name}{deep}={as_override(value)}"
    return Wrong((text,), (name,), ("no such key", "a key of"))


@st.composite
def contradictory(draw: st.DrawFn) -> Wrong:
    """Keys that are right one by one, and cannot be meant together."""
    n, m = draw(st.integers(1, 99)), draw(st.integers(1, 99))
    rate = draw(st.floats(0.01, 0.99))
    name = draw(strange)
    searched = "{scale: linear, low: 0.1, high: 0.9}"
    return draw(
        st.sampled_from(
            [
                Wrong((f"++budget.epochs={n}", f"++budget.steps={m}"), ("budget",), ("both",)),
                Wrong(("budget.epochs=null",), ("budget",), ("neither",)),
                Wrong(("budget.steps=null",), ("budget",), ("neither",)),
                Wrong(
                    (f"+space.{name}={searched}",),
                    (f"space.{name}",),
                    ("nothing", "no such", "a key of"),
                ),
                Wrong(
                    (f"space.learning_rate.low={10 + n}",),
                    ("space.learning_rate.low",),
                    (f"{10 + n}.0 with high 10",),
                ),
                Wrong(("optimizer=adam",), ("space.momentum",), ("for adam",)),
                Wrong(
                    ("optimizer=adam", f"optimizer.momentum={rate}"),
                    ("optimizer.momentum",),
                    ("no such key",),
                ),
                Wrong((f"+space.decay_rate={searched}",), ("space.decay_rate",), ("for none",)),
                Wrong(
                    (f"+space.units_{n + 2}={{scale: integer, low: 1, high: 9}}",),
                    (f"space.units_{n + 2}",),
                    ("at most 2 layers",),
                ),
                Wrong((f"model.units={[8] * (n + 2)}",), ("model.units",), ("[8, 8",)),
                Wrong(
                    (f"optimizer.batch_size={1078 + n}",),
                    ("optimizer.batch_size",),
                    (str(1078 + n),),
                ),
                Wrong(
                    (f"dataset.validation_size={1797 + n}",),
                    ("dataset.validation_size",),
                    (str(1797 + n),),
                ),
                Wrong(("model=convnet",), ("model",), ("[64]",)),
                Wrong(
                    ("numerics.dtype=float64", "numerics.autocast=bfloat16"),
                    ("numerics.autocast",),
                    ("bfloat16",),
                ),
                Wrong(
                    ("strategy=hyperband", f"budget.steps={n}"),
                    ("budget.steps",),
                    ("a budget of steps",),
                ),
                Wrong(
                    ("strategy=grid", "budget.trials=9", "strategy.points=4"),
                    ("strategy",),
                    ("4 (learning_rate) x 4",),
                ),
                Wrong(("model.layers=0", "numerics.probe=true"), ("numerics.probe",), ("true",)),
                Wrong((f"tier={name}",), ("tier",), (name[:60],)),
            ]
        )
    )


axes = {
    "model": st.one_of(not_list(), st.just([])),
    "strategy": st.one_of(not_list(), st.just([])),
    "optimizer.momentum": st.one_of(st.just([]), _not(lambda v: isinstance(v, list | dict))),
    "dataset": st.lists(texts.filter(_is_no_option), min_size=1, max_size=1),
    "model.units": st.lists(
        st.sampled_from([0, -1, 1.5, "x", True, {"a": 1}]), min_size=1, max_size=1
    ),
    "budget.trials": st.lists(
        st.sampled_from([0, -1, 1.5, "x", True, 10**30]), min_size=1, max_size=1
    ),
    "space.learning_rate": st.lists(
        not_list(lambda v: isinstance(v, list | dict)), min_size=1, max_size=1
    ),
    "executor": st.just(["inline"]),
    "repeats": st.just([1, 2]),
    "name": st.just(["x", "y"]),
    "model.foo": st.lists(numbers, min_size=1, max_size=2),
}


@st.composite
def of_an_axis(draw: st.DrawFn) -> Wrong:
    """An axis of the matrix that there is not, or that has no values, or wrong ones."""
    axis = draw(st.one_of(st.sampled_from(sorted(axes)), strange))
    values = draw(axes.get(axis, st.just([1])))
    group = axis.partition(".")[0]
    found = (short(values), "no such", "a key of")
    found += tuple(short(value) for value in values) if isinstance(values, list) else ()
    return Wrong(
        (f"matrix.{axis}={as_override(values)}",),
        (f"matrix.{axis}", axis, f"matrix.{group}", group),
        found,
    )


def _file(keys: tuple[str, ...], found: tuple[str, ...], **content: object) -> Wrong:
    return Wrong((), keys, found, {"name": "x", **content})


@st.composite
def of_blocks(draw: st.DrawFn) -> Wrong:
    """Blocks that are no list of matrices, or one with a wrong axis."""
    if draw(st.booleans()):
        blocks = draw(not_list())
        return _file(("blocks",), (short(blocks),), blocks=blocks)
    block = draw(_not(lambda value: isinstance(value, dict)))
    if draw(st.booleans()):
        return _file(("blocks[0]",), (short(block),), blocks=[block])
    axis, values = draw(strange), draw(st.one_of(lists, numbers, mappings))
    found = ("no such axis", "a list of", short(values))
    return _file((f"blocks[0].{axis}", "blocks[0]"), found, blocks=[{axis: values or [1]}])


@st.composite
def of_tiers(draw: st.DrawFn) -> Wrong:
    """Tiers that are no keys with values, or say what cannot be said."""
    kind = draw(st.integers(0, 4))
    if kind == 0:
        tiers = draw(_not(lambda v: isinstance(v, dict) or not v))
        return _file(("tiers",), (short(tiers),), tiers=tiers)
    if kind == 1:
        tier = draw(_not(lambda v: isinstance(v, dict) or not v))
        return _file(("tiers.quick",), (short(tier),), tiers={"quick": tier})
    if kind == 2:
        name = draw(strange)
        said = {name: draw(numbers)}
        return _file((name,), ("no such key", "a key of"), tiers={"quick": said})
    if kind == 3:
        claims = draw(not_list())
        return _file(("tiers.quick.claims",), (short(claims),), tiers={"quick": {"claims": claims}})
    key = draw(st.sampled_from(["repeats", "seed", "fresh", "device"]))
    value = draw(PLAIN[key].filter(lambda v: v != {} and v is not None))
    return _file((key,), (short(value), "found"), tiers={"quick": {key: value}})


CLAIM: dict[str, object] = {
    "claim": "one",
    "statistic": "good_fraction_2pt",
    "a": {"model": "mlp_bn"},
    "b": {"model": "mlp"},
    "direction": "greater",
    "smallest_effect": 0.05,
    "n": 16,
}
CLAIM_KEYS: Keys = {
    "claim": not_text(),
    "statistic": not_one_of("good_fraction_2pt"),
    "a": _not(lambda v: False).filter(lambda v: v != {}),
    "b": _not(lambda v: False).filter(lambda v: v != {}),
    "direction": not_one_of("greater", "less", "equivalent", "not_less"),
    "smallest_effect": _positive(),
    "n": not_int(1),
    "alpha": not_number(0, 1, open_low=True, open_high=True),
    "primary": _not(lambda v: v == {}),
    "at_step": not_int(10**9, null=True),
    "trials_a": not_int(10**9, null=True),
    "target": _not(lambda v: v is None),
}


@st.composite
def of_claims(draw: st.DrawFn) -> Wrong:
    """Claims that are no list of claims, or one of nothing that there is."""
    matrix = {"model": ["mlp", "mlp_bn"]}
    kind = draw(st.integers(0, 9))
    if kind == 0:
        claims = draw(not_list())
        return _file(("claims",), (short(claims),), claims=claims, matrix=matrix)
    if kind == 1:
        claim = draw(_not(lambda v: isinstance(v, dict)))
        return _file(("claims[0]",), (short(claim),), claims=[claim], matrix=matrix)
    if kind == 2:
        key = draw(st.sampled_from(sorted(CLAIM)))
        left = {name: value for name, value in CLAIM.items() if name != key}
        return _file((f"claims[0].{key}",), ("found nothing",), claims=[left], matrix=matrix)
    if kind == 3:
        key = draw(strange)
        claims = [{**CLAIM, key: 1}]
        return _file((f"claims[0].{key}",), ("no such key",), claims=claims, matrix=matrix)
    key = draw(st.sampled_from(sorted(CLAIM_KEYS)))
    value = draw(CLAIM_KEYS[key])
    return _file(
        (f"claims[0].{key}", "claims[0].statistic", "claims[0].b"),
        (short(value), "found"),
        claims=[{**CLAIM, key: value}],
        matrix=matrix,
    )


FILE_GROUPS = (
    "dataset",
    "model",
    "optimizer",
    "space",
    "strategy",
    "budget",
    "executor",
    "tracking",
    "numerics",
    "analysis",
)


@st.composite
def of_a_file(draw: st.DrawFn) -> Wrong:
    """An experiment's file: a group that is flat, a key that is nested, one that is unknown."""
    kind = draw(st.integers(0, 4))
    group = draw(st.sampled_from(FILE_GROUPS))
    if kind == 0:
        value = draw(_not(lambda v: isinstance(v, dict) or v == "???" or v is None))
        return _file((group,), (short(value),), **{group: value})
    if kind == 1:
        _, keys = GROUPS[group][0]
        key = draw(st.sampled_from(sorted(k for k in keys if "." not in k) or ["momentum"]))
        value = draw(
            keys.get(key, not_list(lambda v: isinstance(v, dict))).filter(lambda v: v != {})
        )
        return _file((f"{group}.{key}", group), (short(value), "found"), **{group: {key: value}})
    if kind == 2:
        name = draw(strange)
        return _file(
            (f"{group}.{name}",), ("no such key", "found"), **{group: {name: draw(numbers)}}
        )
    if kind == 3:
        key = draw(st.sampled_from(sorted(PLAIN)))
        value = draw(PLAIN[key].filter(lambda v: v != {}))
        return _file((key,), (short(value), "found"), **{key: value})
    choice = draw(st.one_of(texts.filter(_is_no_option), numbers, lists))
    return Wrong((f"+experiment={as_override(choice)}",), ("experiment",), (short(choice),))


def wrong(group: str) -> st.SearchStrategy[Wrong]:
    """A mistake in a group of the configuration."""
    if group in OTHERS:
        return OTHERS[group]
    kinds = [of_a_key(group), of_a_key(group), of_an_unknown_key(group), of_raw_text(group)]
    if group not in ("numerics", "analysis"):
        kinds.append(of_an_option(group))
    return st.one_of(kinds)


OTHERS: dict[str, st.SearchStrategy[Wrong]] = {
    "experiment": of_a_file(),
    "plain": st.one_of(of_a_plain_key(), of_a_plain_key(), of_no_key()),
    "together": contradictory(),
    "matrix": of_an_axis(),
    "blocks": of_blocks(),
    "tiers": of_tiers(),
    "claims": of_claims(),
}


def problem(mistake: Wrong, status: int, out: str, err: str) -> str:
    """What is wrong with how a mistake was refused; empty where nothing is."""
    line = err.removeprefix("hpsuite: ").removesuffix("\n")
    rules = {
        f"status {status}": status == 2,
        f"printed {out[:100]!r}": not out,
        "not one line": err == f"hpsuite: {line}\n" and len(line.splitlines()) == 1,
        "signs that cannot be printed": line.isprintable(),
        f"a line of {len(line)} characters": len(line) <= LONGEST,
    }
    broken = next((rule for rule, holds in rules.items() if not holds), "")
    return broken or _unclear(mistake, line)


def _unclear(mistake: Wrong, line: str) -> str:
    """What a line does not say; empty where it says all."""
    named, _, what = line.partition("; accepted")
    if not what.strip(": "):
        return "nothing accepted"
    if mistake.file is not None and named.startswith(f"{FILE}: found a list in the place of"):
        return ""  # Hydra does not say of which key
    if not named.startswith(tuple(key[:SHOWN] for key in mistake.keys)):
        return "another key"
    # In a file, "\\${" is read as "${".
    found = (text for told in mistake.found for text in (told, told.replace("\\\\${", "${")))
    bare = named.replace(" ", "")  # Hydra repeats what was typed, and we what it means
    if not any(text.replace(" ", "") in bare for text in found) and not any(
        text in named for text in UNREAD
    ):
        return "not what was found"
    return ""


# Lines end somewhere: what was found is cut, and what is accepted is a list of options at most.
LONGEST, SHOWN = 1500, 100
FILE = "experiment/odd"
# What is said of an interpolation, of a key, or of ???, that is not even read.
UNREAD = ("nterpolation", "cannot be read", "a key of", "found nothing")


def _one(key: str, values: Values) -> st.SearchStrategy[tuple[str, ...]]:
    return values.map(lambda value: (f"{key}={as_override(value)}",))


@st.composite
def valid(draw: st.DrawFn) -> list[str]:
    """A configuration of what each group accepts, small enough to be trained."""
    kind = draw(st.sampled_from(["sgd", "sgd_ema", "sgd_nesterov", "adam", "adamw"]))
    is_sgd = kind.startswith("sgd")
    norm = draw(st.sampled_from(["", "_bn", "_ln", "_gn"]))
    family = draw(st.sampled_from(["mlp", "mlp", "mlp", "convnet", "resnet"]))
    space = draw(
        st.sampled_from(
            ["rate_only", "rate_momentum", "momentum_only"] if is_sgd else ["rate_only", "adam"]
        )
    )
    strategy = draw(
        st.sampled_from(
            [
                "log_random",
                "random",
                "grid",
                "offset_grid",
                "coarse_to_fine",
                "staged",
                "tpe",
                "qmc",
                "gp",
                "cmaes",
                "hyperband",
                "median_pruning",
                "successive_halving",
                "panda",
            ]
        )
    )
    length = (
        "epochs"
        if strategy in ("hyperband", "median_pruning", "successive_halving", "panda")
        else draw(st.sampled_from(["epochs", "steps"]))
    )
    # Most of it fits: networks of images have them, groups are of two units or more.
    images = st.sampled_from(["true", "true", "true", "true", "false"])
    widths = st.sampled_from([16, 16, 32, 8] if norm == "_gn" else [8, 16])
    asked = [
        f"model={family}{norm}",
        f"optimizer={kind}",
        f"space={space}",
        f"strategy={strategy}",
        f"dataset.image={'false' if family == 'mlp' else draw(images)}",
        f"dataset.train_fraction={draw(st.floats(0.2, 1))}",
        f"dataset.input_normalization={draw(st.sampled_from(['none', 'feature']))}",
        f"model.activation={draw(st.sampled_from(ACTIVATIONS))}",
        f"model.dropout={draw(st.floats(0, 0.9))}",
        f"model.initialization={draw(st.sampled_from(['he', 'xavier', 'default', 'gaussian']))}",
        f"model.{'channels' if family != 'mlp' else 'units'}={draw(widths)}",
        f"optimizer.batch_size={draw(st.integers(2, 200))}",
        f"optimizer.label_smoothing={draw(st.floats(0, 0.9))}",
        f"optimizer.weight_decay={draw(st.floats(0, 10))}",
        f"budget.trials={draw(st.integers(1, 8))}",
        f"budget.{length}={draw(st.integers(1, 3))}",
        f"repeats={draw(st.integers(1, 2))}",
        f"seed={draw(st.integers(0, 10**30))}",
        f"split_seed={draw(st.integers(0, 2**32 - 1))}",
        f"numerics.dtype={draw(st.sampled_from(['float32', 'float64']))}",
        f"title={as_override(draw(texts))}",
        f"log_level={draw(st.sampled_from(['debug', 'info', 'warning', 'error']))}",
        f"analysis.report={draw(st.sampled_from(['true', 'false']))}",
    ]
    if strategy != "panda":
        asked.append(f"optimizer.schedule={draw(st.sampled_from(SCHEDULES))}")
    return [*asked, "executor=inline", "tracking=none"]
