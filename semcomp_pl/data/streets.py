"""Procedural street scenes: the default data set, generated on first use."""

from pathlib import Path

from semcomp_pl.data.cityscapes import Cityscapes
from semcomp_pl.errors import SemcompError

DRAWN = "data/streets"
"""Where scenes are drawn on first use; whoever names another directory wants what is there."""


class StreetScenes(Cityscapes):
    """Seeded procedural scenes in Cityscapes' layout, with its label ids and classes.

    Args:
        root: Directory of the scenes. They are drawn on first use in the default one, `data/streets`; any other must
            hold them already (`semcomp_pl.data.street_scenes.write_street_scenes` draws them anywhere).
        train: Number of training scenes.
        val: Number of validation scenes.
        test: Number of test scenes, which have no labels.
        size: Height and width of the scenes in pixels.
        seed: Seed of the data set.
    """

    def __init__(
        self,
        root: str = DRAWN,
        train: int = 96,
        val: int = 24,
        test: int = 8,
        size: tuple[int, int] = (256, 512),
        seed: int = 0,
    ) -> None:
        super().__init__(root)
        self.train, self.val, self.test = train, val, test
        self.size = size
        self.seed = seed

    def prepare(self) -> None:
        """Draw the scenes, if they are missing at their default place.

        Raises:
            SemcompError: they are missing elsewhere, or others are there.
        """
        if self.root != Path(DRAWN) and not any(self.root.glob("*")):
            raise SemcompError(
                f"{self.root}: nothing found, expected street scenes, which are drawn in {DRAWN} only; "
                "correct --data.source.root, or leave it out"
            )
        from semcomp_pl.data.street_scenes import write_street_scenes

        write_street_scenes(self.root, train=self.train, val=self.val, test=self.test, size=self.size, seed=self.seed)
