#!/usr/bin/env python3
"""Finds people in a video with OpenCV and prints a line a frame for `gpt4roi stream`.

    pip install 'opencv-python-headless<5'
    ./detect.py vtest.avi | gpt4roi stream --deadline 2s

The picture of a frame is in its line; with --frames FIFO pictures go there as raw pixels instead:

    mkfifo frames
    ./detect.py --frames frames vtest.avi | gpt4roi stream --video frames --pixel-format bgr24 --size 768x576

VIDEO is a file, or the number of a camera. Any other detector takes the place of `people` below.
"""
import argparse
import base64
import json
import sys
import time

import cv2


def people(detector, picture):
    """Boxes as left, top, right, bottom, and how sure the detector is."""
    boxes, weights = detector.detectMultiScale(picture, winStride=(8, 8), scale=1.1)
    return [([int(x), int(y), int(x + w), int(y + h)], float(s)) for (x, y, w, h), s in zip(boxes, weights)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("video", metavar="VIDEO")
    parser.add_argument("--frames", help="named pipe for the pictures, as raw BGR")
    parser.add_argument("--every", type=int, default=1, help="look at every n-th frame only")
    parser.add_argument("--limit", type=int, help="stop after so many frames")
    parser.add_argument("--realtime", action="store_true", help="play a file no faster than it was filmed")
    args = parser.parse_args()
    video = cv2.VideoCapture(int(args.video) if args.video.isdigit() else args.video)
    if not video.isOpened():
        sys.exit(f"{args.video} cannot be opened")
    fps = video.get(cv2.CAP_PROP_FPS) or 25.0
    detector = cv2.HOGDescriptor()
    detector.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
    pictures = open(args.frames, "wb") if args.frames else None
    begun, seq = time.monotonic(), 0
    for index in range(args.limit or sys.maxsize):
        there, picture = video.read()
        if not there:
            break
        if index % args.every:
            continue
        if args.realtime:
            time.sleep(max(0.0, begun + index / fps - time.monotonic()))
        line = {"v": 1, "seq": seq, "time": index / fps}
        if pictures:
            pictures.write(picture.tobytes())
            pictures.flush()
        else:
            line["jpeg"] = base64.b64encode(cv2.imencode(".jpg", picture)[1]).decode()
        found = people(detector, picture)
        line["detections"] = [{"box": box, "label": "person", "score": min(max(score, 0.0), 1.0)} for box, score in found]
        print(json.dumps(line), flush=True)
        seq += 1


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.stderr.close()
