"""Colours, marks and lines: told apart in greyscale and by the colour-blind."""

import itertools

import numpy as np
import pytest

from hpsuite.report.style import (
    INK,
    PALETTE,
    PAPER,
    QUIET,
    RAMP,
    contrast,
    look,
    luminance,
    ramp,
    ramp_stops,
    rgb,
    text_on,
)

# Linear RGB as seen by those who lack one kind of cone (Machado, Oliveira and Fernandes 2009,
# table of matrices, severity 1.0).
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab(color: str, matrix: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of a colour as somebody sees it."""
    c = np.array(rgb(color))
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(matrix) @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ seen / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_luminance_and_contrast_of_known_colours() -> None:
    assert luminance("#000000") == 0
    assert luminance("#ffffff") == pytest.approx(1)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_lines_and_texts_have_contrast_with_paper() -> None:
    assert all(contrast(color, PAPER) >= 3 for color in PALETTE)
    assert contrast(INK, PAPER) >= 7
    assert contrast(QUIET, PAPER) >= 4.5


@pytest.mark.parametrize("kind", BLINDNESS)
def test_the_first_colours_differ_for_everybody(kind: str) -> None:
    seen = [lab(color, BLINDNESS[kind]) for color in PALETTE]
    pairs = itertools.combinations(range(len(seen)), 2)
    apart = {(i, j): float(np.linalg.norm(seen[i] - seen[j])) for i, j in pairs}
    assert apart[0, 1] > 80
    assert min(apart[i, j] for i, j in apart if j < 4) > 15
    assert min(apart.values()) > 15


def test_the_first_colours_differ_in_greyscale() -> None:
    lightness = [lab(color, np.eye(3))[0] for color in PALETTE[:4]]
    assert abs(lightness[0] - lightness[1]) > 25
    assert min(abs(a - b) for a, b in itertools.combinations(lightness, 2)) > 12


def test_looks_differ_by_more_than_colour() -> None:
    looks = [look(i) for i in range(280)]
    assert len(set(looks)) == 280
    first = [(one.marker, one.dashes) for one in looks[:20]]
    assert len(set(first)) == 20
    assert len({one.symbol for one in looks[:10]}) == len({one.marker for one in looks[:10]}) == 10


def test_the_ramp_only_darkens_and_its_texts_can_be_read() -> None:
    shades = [ramp(i / 200) for i in range(201)]
    light = [luminance(shade) for shade in shades]
    assert all(a > b for a, b in itertools.pairwise(light))
    assert (ramp(-1), ramp(2)) == (RAMP[0], RAMP[-1])
    assert min(contrast(text_on(shade), shade) for shade in shades) >= 3.9
    assert [place for place, _ in ramp_stops()] == pytest.approx(np.linspace(0, 1, 13))
    assert ramp_stops(0.2, 0.6)[-1] == (1.0, ramp(0.6))
