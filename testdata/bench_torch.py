"""Measures Tessera beside PyTorch on this machine's CPU.

    python3 testdata/bench_torch.py [--list] [--only NAME]... [--rounds N] [--json]

Needs Linux, Python 3, torch (1.13 or later) and the go command. For every row, rounds
alternate between a compiled Go benchmark and the same work in PyTorch, each on
all cores, one sleeping while the other runs; which goes first alternates too.
The ratio is the median over the rounds of Tessera's rate to PyTorch's in that
round: above 1, Tessera is ahead. A spread is (max − min) / median of a side.

PyTorch gets its better settings:

  - OMP_WAIT_POLICY=passive. Where OpenMP and the BLAS have threads of their
    own, as in Debian's build with OpenBLAS, they otherwise fight for the cores.
  - Results go to tensors that exist (out=) where an operation can do that: new
    pages often cost more than the operation. With --keep-memory all freed memory
    stays with the process too, which Python programs do not ask for by default
    and which makes models some 15 % faster in PyTorch.
  - The fastest of some variants: one thread instead of all where the data fit in
    cache, channels last for convolutions, foreach for AdamW.
  - inference_mode, gradients set to None, one product for queries, keys and
    values, a preallocated cache for decoding.

ATEN_CPU_CAPABILITY (default, avx2, avx512) is left as it is and shown. Rows
named openblas/… call OpenBLAS itself; memory/… compare bytes in processes of
their own, beyond what they hold before the model exists. The exit status is 1
if a row could not be measured.
"""
import argparse
import ctypes
import fnmatch
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["OMP_WAIT_POLICY"] = "passive"  # read when OpenMP is loaded
sys.dont_write_bytecode = True  # of the modules beside this one

import torch

import bench_models
import bench_rows

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CORES = len(os.sched_getaffinity(0))
PEAK_STEPS = 10


class Missing(Exception):
    """There is nothing to compare with, and why."""


class Go:
    """Compiled Go benchmarks."""

    def __init__(self, folder):
        self.folder, self.built = folder, {}

    def build(self, package):
        """Returns the path of the package's benchmarks, compiled once."""
        if package not in self.built:
            binary = os.path.join(self.folder, package.replace("/", "_") + ".test")
            p = subprocess.run(["go", "test", "-c", "-o", binary, "./" + package], cwd=ROOT,
                               capture_output=True, text=True)
            failed = p.returncode != 0 or not os.path.exists(binary)
            self.built[package] = None if failed else binary
            if failed:
                print(p.stderr or p.stdout, file=sys.stderr, end="")
        if self.built[package] is None:
            raise Missing(f"no benchmarks in {package}")
        return self.built[package]

    def metrics(self, package, name, benchtime):
        """Runs one benchmark and returns its metrics by unit."""
        pattern = "/".join(f"^{re.escape(part)}$" for part in name.split("/"))
        p = subprocess.run(
            [self.build(package), "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", benchtime],
            cwd=os.path.join(ROOT, package), capture_output=True, text=True)
        found = parse(p.stdout, name)
        if p.returncode != 0:
            print(p.stdout, p.stderr, file=sys.stderr)
            raise Missing(f"{name} in {package} failed")
        if found is None:
            raise Missing(f"{package} has no {name}")
        return found


def parse(output, name):
    """Finds a benchmark's metrics by unit in what go test prints, or None."""
    for line in output.splitlines():
        fields = line.split()
        # The name is followed by the number of processors, except if it is 1.
        if len(fields) > 2 and re.sub(r"-\d+$", "", fields[0]) == re.sub(r"-\d+$", "", name):
            return {unit: float(value) for value, unit in zip(fields[2::2], fields[3::2])}
    return None


def seconds_per_call(f, duration):
    """Calls f for about duration seconds, after one call that does not count."""
    f()
    calls, spent, at_once = 0, 0.0, 1
    while spent < duration:
        start = time.perf_counter()
        for _ in range(at_once):
            f()
        took = time.perf_counter() - start
        calls, spent = calls + at_once, spent + took
        if took < duration / 20:  # reading the clock should not show
            at_once *= 2
    return spent / calls


def alternate(rounds, ours, theirs):
    """Measures both sides rounds times, taking turns at going first."""
    pairs = []
    for i in range(rounds):
        if i % 2 == 0:
            a = ours()
            pairs.append((a, theirs()))
        else:
            b = theirs()
            time.sleep(0.1)  # until PyTorch's threads sleep
            pairs.append((ours(), b))
        time.sleep(0.1)
    return pairs


def rates(go, row, rounds, scale):
    """Measures the rates of a row in rounds pairs."""
    duration = row.seconds * scale

    def ours():
        m = go.metrics(row.package, row.bench, f"{duration}s")
        return m[row.metric] if row.metric else row.work / (m["ns/op"] * 1e-9)

    go.metrics(row.package, row.bench, "1x")  # if it is missing, say so at once
    with torch.inference_mode(not row.training):
        f = best(row, duration)
        return alternate(rounds, ours, lambda: row.work / seconds_per_call(f, duration))


def best(row, duration):
    """Prepares the fastest variant of a row's work, on the better number of
    threads, which it sets."""
    variants = [prepare() for prepare in row.torch]
    threads = (CORES, 1) if row.small else (CORES,)

    def took(variant):
        f, n = variant
        torch.set_num_threads(n)
        return seconds_per_call(f, duration)

    choices = [(f, n) for f in variants for n in threads]
    f, n = choices[0] if len(choices) == 1 else min(choices, key=took)
    torch.set_num_threads(n)
    return f


