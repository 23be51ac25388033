"""Tables of the documents."""

from collections.abc import Sequence


def table(rows: Sequence[dict[str, str]]) -> str:
    """A Markdown table whose columns are the keys of all rows."""
    columns = [*dict.fromkeys(key for row in rows for key in row)]
    lines = [columns, ["---"] * len(columns), *([row.get(column, "") for column in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
