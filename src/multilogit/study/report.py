"""The page of a study: every number comes from the stored results."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from multilogit.study.designs import StudyError
from multilogit.study.sections import SECTIONS, Piece
from multilogit.study.store import Store
from multilogit.study.summary import Summary, summary_of
from multilogit.study.tables import title_of


def write_report(source: str | Path | Store | Summary, output: str | Path) -> Path:
    """Write the page of a study: Markdown, with figures beside it.

    Parameters
    ----------
    source
        Directory of results, or a file that :meth:`Summary.save` wrote.
    output
        The Markdown file; its figures go into the directory of the same name.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StudyError
        If there are no results, or the page cannot be written.
    MissingExtraError
        Without matplotlib or pyarrow.
    """
    page, summary = Path(output), summary_of(source)
    figures = page.with_suffix("")
    try:
        figures.mkdir(parents=True, exist_ok=True)
        for piece in pieces_of(summary):
            if not isinstance(piece, str):
                piece.draw().savefig(figures / f"{piece.stem}.png", dpi=110)
        beside = page.with_suffix(".tmp")
        beside.write_text(text_of(summary, figures.name), encoding="utf-8")
        os.replace(beside, page)
    except OSError as error:
        raise StudyError(f"{str(page)!r} cannot be written: {error.strerror}.") from None
    return page


def pieces_of(summary: Summary) -> list[Piece]:
    """Text and figures of a page, in order.

    Raises
    ------
    StudyError
        If the design asks for a section that there is not.
    """
    pieces: list[Piece] = [*_head(summary)]
    for name in summary.design.report or ("overview", "degeneracy", "accuracy", "coverage", "cost"):
        if name not in SECTIONS:
            raise StudyError(f"[run] report: no section {name!r}; available: {list(SECTIONS)}.")
        pieces += SECTIONS[name](summary)
    return pieces


def text_of(summary: Summary, figures: str) -> str:
    """The Markdown of a page whose figures are in a directory of that name."""
    shown = (
        piece if isinstance(piece, str) else f"![{piece.text}]({figures}/{piece.stem}.png)"
        for piece in pieces_of(summary)
    )
    return "\n\n".join(shown) + "\n"


def _head(summary: Summary) -> Iterator[str]:
    design, measures = summary.design, summary.measures
    done = measures[measures["measure"] == "converged"].set_index(["cell", "estimator"])["n"]
    yield f"# {design.title}"
    yield (
        f"{len(design.cells)} cells, {done.index.get_level_values(1).nunique()} estimators, "
        f"{int(done.sum()):,} fits. Written by `multilogit study report` from stored results; "
        "seeds belong to design, cell and replicate, so that anyone gets the same data."
    )
    short = [
        f"{cell.name}: {title_of(name)} has {done.get((cell.name, name), 0)} of {n} replicates"
        for name, n in ((name, design.replicates_for(name)) for name in design.estimators)
        for cell in design.cells_for(name)
        if done.get((cell.name, name), 0) < n
    ]
    if short:
        shown = "; ".join(short[:5])
        yield f"**Not complete**: {len(short)} combinations, among them {shown}."
    for key, text in design.ademp.items():
        yield f"**{key.capitalize()}.** {text}"
