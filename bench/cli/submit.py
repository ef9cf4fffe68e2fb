"""`bench submit`: from your results folder into records/ and onto the board, and the text of the pull request."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

if TYPE_CHECKING:
    from bench.submit.candidates import Offer
    from bench.submit.request_text import Repeated, Request
    from leaderboard.records.schema import Record

SHOWN = 3  # names of what is left out
MOST_PROBLEMS = 20


def submit(
    runs: Annotated[
        list[str] | None,
        Argument(metavar="RUNS...", help="Run ids, files, folders of results. Default: all that is new in --results."),
    ] = None,
    results: Annotated[Path, Option(help="Where run ids are looked up, and what is new is taken from.")] = Path("results"),
    output: Annotated[Path | None, Option(help="Write the text of the pull request to this file, too.")] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Only say what would be submitted; repeat and write nothing.")] = False,
    verify: Annotated[
        str | None, Option(help="Which of the new runs to repeat. Default: the one that took least time.")
    ] = None,
    no_verify: Annotated[bool, Option("--no-verify", help="Repeat none, which the pull request then says.")] = False,
    device: Annotated[str | None, Option(help="Where to repeat it: auto, cpu, cuda or cuda:N. Default: the record's.")] = None,
    dirty: Annotated[bool, Option("--dirty", help="Take runs whose code held changes that were not committed.")] = False,
    no_weights: Annotated[bool, Option("--no-weights", help="Take no weights along.")] = False,
    check: Annotated[bool, Option("--check", help="Check records/ and the board of this checkout; submit nothing.")] = False,
    base: Annotated[
        str | None, Option(help="With --check: what it is to be merged into; records may only be added to.")
    ] = None,
    rebuild: Annotated[bool, Option("--rebuild", help="Only write the board of records/ again; make board is this.")] = False,
) -> int:
    """Put finished runs into records/ and onto the board: checked, one of them repeated, with the text of a pull request.

    All of it is done or, after a failure or Ctrl-C, nothing. Run it where the suite is checked out.
    """
    from bench.errors import BenchError
    from bench.submit.board import check_root
    from bench.submit.board import rebuild as write_board

    root = Path.cwd()
    check_root(root)
    if check or rebuild:
        if runs or output or verify or check == rebuild:
            raise BenchError("--check and --rebuild are about this checkout, and go alone (--check with --base)")
        if check:
            return _check(root, base)
        write_board(root)
        print("wrote the board of records/")
        return 0
    if base is not None:
        raise BenchError("--base goes with --check")
    if verify is not None and no_verify:
        raise BenchError("--verify and --no-verify contradict each other; leave out one of them")
    offer = _offer(runs or [], results, root, dirty)
    if not offer.accepted:
        print("there is nothing new to submit", file=sys.stderr)
        return int(bool(offer.refused))
    chosen = _to_repeat(offer.records, verify, no_verify)
    return _submit(root, offer, chosen, device, output, dry_run=dry_run, weights=not no_weights)


def _check(root: Path, base: str | None) -> int:
    from bench.submit.review import review

    found = review(root, base)
    for note in found.notes:
        print(f"look: {note}")
    for problem in found.problems[:MOST_PROBLEMS]:
        print(f"bench: {problem}", file=sys.stderr)
    if len(found.problems) > MOST_PROBLEMS:
        print(f"bench: and {len(found.problems) - MOST_PROBLEMS} more problems like these", file=sys.stderr)
    since = f", {found.added} of them new since {base}" if found.added is not None else " (not compared with any: --base REF)"
    if not found.problems:
        print(f"{found.files} files in records/{since}: sound, and the board is theirs")
    return int(bool(found.problems))


def _offer(asked: Sequence[str], results: Path, root: Path, dirty: bool) -> Offer:
    """Raises BenchError: something that was named itself is refused, or cannot be repeated with today's code."""
    from bench.errors import BenchError
    from bench.submit.board import RECORDS
    from bench.submit.candidates import find, read_records, sift

    if not asked and not results.is_dir():
        raise BenchError(
            f"there is no folder {str(results)!r}; give RUN_ID, a record's file or a folder: bench submit PATH/TO/results"
        )
    found, unreadable = find(asked, results)
    offer = sift(found, read_records(root / RECORDS), allow_dirty=dirty)
    offer.refused += unreadable
    _ask_todays_code(offer)
    files = {Path(word) for word in asked if Path(word).is_file()}
    by_name = {*asked, *(one.name for one in found if one.path in files)}
    named = [(name, why) for name, why in offer.refused if name in by_name]
    if named:
        raise BenchError(f"{named[0][0]} cannot be submitted: {named[0][1]}")
    if offer.known:
        print(f"{offer.known} are in records/ already, with the same result")
    if offer.refused:
        print(f"{len(offer.refused)} are left out:")
        for name, why in offer.refused[:SHOWN]:
            print(f"  {name}: {why}")
        if len(offer.refused) > SHOWN:
            print(f"  and {len(offer.refused) - SHOWN} more; each says why when it is named: bench submit RUN_ID")
    return offer


