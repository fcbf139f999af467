import gzip
from pathlib import Path

import pytest

from hiermod.datasets import _folder, list_data, load_data
from hiermod.errors import DataError

SETS = list_data().set_index("name")


@pytest.mark.parametrize("name", SETS.index)
def test_data_are_as_the_table_says(name):
    data, entry = load_data(name), SETS.loc[name]
    assert data.shape == (entry["rows"], entry["columns"])
    empty = data.isna().sum()
    empty = empty[empty > 0]
    if entry["missing"] == "none":
        assert empty.empty
    elif entry["missing"].endswith("columns"):  # "11 columns"
        assert len(empty) == int(entry["missing"].split()[0])
    else:  # "day 6, hours 12050"
        stated = dict(part.rsplit(" ", 1) for part in entry["missing"].split(", "))
        assert {column: int(count) for column, count in stated.items()} == empty.to_dict()


def test_the_table_and_the_folder_agree():
    names = {Path(str(file)).name.split(".")[0] for file in _folder().iterdir()}
    assert names - {"README"} == set(SETS.index)
    assert SETS.index.is_unique
    assert SETS.index.str.lower().is_unique  # names are found in any case
    assert SETS[["description", "source", "licence"]].map(len).to_numpy().min() > 0


@pytest.mark.parametrize("name", ["howell1", "HOWELL1", "Howell1"])
def test_case_does_not_matter(name):
    assert load_data(name).shape == (544, 4)


def test_a_compressed_file_is_what_it_was():
    with (_folder() / "InstEval.csv.gz").open("rb") as file:
        lines = gzip.decompress(file.read()).decode().splitlines()
    data = load_data("InstEval")
    assert lines[0].split(",") == list(data.columns)
    assert lines[-1].split(",") == [str(value) for value in data.iloc[-1]]


def test_each_call_returns_its_own_frame():
    tulips, table = load_data("tulips"), list_data()
    tulips["water"] = 0
    table["name"] = "gone"
    assert load_data("tulips")["water"].max() == 3
    assert "tulips" in set(list_data()["name"])


@pytest.mark.parametrize(
    ("name", "guess"), [("radon", "radon_mn"), ("reedfrog", "reedfrogs"), ("Trolly", "Trolley")]
)
def test_an_unknown_name_is_answered_with_the_nearest(name, guess):
    with pytest.raises(DataError) as info:
        load_data(name)
    message = str(info.value)
    assert message.startswith(f"unknown data set '{name}'.")
    assert f"Did you mean '{guess}'?" in message
    assert "Allowed: " in message
    assert "bangladesh" in message
