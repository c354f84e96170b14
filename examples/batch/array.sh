#!/bin/sh
# Captions of a large data set on a cluster: a Slurm job array, one shard a task.
#
# Set the paths below, then:
#   sbatch examples/batch/array.sh
# and when all tasks are done:
#   gpt4roi merge --output captions.jsonl captions/part-*.jsonl
#
# A task that runs out of time or is preempted goes on where it was: submit the same array again, tasks
# that are complete end at once. For some of the tasks only, say how many there were at first:
#   SHARDS=8 sbatch --array=3,5 examples/batch/array.sh
#SBATCH --job-name=gpt4roi-caption
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

set -eu

MODEL=${MODEL:-/data/models/gpt4roi-7b-Q4_K_M.gguf}
MMPROJ=${MMPROJ:-/data/models/mmproj-gpt4roi-7b-F16.gguf}
INPUT=${INPUT:-/data/instances.json}
IMAGES=${IMAGES:-/data/images}
OUTPUT=${OUTPUT:-captions}
SHARDS=${SHARDS:-$SLURM_ARRAY_TASK_COUNT}

mkdir -p "$OUTPUT"
# `exec`, so that the program itself gets the signal to stop.
exec gpt4roi caption --model "$MODEL" --mmproj "$MMPROJ" \
    --input "$INPUT" --images "$IMAGES" --seed 1 \
    --threads "${SLURM_CPUS_PER_TASK:-0}" \
    --shard "$SLURM_ARRAY_TASK_ID/$SHARDS" \
    --output "$OUTPUT/part-$SLURM_ARRAY_TASK_ID.jsonl"
