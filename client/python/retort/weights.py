"""The weights of a trained network."""
from __future__ import annotations

import numpy as np


class Weights(dict[str, np.ndarray]):
    """Arrays by name; `metadata` tells the architecture (`retort.model`) and where they come from."""

    metadata: dict[str, str]

    def __init__(self, tensors: dict[str, np.ndarray], metadata: dict[str, str]):
        super().__init__(tensors)
        self.metadata = metadata
