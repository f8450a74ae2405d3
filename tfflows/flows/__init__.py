"""Flows by name: each is a `tfflows.Flow` that a handful of hyper-parameters describe.

A line here makes a flow known: as `tfflows.NAME`, to recipes, the command line, the zoo and the
tests (`as` marks it as exported).
"""

import keras

from tfflows.flow import Flow as Flow
from tfflows.flows.autoregressive import IAF as IAF
from tfflows.flows.autoregressive import MAF as MAF
from tfflows.flows.autoregressive import NAF as NAF
from tfflows.flows.bnaf import BNAF as BNAF
from tfflows.flows.ffjord import FFJORD as FFJORD
from tfflows.flows.gaussianization import Gaussianization as Gaussianization
from tfflows.flows.glow import Glow as Glow
from tfflows.flows.hybrid import HybridClassifier as HybridClassifier
from tfflows.flows.image_realnvp import ImageRealNVP as ImageRealNVP
from tfflows.flows.low_rank import PlanarFlow as PlanarFlow
from tfflows.flows.low_rank import SylvesterFlow as SylvesterFlow
from tfflows.flows.nice import NICE as NICE
from tfflows.flows.nsf import NSF as NSF
from tfflows.flows.realnvp import RealNVP as RealNVP
from tfflows.flows.residual_flow import IResNet as IResNet
from tfflows.flows.residual_flow import ResidualFlow as ResidualFlow

# All of them, by name.
FLOWS = {
    name: value
    for name, value in dict(globals()).items()
    if isinstance(value, type) and issubclass(value, Flow)
}


def flow_class(name: str) -> type[Flow]:
    """The flow of a name: one of this package, or a subclass of `Flow` of your own.

    Args:
        name: e.g. `"RealNVP"`, or `"package>Name"` as `keras.saving.get_registered_name` gives it
            for a class that was registered with `register_keras_serializable`.

    Raises:
        ValueError: if there is no such flow.

    Example:
        >>> tfflows.flows.flow_class("NICE") is tfflows.NICE
        True
    """
    found = FLOWS.get(name) or keras.saving.get_registered_object(name)
    if not (isinstance(found, type) and issubclass(found, Flow)):
        raise ValueError(
            f"There is no flow {name!r}: expected one of {sorted(FLOWS)}, or the registered "
            "name of a subclass of tfflows.Flow."
        )
    return found