def peaks(go, row, rounds, scale):
    """Measures peak memory in rounds pairs of processes."""
    def ours():
        m = go.metrics(row.package, row.bench, f"{PEAK_STEPS}x")
        if "peak-bytes" not in m:
            raise Missing(f"{row.bench} does not report peak-bytes")
        return m["peak-bytes"] / 2**20

    def theirs():
        p = subprocess.run([sys.executable, os.path.abspath(__file__), "--peak", row.name],
                           capture_output=True, text=True, check=True)
        return int(p.stdout) / 2**20

    return alternate(min(rounds, 3), ours, theirs)


def peak_of(row):
    """Prints by how many bytes a few calls of row's work let this process grow."""
    before = resident_peak()
    f = row.torch[0]()
    for _ in range(PEAK_STEPS):
        f()
    print(resident_peak() - before)


def resident_peak():
    with open("/proc/self/status") as f:
        return int(re.search(r"VmHWM:\s*(\d+)", f.read())[1]) << 10


def summarize(row, pairs):
    ours, theirs = zip(*pairs)
    # Less memory is better, and so is a higher rate.
    ratios = [b / a if row.peak else a / b for a, b in pairs]

    def spread(side):
        return (max(side) - min(side)) / statistics.median(side)

    return {
        "name": row.name, "beside": row.beside, "unit": "MiB" if row.peak else row.unit,
        "ours": statistics.median(ours), "torch": statistics.median(theirs),
        "ratio": statistics.median(ratios), "ours_spread": spread(ours), "torch_spread": spread(theirs),
    }


def keep_memory():
    """Lets the C library keep freed memory, however large the pieces."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)


settings = {}


def header():
    blas = bench_rows.openblas()
    if blas:
        config = blas.openblas_get_config().decode()
        described = f"{config}, {blas.openblas_get_num_threads()} threads"
    else:
        described = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
        described = described[1] if described else "unknown"
    capability = re.search(r"CPU capability usage: (\S+)", torch.__config__.show())
    version = subprocess.run(["go", "version"], capture_output=True, text=True).stdout.split()[2]
    return {
        "machine": f"{cpu()}, {CORES} cores",
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads, "
                 f"kernels for {capability[1] if capability else 'unknown'}",
        "blas": described,
        "environment": "OMP_WAIT_POLICY=passive",
        "freed memory": settings["memory"],
        "go": version,
    }


def cpu():
    with open("/proc/cpuinfo") as f:
        found = re.search(r"model name\s*: (.*)", f.read())
    return found[1] if found else platform.machine()


def table_line(r):
    return (f"| {r['name']} | {r['ours']:.4g} | {r['torch']:.4g} | {r['unit']} | {r['ratio']:.2f} "
            f"| {r['ours_spread']:.0%} | {r['torch_spread']:.0%} |")


def run(rows, rounds, scale, as_json):
    """Measures and prints the rows; returns how many are missing."""
    missing = 0
    top = header()
    if as_json:
        print(json.dumps(top), flush=True)
    else:
        print(*(f"{k}: {v}" for k, v in top.items()), sep="\n")
        print("\n| | Tessera | PyTorch | unit | ratio | spread | spread of PyTorch |")
        print("|---|--:|--:|---|--:|--:|--:|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        go = Go(folder)
        for row in rows:
            torch.manual_seed(1)
            try:
                result = summarize(row, (peaks if row.peak else rates)(go, row, rounds, scale))
            except Missing as e:
                missing += 1
                result = {"name": row.name, "missing": str(e)}
            if as_json:
                print(json.dumps(result, ensure_ascii=False), flush=True)
            elif "missing" in result:
                print(f"| {row.name} | missing: {result['missing']} |", flush=True)
            else:
                print(table_line(result), flush=True)
    return missing


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    parser.add_argument("--only", metavar="NAME", action="append", help="measure this row or pattern (matmul/*)")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of measurements a row (default 7)")
    parser.add_argument("--scale", type=float, default=1, help="multiplies the duration of a measurement")
    parser.add_argument("--keep-memory", action="store_true", help="let the C library keep all freed memory (PyTorch)")
    parser.add_argument("--json", action="store_true", help="print a line of JSON a row, after one for the machine")
    parser.add_argument("--peak", metavar="NAME", help=argparse.SUPPRESS)  # what a process of peaks() does
    args = parser.parse_args()
    if args.rounds < 1 or not args.scale > 0:
        parser.error("--rounds wants 1 or more, --scale more than 0")

    torch.set_num_threads(CORES)
    rows = bench_rows.rows()
    if args.peak:
        peak_of(next(r for r in rows if r.name == args.peak))
        return 0
    for pattern in args.only or []:
        if not any(fnmatch.fnmatchcase(r.name, pattern) for r in rows):
            parser.error(f"no row is named {pattern}; see --list")
    if args.only:
        rows = [r for r in rows if any(fnmatch.fnmatchcase(r.name, p) for p in args.only)]
    if args.list:
        print(*(r.name for r in rows), sep="\n")
        return 0
    if args.keep_memory:
        keep_memory()
    settings["memory"] = "kept" if args.keep_memory else "as the C library does"
    return 1 if run(rows, args.rounds, args.scale, args.json) else 0


if __name__ == "__main__":
    sys.exit(main())
