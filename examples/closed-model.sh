#!/bin/sh
# The closed model: 8 users enter at 40 per second; each sends, waits for the response, rests for 5 ms and sends again,
# until 1,000 requests are done. The rate is what the target makes of it; for what users would feel, use --tps.
set -eu
engine=${ENGINE:-$(dirname "$0")/../target/release/engine}
out=${OUT:-$(mktemp -d)}

"$engine" --users 8 --spawn-rate 40 --think 5ms -n 1000 --json "$out/summary.json"
