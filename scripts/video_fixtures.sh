#!/usr/bin/env bash
# Writes the small videos that tests of `gpt4roi stream --video` read, with ffmpeg: three smooth pictures in every
# format, and the same frames as ffmpeg makes RGB of them.
set -euo pipefail
cd "$(dirname "$0")/../tests/data/video"

source=(-v error -y -f lavfi -i "nullsrc=size=32x24:rate=5,format=rgb24,geq=r='X*8':g='Y*11':b='128+100*sin(X/9+Y/7+N)'"
    -frames:v 3 -flags +bitexact -fflags +bitexact)
scale=(-sws_flags "neighbor+accurate_rnd+full_chroma_int")

write() { ffmpeg "${source[@]}" "${scale[@]}" "$@"; }

for pixel in yuv420p yuv444p gray; do
    write -pix_fmt "$pixel" -strict -1 -f yuv4mpegpipe "$pixel.y4m"
done
for pixel in nv12 yuyv422 bgra; do
    write -pix_fmt "$pixel" -f rawvideo "$pixel.raw"
done
write -pix_fmt yuvj420p -q:v 4 -f mjpeg three.mjpeg
# What ffmpeg makes of the same pixels.
ffmpeg -v error -y -i yuv420p.y4m "${scale[@]}" -pix_fmt rgb24 -f rawvideo yuv420p.rgb
ffmpeg -v error -y -i yuv444p.y4m "${scale[@]}" -pix_fmt rgb24 -f rawvideo yuv444p.rgb
ls -l
