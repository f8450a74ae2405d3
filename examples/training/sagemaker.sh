#!/bin/bash
# usage: sagemaker.sh RECIPE; the entry point of a training job's container
set -euo pipefail
PORT=${PORT:-2222}
hosts=$(tr -d '[]" ' <<<"$SM_HOSTS" | tr , '\n' | sort)
workers=$(sed "s/\$/:$PORT/" <<<"$hosts" | paste -sd ,)
index=$(($(grep -nx "$SM_CURRENT_HOST" <<<"$hosts" | cut -d : -f 1) - 1))
exec tfflows train "$1" --output "${SM_MODEL_DIR:-/opt/ml/model}" --workers "$workers" --index "$index"
