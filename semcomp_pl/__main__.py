"""`python -m semcomp_pl` is `semcomp`."""

from semcomp_pl.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
