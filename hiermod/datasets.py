"""Example data: `load_data` reads one set, `list_data` tells what there is.

The facts about each file (size, columns, source, licence) are the table in ``datasets/README.md``.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import pandas as pd

from hiermod.errors import DataError, did_you_mean


def load_data(name: str) -> pd.DataFrame:
    """One of the data sets that come with hiermod.

    Parameters
    ----------
    name : str
        A name from `list_data`, in upper or lower case.

    Returns
    -------
    DataFrame
        Columns are named as in the source, empty cells are missing values.

    Raises
    ------
    DataError
        If there is no data set of this name; the message lists the names.

    Examples
    --------
    >>> from hiermod.datasets import load_data
    >>> load_data("reedfrogs").head(3)
       density pred  size  surv  propsurv
    0       10   no   big     9       0.9
    1       10   no   big    10       1.0
    2       10   no   big     7       0.7
    """
    names = {known.lower(): known for known in _index()["name"]}
    if str(name).lower() not in names:
        raise DataError(
            f"unknown data set {name!r}.\n  {did_you_mean(str(name), names.values())}\n"
            "  list_data() describes each."
        )
    entry = _index().set_index("name").loc[names[str(name).lower()]]
    with (_folder() / entry["file"]).open("rb") as file:
        return pd.read_csv(
            file,
            compression="gzip" if entry["file"].endswith(".gz") else None,
            keep_default_na=False,  # "NA" and "None" are text; only an empty cell is missing
            na_values=[""],
        )


def list_data() -> pd.DataFrame:
    """All data sets that come with hiermod, one per row.

    Returns
    -------
    DataFrame
        Columns ``name``, ``rows`` and ``columns`` (their numbers), ``description``, ``variables``
        (what the columns mean), ``missing`` (empty cells), ``source`` and ``licence``.

    Examples
    --------
    >>> from hiermod.datasets import list_data
    >>> sets = list_data().set_index("name")
    >>> sets.loc["sleepstudy", "description"]
    'Reaction times under sleep deprivation, 18 subjects x 10 days'
    >>> sets.loc[["reedfrogs", "sleepstudy"], ["rows", "columns"]]
                rows  columns
    name
    reedfrogs     48        5
    sleepstudy   180        3
    """
    return _index().drop(columns="file")


@functools.cache
def _folder() -> Traversable:
    """``hiermod/_datasets`` when installed, ``datasets`` beside ``hiermod`` in a checkout."""
    installed = files("hiermod") / "_datasets"
    return installed if installed.is_dir() else Path(__file__).parents[1] / "datasets"


@functools.cache
def _index() -> pd.DataFrame:
    """The table in ``datasets/README.md``; it has one line per file."""
    readme = _folder() / "README.md"
    try:
        lines = readme.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise DataError(
            f"hiermod's data sets are missing: no file {readme}.\n  Reinstall hiermod."
        ) from error
    rows = []
    for line in [line for line in lines if line.startswith("| ")][1:]:
        file, size, what, columns, empty, source, licence = line.strip("| ").split(" | ")
        n_rows, n_columns = size.split("×")
        rows.append(
            {
                "name": file.split(".")[0],
                "rows": int(n_rows),
                "columns": int(n_columns),
                "description": what,
                "variables": columns,
                "missing": empty,
                "source": source,
                "licence": licence,
                "file": file,
            }
        )
    return pd.DataFrame(rows)
