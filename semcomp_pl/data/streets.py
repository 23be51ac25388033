"""Procedural street scenes: the default data set, generated on first use."""

from semcomp_pl.data.cityscapes import Cityscapes


class StreetScenes(Cityscapes):
    """Seeded procedural scenes in Cityscapes' layout, with its label ids and classes.

    Args:
        root: Directory to write the scenes to; left as it is if it holds them already.
        train: Number of training scenes.
        val: Number of validation scenes.
        test: Number of test scenes, which have no labels.
        size: Height and width of the scenes in pixels.
        seed: Seed of the data set.
    """

    def __init__(
        self,
        root: str = "data/streets",
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
        """Write the scenes."""
        from semcomp_pl.data.street_scenes import write_street_scenes

        write_street_scenes(self.root, train=self.train, val=self.val, test=self.test, size=self.size, seed=self.seed)