def _ask_todays_code(offer: Offer) -> None:
    """Refuse what could not be repeated with today's code, so that `bench verify` works for all that is on the board."""
    from bench.errors import BenchError
    from bench.verify import rebuild
    from leaderboard.records.schema import Record
    from models import ModelError

    for one in list(offer.accepted):
        if isinstance(one.item, Record):
            try:
                rebuild(one.item)
            except (BenchError, ModelError) as error:
                offer.accepted.remove(one)
                offer.refused.append((one.item.run_id, str(error)))


def _to_repeat(records: Sequence[Record], wanted: str | None, none: bool) -> Record | None:
    """The run that is to be repeated: the one asked for, else the cheapest. Raises BenchError: it is not among the new ones."""
    from bench.errors import BenchError
    from models.errors import suggestion

    if wanted is not None:
        ids = [record.run_id for record in records]
        if wanted not in ids:
            raise BenchError(
                f"--verify {wanted!r} is none of the new runs{suggestion(wanted, ids)}; new are: {', '.join(ids) or 'none'}"
            )
        return records[ids.index(wanted)]
    if none or not records:
        return None
    return min(records, key=lambda record: (record.timings.total_seconds if record.timings else 0.0, record.run_id))


def _submit(
    root: Path, offer: Offer, chosen: Record | None, device: str | None, output: Path | None, *, dry_run: bool, weights: bool
) -> int:
    """Repeat, stage, put in place, tell; the exit code."""
    from bench.submit.board import RECORDS
    from bench.submit.board import rebuild as write_board
    from bench.submit.files import new_files, unknown_commits, write_files
    from bench.submit.request_text import Request
    from bench.submit.staging import copy_of, put_in_place
    from leaderboard.reading.collection import collect
    from leaderboard.records.atomic import check_target, write_atomically

    if output is not None:
        check_target(output)
    files = new_files(offer.accepted, root / RECORDS, weights=weights)
    before = collect(root / RECORDS)
    repeated = _repeat(chosen, [root / RECORDS], device) if chosen and not dry_run else None
    if repeated is not None and not repeated.agrees:
        print(f"bench: {repeated.run_id} does not agree with its repeat, so nothing was submitted", file=sys.stderr)
        return 1
    after = before.with_records(offer.records)
    request = Request(
        offer.records, offer.measurements, sum(path.suffix != ".json" for path in files), before, after, repeated,
        unknown_commits(root, offer.records), chosen.run_id if chosen and dry_run else "",
    )  # fmt: skip
    if dry_run:
        would = f"would repeat {chosen.run_id} and then " if chosen else ""
        print(
            f"{would}would add {len(files)} files to records/:\n" + "\n".join(f"  {path.as_posix()}" for path in sorted(files))
        )
        print(f"\n{request.title}\n\n{request.body()}", end="")
        return 0
    with copy_of(root, root) as copy:
        write_files(copy / RECORDS, files)
        write_board(copy)
        changed = put_in_place(copy, root, [RECORDS / path for path in sorted(files)])
    print(f"added {len(files)} files to records/ and wrote {len(changed)} of the board\n")
    print(f"{request.title}\n\n{request.body()}", end="")
    if output is not None:
        write_atomically(output, request.body().encode("utf-8"))
    _next_steps(request, output)
    return 0


def _repeat(record: Record, roots: Sequence[Path], device: str | None) -> Repeated:
    from bench.cli.verify import repeat_and_judge
    from bench.submit.request_text import Repeated

    _, verdict = repeat_and_judge(record, roots, device)
    return Repeated(record.run_id, verdict.agrees, verdict.lines)


def _next_steps(request: Request, output: Path | None) -> None:
    title = shlex.quote(request.title)
    body = f" (gh pr create --title {title} --body-file {shlex.quote(str(output))})" if output else ""
    print(
        f"\nNow, on a branch of your own: git add records LEADERBOARD.md README.md docs; git commit -m {title}; git push; and "
        f"open a pull request with the text above{body}"
    )
    if request.records and request.repeated is None:
        print("bench: NOTHING WAS REPEATED: nobody has seen these numbers twice", file=sys.stderr)
