"""The example runs, as a script and as a notebook."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.examples


def test_script(tmp_path):
    script = subprocess.run(
        [sys.executable, EXAMPLES / "reedfrogs.py", "made"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert script.returncode == 0, script.stderr
    assert "The checks found nothing wrong" in script.stdout
    written = {path.name for path in (tmp_path / "made").iterdir()}
    assert written == {
        *(f"{n}.png" for n in ("trace", "trace_tanks", "rank", "tanks", "forest", "ppc")),
        *("shrinkage.png", "shrinkage_logit.png", "summary.csv", "reedfrogs.nc"),
    }
    assert all(name in script.stdout for name in written)
    with xr.open_dataset(tmp_path / "made" / "reedfrogs.nc", group="posterior") as posterior:
        assert posterior["1|tank"].shape == (4, 1000, 48)


def test_notebook(tmp_path):
    import nbformat
    from nbclient import NotebookClient

    path = EXAMPLES / "reedfrogs.ipynb"
    assert path.stat().st_size < 1_500_000
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=os.environ | {"MPLBACKEND": "module://matplotlib_inline.backend_inline"})
    for cell in notebook.cells:
        if cell.cell_type == "code" and "plot" in cell.source.splitlines()[-1]:
            figures = [o for o in cell.outputs if "image/png" in o.get("data", {})]
            assert len(figures) == 1, cell.source
