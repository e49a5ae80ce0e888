"""How often `Diagnosis` is right: `python -m benchmarks.diagnosis --out results.jsonl`.

Trains hundreds of small networks, with a fault each or without, and notes what `Diagnosis` says. Thresholds may be
chosen by the half of the runs called "tuning"; the other, "held-out", is for the figures that are published. A run
that `--out` already has is not repeated. With `--others`, other detectors watch the same runs; how to install them is
said in `benchmarks/diagnosis/others/__init__.py`. `--report results.jsonl` prints the tables.
"""

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

from benchmarks.diagnosis.cases import GOOD, Case, cases
from benchmarks.diagnosis.others import DETECTORS
from benchmarks.diagnosis.pool import train
from benchmarks.diagnosis.report import HALVES, read, report


def chosen(arguments: argparse.Namespace) -> list[Case]:
    """Returns the runs that are asked for and not done yet, in an order drawn from a fixed seed."""
    done = {result["case"] for result in read(arguments.out)} if arguments.out else set()
    wanted = [
        case
        for case in cases(arguments.first_seed).values()
        if (not arguments.kinds or any(words in case.kind for words in arguments.kinds))
        and (not arguments.only_half or case.half == arguments.only_half)
        and not (arguments.healthy and case.kind != GOOD)
        and not (arguments.faulty and case.kind == GOOD)
        and (not arguments.match or arguments.match in case.name)
    ]
    random.Random(0).shuffle(wanted)
    if arguments.each:
        seen: Counter[str] = Counter()
        wanted = [case for case in wanted if seen.update([case.kind]) or seen[case.kind] <= arguments.each]
    return [case for case in wanted[: arguments.limit] if case.name not in done]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.diagnosis",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--kinds", nargs="+", metavar="WORDS", help="kinds of faults whose names have these words")
    parser.add_argument("--match", metavar="WORDS", help="runs whose names have these words")
    parser.add_argument("--only-half", choices=HALVES)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--healthy", action="store_true", help="only runs without a fault")
    which.add_argument("--faulty", action="store_true", help="only runs with a fault")
    parser.add_argument("--limit", type=int, metavar="N", help="N runs, drawn from a fixed seed")
    parser.add_argument("--each", type=int, metavar="N", help="N runs of each kind, drawn from a fixed seed")
    parser.add_argument("--first-seed", type=int, default=0, metavar="N", help="added to all seeds, for unseen runs")
    parser.add_argument("--jobs", type=int, default=2, help="processes, of one thread each")
    parser.add_argument("--standard", action="store_true", help="with the whole standard set of callbacks")
    parser.add_argument("--others", action="store_true", help="with other detectors, to compare")
    parser.add_argument("--out", type=Path, metavar="FILE", help="append each result as a line of JSON")
    parser.add_argument("--report", type=Path, metavar="FILE", help="only print the tables of what a file has")
    parser.add_argument("--list", action="store_true", help="only print the names of the runs")
    arguments = parser.parse_args()
    if arguments.report:
        print(report(read(arguments.report)))
        return
    wanted = chosen(arguments)
    if arguments.list:
        print("\n".join(case.name for case in wanted))
        return
    if arguments.others:
        for detector in DETECTORS:
            if not detector.installed():
                print(f"without {detector.name}: pip install {detector.package}", file=sys.stderr)
    given = arguments.jobs, arguments.standard, arguments.out, arguments.others, arguments.first_seed
    results = train(wanted, *given)
    print(report(read(arguments.out) if arguments.out else results))


if __name__ == "__main__":
    main()
