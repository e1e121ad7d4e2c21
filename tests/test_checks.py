"""Signatures as schemas: what is accepted, and what is said of what is not."""

from collections.abc import Mapping
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Lt

from hpsuite.checks import UserError, build, checked, checked_arguments, resolve, show, under


def cook(
    *,
    minutes: Annotated[int, Ge(1)],
    heat: Annotated[float, Ge(0), Lt(1)] = 0.5,
    pan: Literal["iron", "steel"] = "iron",
    spices: int | tuple[int, ...] | None = None,
    notes: Mapping[str, int] | None = None,
) -> tuple[object, ...]:
    return minutes, heat, pan, spices, notes


def anything(*, known: int = 0, **others: object) -> dict[str, object]:
    return {"known": known, **others}


def test_arguments_come_as_their_annotations_say() -> None:
    given = {"minutes": 3, "heat": 0, "spices": [1, 2], "notes": {"salt": 1}}
    found = build("dish", cook, given)
    assert found == (3, 0.0, "iron", (1, 2), {"salt": 1})
    assert isinstance(found[1], float)
    assert isinstance(found[3], tuple)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"minutes": "3"}, "dish.minutes: found '3'; accepted: an integer"),
        ({"minutes": 3.0}, "dish.minutes: found 3.0; accepted: an integer"),
        ({"minutes": True}, "dish.minutes: found true; accepted: an integer"),
        ({"minutes": 0}, "dish.minutes: found 0; accepted: greater than or equal to 1"),
        ({}, "dish.minutes: found nothing; accepted: an integer"),
        ({"minutes": 1, "heat": False}, "dish.heat: found false; accepted: a number"),
        ({"minutes": 1, "heat": 1}, "dish.heat: found 1; accepted: less than 1"),
        ({"minutes": 1, "pan": None}, "dish.pan: found null; accepted: 'iron' or 'steel'"),
        (
            {"minutes": 1, "spices": "x"},
            "dish.spices: found 'x'; accepted: an integer or a list or null",
        ),
        (
            {"minutes": 1, "notes": [1]},
            "dish.notes: found [1]; accepted: keys with values or null",
        ),
        (
            {"minutes": 1, "salt": 2},
            "dish.salt: found no such key; accepted: one of minutes, heat, pan, spices, notes",
        ),
    ],
)
def test_what_is_said(given: dict[str, object], line: str) -> None:
    with pytest.raises(UserError) as caught:
        build("dish", cook, given)
    assert str(caught.value) == line


def test_what_is_not_the_users_to_give() -> None:
    assert build("dish", cook, {}, minutes=2)[0] == 2
    for given in ({"minutes": 1}, {"minutes": 2}):
        with pytest.raises(
            UserError, match=r"^dish.minutes: found no such key; accepted: one of h"
        ):
            build("dish", cook, given, minutes=2)
    with pytest.raises(UserError, match=r"^dish.known: found no such key; accepted: no keys"):
        build("dish", anything, {"known": 1}, known=2)


def test_names_that_somebody_else_checks_are_named() -> None:
    with pytest.raises(
        UserError, match=r"^dish.salt: found no such key; accepted: one of .*, pot$"
    ):
        checked_arguments("dish", cook, {"minutes": 1, "salt": 2}, beside=["pot"])


def test_a_function_that_takes_any_name() -> None:
    assert build("", anything, {"other": [1]}) == {"known": 0, "other": [1]}
    with pytest.raises(UserError, match=r"^known: found 'x'; accepted: an integer$"):
        build("", anything, {"known": "x"})


def test_functions_without_annotations_take_what_they_get() -> None:
    def bare(a, b=2):  # type: ignore[no-untyped-def]
        return a, b

    assert checked_arguments("", bare, {"a": "x"}) == {"a": "x"}


def test_values_that_no_configuration_holds() -> None:
    with pytest.raises(UserError, match=r"^key: found .*; accepted: plain values"):
        checked("key", object, b"bytes")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.001, "0.001"),
        ("a b", "'a b'"),
        ([1, (2, None)], "[1, [2, null]]"),
        ({"low": 1e-4, "scale": "log"}, "{low: 0.0001, scale: 'log'}"),
    ],
)
def test_values_are_shown_as_a_user_types_them(value: object, text: str) -> None:
    assert show(value) == text


def test_dotted_names() -> None:
    assert resolve("key", "collections.abc.Mapping") is Mapping
    for target in (None, 3, "", "name", ".", "no.such.module", "math.pi", "math.nothing"):
        with pytest.raises(UserError, match=r"^key: found .*; accepted: "):
            resolve("key", target)


def test_a_module_that_fails_when_imported(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "broken_of_mine.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"SyntaxError: .*broken_of_mine.py, line 1") as caught:
        resolve("key", "broken_of_mine.f")
    assert "\n" not in str(caught.value)


def test_errors_below_a_key() -> None:
    inner = ValueError("units: found 0;\n accepted: 1 or more")
    assert str(under("model", inner)) == "model.units: found 0; accepted: 1 or more"
    both = ValueError("a, b: found 1 and 2; accepted: 3")
    assert str(under("data", both)) == "data.a, b: found 1 and 2; accepted: 3"
    assert str(under("model", RuntimeError("no memory"))) == "model: no memory"
