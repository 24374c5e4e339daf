"""Steps that run on the workers of a Dask cluster.

::

    @step(executor=Dask("tcp://scheduler:8786"))
    def resize(image: Image) -> Image: ...

A call is a Dask task of its own, under the lease of whoever performs the run: that keeps the checkpoints, repeats what
failed, and is told the step's events.
"""

from .place import Dask

__all__ = ["Dask"]
