#!/bin/sh
# Describes what Frigate tracks: its events come by MQTT, the pictures from the camera that it looks at.
#
#   GPT4ROI_MQTT_PASSWORD=... examples/stream/frigate.sh rtsp://camera/stream mqtt://me@broker CAMERA
#
# The stream must have the size that Frigate detects at: boxes are in its pixels. More options of `gpt4roi stream` may
# follow, as `--model` and `--mmproj`.
set -eu
source=$1 broker=$2 camera=$3
shift 3
ffmpeg -loglevel error -i "$source" -f mjpeg -q:v 3 - |
    gpt4roi stream --video - --fps 5 --dialect frigate --queue 16 --refresh 60s --deadline 10s \
        --mqtt "$broker" --mqtt-client-id "gpt4roi-$camera" --mqtt-subscribe frigate/events \
        --mqtt-publish "gpt4roi/$camera/answers" --mqtt-status "gpt4roi/$camera/status" "$@"
