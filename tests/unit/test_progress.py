"""What the bar of a run prints."""

import dataclasses
import re

import numpy as np
import pytest

from hiermod.inference import Bar, Progress

WARM = Progress(
    phase="warmup", chains=4, done=250, total=20_500, divergences=0, step_size=0.31,
    draws_per_second=5000.0, r_hat=np.nan, warmup=500,
)  # fmt: skip
DRAWS = dataclasses.replace(WARM, phase="draws", done=1100, divergences=3, r_hat=1.02)
WANTED = {"wanted": (400.0, 1.01)}


def printed(capsys, *steps):
    """The bar after each step."""
    with Bar(20_500, show=True) as bar:
        bar._bar.mininterval = 0
        for step in steps:
            bar(step)
    return capsys.readouterr().err.split("\r")[-1 - len(steps) :]


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (WARM, r"4 chains, warmup +1%\|.*\| 250/20500 \[.*5,000 draws/s, .*step size 0\.31\s*"),
        (DRAWS, r"4 chains, draws +5%\|.*\| 1100/20500 \[.*divergences 3, .*R-hat up to 1\.02\s*"),
        (
            dataclasses.replace(WARM, **WANTED),
            r"4 chains, warmup +50%\|.*\| \[.*step size 0\.31\s*",
        ),
        (
            dataclasses.replace(DRAWS, r_hat=np.nan, **WANTED),
            r"4 chains, draws 600, ESS 0 of 400 +0%\|.*step size 0\.31\s*",
        ),
        (
            dataclasses.replace(DRAWS, ess=100.4, **WANTED),
            r"4 chains, draws 600, ESS 100 of 400 +25%\|.*R-hat 1\.020 \(to be below 1\.01\)\s*",
        ),
        (
            dataclasses.replace(DRAWS, ess=4000.0, **WANTED),
            r"4 chains, draws 600, ESS 4,000 of 400 +100%\|.*R-hat 1\.020 .*",
        ),
    ],
)
def test_what_is_printed(step, says, capsys):
    (bar,) = printed(capsys, step)[-1:]
    assert re.fullmatch(says, bar.strip("\n"))


def test_ess_may_fall(capsys):
    steps = [dataclasses.replace(DRAWS, ess=e, **WANTED) for e in (200.0, 100.0, 300.0)]
    assert re.findall(r"(\d+)%", "".join(printed(capsys, *steps)))[-3:] == ["25", "75", "75"]


def test_a_bar_that_is_not_shown_prints_nothing(capsys):
    with Bar(100, show=False) as bar:
        bar(DRAWS)
        bar(dataclasses.replace(DRAWS, **WANTED))
    assert capsys.readouterr().err == ""
