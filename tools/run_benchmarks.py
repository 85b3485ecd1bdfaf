"""Every benchmark, one after the other; says at the end which of them missed a target."""

import subprocess
import sys

from course import REPOSITORY

BENCHMARKS = (
    "benchmarks/import_time.py",
    "benchmarks/overhead.py",
    "benchmarks/simulator.py",
    "benchmarks/simulator_costs.py",
    "benchmarks/trace_readers.py",
    "benchmarks/trace_parquet.py",
    "benchmarks/first_chart.py",
    "benchmarks/explorer_latency.py",
)


def main() -> None:
    missed = []
    for benchmark in BENCHMARKS:
        print(f"breakerlab: {benchmark}\n", flush=True)
        if subprocess.run([sys.executable, benchmark], cwd=REPOSITORY).returncode:
            missed.append(benchmark)
        print(flush=True)
    if missed:
        sys.exit(f"breakerlab: failed: {', '.join(missed)} (see above)")
    print("breakerlab: all benchmarks met their targets")


if __name__ == "__main__":
    main()
