"""A design to a joint distribution: families, links, priors, the program."""

from hiermod.models.code import code
from hiermod.models.density import Density
from hiermod.models.equations import Equations, equations
from hiermod.models.families import Family, FamilyParameter
from hiermod.models.joint import Joint, join
from hiermod.models.mixtures import mixture
from hiermod.models.pinned import JointDistributionPinned, Pinned
from hiermod.models.plans import Plan, plan
from hiermod.models.specification import Specification, prior_table, specify
from hiermod.models.thresholds import ordinal

__all__ = [
    "Density",
    "Equations",
    "Family",
    "FamilyParameter",
    "Joint",
    "JointDistributionPinned",
    "Pinned",
    "Plan",
    "Specification",
    "code",
    "equations",
    "join",
    "mixture",
    "ordinal",
    "plan",
    "prior_table",
    "specify",
]
