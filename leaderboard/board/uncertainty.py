"""What the board says about its uncertainty: the explanation, and every pair of models of a table."""

from __future__ import annotations

import re

from leaderboard.board import markup
from leaderboard.board.markup import NOTHING, code
from leaderboard.board.tables import Section, Table
from leaderboard.stats.comparison import MOST_MODELS

MOST_LISTED = 20  # models of a table whose pairs are all listed: 190
ONCE = """\
No table has a model with two realizations yet, so there is no interval and no rank: the order of the rows is that of one
training on one realization, and another could turn it around."""
EXPLANATION = """\
The interval (95 %) is where the mean over many realizations made like these would lie; `inside` and `outside` say whether
the published mean lies in it. A model's rank is one plus the number of models that are significantly better (p < 0.05,
paired over the shared realizations, corrected by Holm's method for all pairs of the table). 1, 1, 3 says that the first two
are not significantly different, not that they are equal. With one realization there is neither interval nor rank.

Six realizations of one data set show what other draws of training images, scale factors and initial weights would do.
They cannot show what other digits would do: all six are made of the same 70,000 MNIST images, and each tests on most of
them. Nor is a model better elsewhere because it is better here. By the exact sign-flip test (`p by signs`) alone six
realizations never give less than 0.031, so that no two of ten models are significantly different once it is corrected; the
deciding p also uses what the stored answers to the test images and the other pairs of the table say about the spread
([how, and how well it works](docs/statistics.md))."""
_HEADER = ("A", "B", "A − B", "95 % interval", "p", "p (Holm)", "p by signs", "n")


def explanation(sections: tuple[Section, ...]) -> str:
    """The paragraph for these sections; none where there are smoke tests only."""
    serious = [table for section in sections if not section.smoke for table in section.tables]
    if not serious:
        return ""
    return EXPLANATION if any(row.interval for table in serious for row in table.rows) else ONCE


def plain_explanation(sections: tuple[Section, ...]) -> list[str]:
    """The same as paragraphs without Markdown."""
    text = re.sub(r"\s*\(\[[^]]*\]\([^)]*\)\)", "", explanation(sections)).replace("`", "")
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph]


def pairs(table: Table) -> list[str]:
    """Every pair of the table, the smallest p first, folded; or a line on why they are not listed."""
    models = len({run.model for run in table.runs})
    if not table.comparisons:
        return [f"Pairs of over {MOST_MODELS} models are not compared: there are no ranks.", ""] if models > MOST_MODELS else []
    if models > MOST_LISTED:
        return [f"The {len(table.comparisons):,} pairs are not listed; `bench compare A B` compares two.", ""]
    rows = [
        [
            code(c.a), code(c.b), markup.difference(c.difference), markup.interval(c.interval),
            markup.probability(c.p), markup.probability(c.p_holm),
            NOTHING if c.p_sign_flip is None else markup.probability(c.p_sign_flip), str(c.n),
        ]
        for c in sorted(table.comparisons, key=lambda c: (c.p_holm, c.p, c.a, c.b))
    ]  # fmt: skip
    significant = sum(c.significant for c in table.comparisons)
    summary = f"{markup.plural(len(rows), 'pair')} of models, {significant} significantly different"
    return markup.folded(summary, markup.table(_HEADER, rows, _HEADER[2:]))
