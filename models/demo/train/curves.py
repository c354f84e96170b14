"""Draws the logs of a training as curves, one panel a log.

    python curves.py --work WORK      # WORK/*.log -> WORK/curves.png

The upper half of a panel has losses, each from 0 to its own peak, the lower half shares from 0 to 1 (of ids, or of objects,
that were right). Beside a name stands where its curve ends.
"""
import argparse
import json
from pathlib import Path

from PIL import Image, ImageDraw

STAGES = ("language", "coarse", "symbols", "reading", "regions", "all")
SHARES = ("right", "known")
COLOURS = {"loss": "#c0392b", "meaning": "#8e44ad", "right": "#2471a3", "known": "#1e8449"}
WIDTH, HEIGHT, PAD = 420, 320, 44
SMOOTH = 0.8  # of the running mean, kept at each row


def read(path):
    """Rows of a log. A run that was cut has gone on from an earlier step: the later rows count."""
    rows = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        rows = {step: r for step, r in rows.items() if step < row["step"]} | {row["step"]: row}
    return list(rows.values())


def smooth(values):
    out = []
    for v in values:
        out.append(v if not out else SMOOTH * out[-1] + (1 - SMOOTH) * v)
    return out


def curve(draw, rows, name, box):
    """One quantity into the box (x1, y1, x2, y2); its last value."""
    x1, y1, x2, y2 = box
    values = smooth([r[name] for r in rows])
    top = 1 if name in SHARES else max(values)
    xs = [x1 + (x2 - x1) * r["step"] / rows[-1]["step"] for r in rows]
    ys = [y2 - (y2 - y1) * v / top for v in values]
    draw.line(list(zip(xs, ys)), fill=COLOURS[name], width=2)
    return values[-1]


def panel(title, rows):
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    names = [n for n in COLOURS if n in rows[0]]
    last, middle = rows[-1]["step"], HEIGHT // 2
    halves = {False: (PAD, PAD, WIDTH - 12, middle - 8), True: (PAD, middle + 8, WIDTH - 12, HEIGHT - 26)}
    for share, box in halves.items():
        draw.rectangle(box, outline="#bbbbbb")
        draw.text((6, box[1]), "1" if share else "peak", fill="black")
        draw.text((6, box[3] - 10), "0", fill="black")
    for i, name in enumerate(names):
        end = curve(draw, rows, name, halves[name in SHARES])
        draw.text((PAD + 90 * i, 22), f"{name} {end:.3f}", fill=COLOURS[name])
    draw.text((PAD, 6), f"{title}: {last} steps, {rows[-1]['seconds'] / 60:.0f} minutes", fill="black")
    draw.text((WIDTH - 50, HEIGHT - 20), str(last), fill="black")
    return image


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    work = parser.parse_args().work
    logs = {s: read(work / f"{s}.log") for s in STAGES if (work / f"{s}.log").exists()}
    panels = [panel(title, rows) for title, rows in logs.items() if rows]
    if not panels:
        raise SystemExit(f"no logs in {work}: train first")
    sheet = Image.new("RGB", (WIDTH * min(3, len(panels)), HEIGHT * -(-len(panels) // 3)), "white")
    for i, p in enumerate(panels):
        sheet.paste(p, (WIDTH * (i % 3), HEIGHT * (i // 3)))
    sheet.save(work / "curves.png")


if __name__ == "__main__":
    main()
