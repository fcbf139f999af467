"""The documentation is true: its code runs, and prints what the page shows.

The ```python blocks of a page run in order, in one namespace; a ```text block that follows one
shows what it prints, or the value of its last expression. The shown text is compared as in a
doctest, with all numbers alike, since draws differ between machines; ``...`` stands for anything.
A text that begins with the name of an error says that its block must raise that very error.
"""

import ast
import contextlib
import doctest
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\s*^```text\n(.*?)^```$)?", re.S | re.M)
ERROR = re.compile(r"\w+Error: ")
NUMBER = re.compile(r"-?\d+(,\d{3})*(\.\d*)?(e[-+]?\d+)?")
VERDICT = re.compile(r"(The checks found nothing wrong|Do not trust this fit yet): .*", re.S)
"""Its problems depend on the draws, so only that there is a verdict is compared."""

pytestmark = [
    pytest.mark.examples,
    # results.md shows such a table of ArviZ, and what it says of it.
    pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto:UserWarning"),
    # ArviZ 0.23's compare() sorts in a way that pandas 3.1 deprecates.
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.sort_values"),
]


def evaluate(code, namespace):
    """Run a block; return what it prints, its last expression's value included."""
    *statements, last = ast.parse(code).body
    if not isinstance(last, ast.Expr):
        statements.append(last)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(ast.Module(statements, []), "<block>", "exec"), namespace)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "<block>", "eval"), namespace)
            if value is not None:
                print(repr(value))
    return out.getvalue()


def alike(shown, printed):
    shown, printed = (NUMBER.sub("0", VERDICT.sub("verdict", t)) for t in (shown, printed))
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    return doctest.OutputChecker().check_output(shown, printed, options)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page, tmp_path, monkeypatch):
    import pandas as pd

    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "page"}
    with pd.option_context("display.width", 100, "display.max_columns", 12):
        for code, shown in BLOCK.findall(page.read_text()):
            if ERROR.match(shown):
                with pytest.raises(ValueError) as error:
                    evaluate(code, namespace)
                assert f"{error.type.__name__}: {error.value}".split() == shown.split(), code
                continue
            printed = evaluate(code, namespace)
            if shown:
                assert alike(shown, printed), f"{code}\nshows\n{shown}\nbut gives\n{printed}"
