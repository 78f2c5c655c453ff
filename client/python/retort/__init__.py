"""Runs sweeps of knowledge distillation, and reads what they found.

    import retort
    client = retort.Client()
    sweep = client.submit("sweep.yaml")
    client.wait(sweep)
    print(client.results(sweep).groupby(["student", "method"]).mae_bpm.mean())
"""
from .client import Client, Sweep
from .dataset import Dataset
from .errors import (CoordinatorError, InvalidArgument, NotFound, RetortError, SweepFailed, TimedOut, Unavailable)
from .weights import Weights

__all__ = ["Client", "CoordinatorError", "Dataset", "InvalidArgument", "NotFound", "RetortError", "Sweep", "SweepFailed",
           "TimedOut", "Unavailable", "Weights"]
__version__ = "0.1.0"
