"""Steps that run on the workers of Ray.

::

    @step(executor=Ray(num_cpus=4))
    def train(table: Table) -> Model: ...

A call is a Ray task of its own, under the lease of whoever performs the run: that keeps the checkpoints, repeats what
failed, and is told the step's events.
"""

from .place import Ray

__all__ = ["Ray"]
