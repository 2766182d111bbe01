#!/bin/sh
# The main job on the built-in target: 5,000 requests per second for 3 seconds, two thresholds, the summary as a file.
# It exits as the engine does: 0 if all held, 10 if a threshold failed, 12 if this machine was too busy to send on time.
set -eu
engine=${ENGINE:-$(dirname "$0")/../target/release/engine}
out=${OUT:-$(mktemp -d)}

"$engine" --tps 5000 --duration 3s --cores all \
    --threshold 'error_rate<1%' --threshold 'sent_tps>=4990' \
    --json "$out/summary.json"
