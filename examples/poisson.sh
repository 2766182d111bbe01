#!/bin/sh
# Random arrivals that can be repeated: a seed gives the same instants on every machine, with any number of cores, so the
# first two runs have the same number of arrivals. Another seed has another number, near 2,000.
set -eu
engine=${ENGINE:-$(dirname "$0")/../target/release/engine}
out=${OUT:-$(mktemp -d)}

for run in first:42 second:42 third:43; do
    "$engine" --tps 1000 --duration 2s --process poisson --seed "${run#*:}" --run-id "${run%:*}" \
        --json "$out/${run%:*}.json" --quiet | grep '^audit'
done
