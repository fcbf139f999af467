"""A model as a standalone TFP program."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hiermod.models import program
from hiermod.models.distributions import KNOWN
from hiermod.models.joint import Joint


def code(joint: Joint) -> str:
    """Source of a program that builds the same joint distribution.

    Parameters
    ----------
    joint : Joint

    Returns
    -------
    str
        Needs NumPy, TensorFlow and TensorFlow Probability only, and defines ``joint``. The data
        are written out in full.
    """
    specification = joint.specification
    body = program.source(specification, literal=True)
    own = _own(body)
    extra = "tfb = tfp.bijectors\n" if "tfb." in "".join([body, *own]) else ""
    if " normal." in body:
        extra += "normal = tfd.Normal(np.float64(0), np.float64(1))\n"
    title = " ".join(specification.design.formula.text.split())
    parts = [
        f"# {title}   (family {specification.family.name}, link {specification.link.name})",
        program.HEADER + extra,
    ]
    parts += [*own, body]
    arrays = {name: value.numpy() for name, value in joint.data.items()}
    lines = "\n".join(f'    "{name}": {_literal(value)},' for name, value in arrays.items())
    names = ", ".join([*(p.identifier for p in joint.parts)])
    parts.append(
        f"data = {{\n{lines}\n}}\njoint = joint_distribution(data)\n"
        f"# joint.log_prob([{names}, data['y']]) is the log density."
    )
    return "\n\n".join(parts) + "\n"


def _own(body: str) -> list[str]:
    """Source of the distributions in a program that TFP does not have, and of what they use."""
    used: dict[str, str] = {}
    new = {"": body}
    while new:
        text = "".join(new.values())
        new = {
            name: inspect.getsource(thing)
            for name, thing in KNOWN.items()
            if name not in used and re.search(rf"(?<![.\w]){name}\b[(),]", text)
        }
        used |= new
    types = re.compile(r"(: | -> )(Any|None|tf\.\w+|tuple\[[^]]*\]|bool|float)(?=[,):\n]| =)")
    return [
        types.sub("", source)
        .replace(" = None)", "=None)")
        .replace(" = -np.inf,", "=-np.inf,")
        .replace("  # type: ignore[name-defined]", "")
        for source in (used[name] for name in KNOWN if name in used)
    ]


def _literal(array: NDArray[Any]) -> str:
    """An array as source, exactly."""
    kind = "np.int32" if array.dtype.kind == "i" else "np.float64"
    whole = array.dtype.kind == "f" and bool(np.all(array % 1 == 0)) and np.abs(array).max() < 1e15
    values = (array.astype(np.int64) if whole else array).tolist()
    return f"np.array({values!r}, {kind})"
