#!/usr/bin/env python3
"""Memory of a long run of `gpt4roi caption`: makes the data set, runs it, and draws resident size over images done.

    make build && scripts/caption_memory.py --images 10000 --dir /tmp/long-run

The data set is small pictures of noise with 30 boxes each. Standard library only. The folder keeps the pictures, the
output, `memory.tsv` with every sample and `memory.svg` with the curve; a run that is stopped (Ctrl-C) draws what it has.
"""

import argparse
import json
import pathlib
import random
import signal
import struct
import subprocess
import sys
import time
import zlib

WIDTH, HEIGHT = 96, 72
MARK = b'{"end":'
FIELDS = ("VmRSS", "RssAnon", "RssFile", "VmHWM")


def main():
    args = arguments()
    args.dir.mkdir(parents=True, exist_ok=True)
    boxes = args.dir / "boxes.jsonl"
    make_set(boxes, args.images, args.boxes)
    output = args.dir / "captions.jsonl"
    command = [
        args.program, "caption", "--input", boxes, "--output", output, "--restart", "--greedy",
        "--max-tokens", str(args.tokens), "--threads", str(args.threads),
    ]
    samples = watch(command, output, args.every)
    table(samples)
    write(args.dir / "memory.tsv", samples)
    draw(args.dir / "memory.svg", samples)


def arguments():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--boxes", type=int, default=30, help="boxes of an image")
    parser.add_argument("--tokens", type=int, default=8, help="longest answer")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between samples")
    parser.add_argument("--program", default=root / "target/release/gpt4roi")
    parser.add_argument("--dir", type=pathlib.Path, default=root / "target/caption-memory")
    return parser.parse_args()


def make_set(path, n_images, n_boxes):
    """Pictures and boxes; both are the same whenever the numbers are."""
    rng = random.Random(1)
    with open(path, "w") as lines:
        for i in range(n_images):
            name = f"images/{i:06}.png"
            picture(path.parent / name, rng)
            regions = [{"box": box(rng)} for _ in range(n_boxes)]
            lines.write(json.dumps({"image": name, "regions": regions}) + "\n")


def picture(path, rng):
    """A PNG file of noise."""
    path.parent.mkdir(exist_ok=True)
    rows = b"".join(b"\0" + rng.randbytes(3 * WIDTH) for _ in range(HEIGHT))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows, 1)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def box(rng):
    x, y = rng.randrange(WIDTH - 16), rng.randrange(HEIGHT - 16)
    return [x, y, x + rng.randint(12, WIDTH - x), y + rng.randint(12, HEIGHT - y)]


def watch(command, output, every):
    """Samples of (seconds, images done, bytes of every field) until the program ends."""
    child = subprocess.Popen(list(map(str, command)))
    # Ctrl-C goes to both; the program ends by itself, and the samples are wanted.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGINT))
    begun, samples, journal = time.monotonic(), [], Journal(f"{output}.partial")
    while child.poll() is None:
        n_done, memory = journal.n_done(), resident(child.pid)
        if n_done and memory:
            samples.append((time.monotonic() - begun, n_done, *memory))
        time.sleep(every)
    if not samples:
        sys.exit(f"{command[0]} ended before the first sample, with {child.returncode}")
    return samples


class Journal:
    """Counts the images of a journal that grows."""

    def __init__(self, path):
        self.path, self.at, self.n, self.rest = path, 0, 0, b""

    def n_done(self):
        try:
            with open(self.path, "rb") as file:
                file.seek(self.at)
                new = file.read()
        except FileNotFoundError:
            return self.n
        self.at += len(new)
        *lines, self.rest = (self.rest + new).split(b"\n")
        self.n += sum(line.startswith(MARK) for line in lines)
        return self.n


def resident(pid):
    """Bytes of every field; nothing of a process that has ended."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in status.splitlines())
    if not all(field in values for field in FIELDS):
        return None
    return [int(values[field].split()[0]) * 1024 for field in FIELDS]


def table(samples):
    print("| images | minutes | resident MiB | anonymous | of files |\n| --- | --- | --- | --- | --- |")
    for seconds, n_done, rss, anonymous, of_files, _ in picked(samples):
        print(f"| {n_done} | {seconds / 60:.1f} | {mib(rss)} | {mib(anonymous)} | {mib(of_files)} |")
    print(f"\nmost ever resident: {mib(max(s[5] for s in samples))} MiB")


def picked(samples):
    """About 1, 2, 5, 10, ... images, and the last sample."""
    goals = [m * 10**e for e in range(9) for m in (1, 2, 5)]
    chosen = [next((s for s in samples if s[1] >= goal), None) for goal in goals]
    return sorted({s for s in chosen if s} | {samples[-1]})


def mib(n_bytes):
    return f"{n_bytes / 2**20:.1f}"


def write(path, samples):
    rows = ["seconds\timages\t" + "\t".join(FIELDS)]
    rows += [f"{s[0]:.1f}\t" + "\t".join(map(str, s[1:])) for s in samples]
    path.write_text("\n".join(rows) + "\n")


def draw(path, samples):
    """Resident (dark) and anonymous (light) size over images done."""
    width, height, left, bottom = 720, 320, 56, 32
    most_images, most = samples[-1][1], 1.1 * max(s[2] for s in samples)

    def line(field, colour):
        at = lambda s: (left + s[1] * width / most_images, height - s[field] * height / most)
        points = " ".join("{:.1f},{:.1f}".format(*at(s)) for s in samples)
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'

    def label(x, y, text):
        return f'<text x="{x}" y="{y}" font-family="sans-serif" font-size="12">{text}</text>'

    size = f'width="{left + width + 8}" height="{height + bottom}"'
    path.write_text("\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><rect {size} fill="#fff"/>',
        f'<path d="M{left} 0V{height}H{left + width}" fill="none" stroke="#888"/>',
        label(4, 14, f"{mib(most)} MiB"), label(4, height, "0"),
        label(left + width - 90, height + 20, f"{most_images} images"),
        line(2, "#1565c0"), line(3, "#90caf9"), "</svg>\n",
    ]))


if __name__ == "__main__":
    main()
