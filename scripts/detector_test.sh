#!/usr/bin/env bash
# A real detector in front of `gpt4roi stream`: OpenCV's people detector on frames of a street scene, by
# examples/camera/detect.py, pictures in its lines and then through a pipe of raw pixels. Every detection must come out
# once: answered, repeated or dropped with a reason. OpenCV goes into a folder of its own; the video is Debian's.
#
#   scripts/detector_test.sh TARGET     # where the build is
#
# FRAMES    of the video (default 60)
# PYTHON    interpreter (default python3)
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/package/toolchain.sh
. scripts/package/toolchain.sh

target=${1:-$target}
frames=${FRAMES:-60}
work=$target/detector-test
python=$work/venv/bin/python
video=$work/vtest.avi
mkdir -p "$work"

if [ ! -e "$work/venv.ready" ]; then
    say "installing OpenCV into $work/venv"
    "${PYTHON:-python3}" -m venv "$work/venv" || die "Python's venv is missing: install python3-venv"
    "$python" -m pip install -q 'opencv-python-headless<5'
    touch "$work/venv.ready"
fi
if [ ! -e "$video" ]; then
    say "fetching the video out of Debian's opencv-doc"
    download() { (cd "$work" && apt-get -q download opencv-doc >/dev/null 2>&1); }
    refresh() { if [ "$(id -u)" = 0 ]; then apt-get -q update; else sudo apt-get -q update; fi >/dev/null; }
    download || { refresh && download; } || die "no opencv-doc to be had with apt-get: put its vtest.avi into $work"
    dpkg -x "$work"/opencv-doc_*.deb "$work/doc"
    found=$(find "$work/doc" -name 'vtest.avi*' | head -n 1)
    case $found in
    *.gz) gunzip -c "$found" >"$video.part" ;;
    ?*) cp "$found" "$video.part" ;;
    *) die "no vtest.avi in opencv-doc" ;;
    esac
    mv "$video.part" "$video"
    rm -rf "$work/doc" "$work"/opencv-doc_*.deb
fi

# A thread each: where one waits for the other, neither gets on.
export OPENCV_FOR_THREADS_NUM=1
detect=("$python" examples/camera/detect.py --realtime --limit "$frames")
stream=("$target/release/gpt4roi" stream --threads 1 --deadline 20s --greedy --max-tokens 16)

# What went in and what came out, line by line.
check() {
    "$python" - "$work" <<'PYTHON'
import collections, json, sys
work = sys.argv[1]
seen = collections.Counter()
for line in open(f"{work}/lines.jsonl"):
    frame = json.loads(line)
    for d in frame["detections"]:
        seen[frame["seq"], tuple(map(float, d["box"]))] += 1
kinds, out = collections.Counter(), collections.Counter()
for line in open(f"{work}/out.jsonl"):
    event = json.loads(line)
    kinds[event["event"]] += 1
    if event["event"] in ("answer", "repeat", "drop"):
        out[event["seq"], tuple(event["box"])] += 1
        assert event["event"] != "answer" or event["answer"], event
        assert event["event"] != "drop" or event["reason"], event
assert seen, "the detector found nobody"
assert out == seen, f"{sum((seen - out).values())} detections are missing, {sum((out - seen).values())} too many"
assert kinds["answer"], "nothing was answered"
print(f"{sum(seen.values())} detections, each accounted for once:", dict(kinds))
PYTHON
}

"${detect[@]}" "$video" | tee "$work/lines.jsonl" | "${stream[@]}" >"$work/out.jsonl"
check
fifo=$work/frames
rm -f "$fifo"
mkfifo "$fifo"
"${detect[@]}" --frames "$fifo" "$video" | tee "$work/lines.jsonl" |
    "${stream[@]}" --video "$fifo" --pixel-format bgr24 --size 768x576 >"$work/out.jsonl"
check
