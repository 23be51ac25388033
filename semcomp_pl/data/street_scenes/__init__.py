"""Seeded procedural street scenes in Cityscapes' official layout: the default data set of the suite.

    seed -> plan (street, weather, camera) -> 3-D polygons, far to near -> colours + surface ids -> light
            layout.py, sky.py                 buildings, vehicles, ...     canvas.py                shade.py

The layout, the label ids and the instance ids are those of Cordts et al., "The Cityscapes Dataset for
Semantic Urban Scene Understanding", CVPR 2016 (https://arxiv.org/abs/1604.01685).
"""

from semcomp_pl.data.street_scenes.scene import Scene, render
from semcomp_pl.data.street_scenes.write import write_street_scenes

__all__ = ["Scene", "render", "write_street_scenes"]
