"""`semcomp export`: write a trained model in a form to share."""

from semcomp_pl.errors import SemcompError


def main(args: list[str]) -> None:
    """Run `semcomp export`.

    Raises:
        SemcompError: bad usage, unreadable checkpoint, or the directory is not empty.
    """
    if len(args) != 2 or args[0].startswith("-"):
        raise SemcompError(f"semcomp export takes two arguments, MODEL and DIR; {len(args)} found")
    from semcomp_pl.checkpoints.export import export

    print(f"exported {args[0]} to {export(*args)}")
