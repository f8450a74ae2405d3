#!/bin/bash
#SBATCH --job-name=tfflows
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
# usage: sbatch slurm.sh RECIPE FOLDER
set -euo pipefail
PORT=${PORT:-2222}
workers=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/\$/:$PORT/" | paste -sd ,)
export workers
srun bash -c 'exec tfflows train "$0" --output "$1" --workers "$workers" --index "$SLURM_PROCID"' \
  "$1" "$2"
