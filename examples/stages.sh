#!/bin/sh
# A rate that changes: a step to 200 per second, a ramp to 1,000 in 2 s, a second there, and down to nothing in another.
# The plan has 200 + 1,200 + 1,000 + 500 = 2,900 arrivals, and the audit shows exactly as many.
set -eu
engine=${ENGINE:-$(dirname "$0")/../target/release/engine}
out=${OUT:-$(mktemp -d)}

"$engine" --stages 1s:=200,2s:1000,1s:1000,1s:0 \
    --json "$out/summary.json" --ndjson "$out/seconds.ndjson"
