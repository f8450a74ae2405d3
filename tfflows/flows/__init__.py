"""Flows by name: each is a `tfflows.Flow` that a handful of hyper-parameters describe."""

import keras

from tfflows.flow import Flow
from tfflows.flows.ffjord import FFJORD
from tfflows.flows.glow import Glow
from tfflows.flows.hybrid import HybridClassifier
from tfflows.flows.image_realnvp import ImageRealNVP
from tfflows.flows.nice import NICE
from tfflows.flows.realnvp import RealNVP
from tfflows.flows.residual_flow import IResNet, ResidualFlow

__all__ = [
    "FFJORD",
    "NICE",
    "Glow",
    "HybridClassifier",
    "IResNet",
    "ImageRealNVP",
    "RealNVP",
    "ResidualFlow",
    "flow_class",
]


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
    flows = (FFJORD, Flow, Glow, IResNet, ImageRealNVP, NICE, RealNVP, ResidualFlow)
    built_in = {flow.__name__: flow for flow in flows}
    found = built_in.get(name) or keras.saving.get_registered_object(name)
    if not (isinstance(found, type) and issubclass(found, Flow)):
        raise ValueError(
            f"There is no flow {name!r}: expected one of {sorted(built_in)}, or the registered "
            "name of a subclass of tfflows.Flow."
        )
    return found
