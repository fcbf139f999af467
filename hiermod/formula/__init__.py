"""Formula text and a data frame to a `Design`: the first room, without TensorFlow."""

from hiermod.formula.design import Design, Group, Response, Term
from hiermod.formula.functions import FUNCTIONS
from hiermod.formula.grammar import Formula, parse
from hiermod.formula.matrices import design, designs, new_design

__all__ = [
    "FUNCTIONS",
    "Design",
    "Formula",
    "Group",
    "Response",
    "Term",
    "design",
    "designs",
    "new_design",
    "parse",
]
