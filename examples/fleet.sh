#!/bin/sh
# A fleet in one command: a coordinator, three nodes of its own and the built-in target, all on this machine. Of 3,000 requests the
# first node sends a half, the second a third, the last a sixth; the report has a section for each. On several machines: docs/fleet.md.
set -eu
coordinator=${COORDINATOR:-$(dirname "$0")/../target/release/coordinator}
out=${OUT:-$(mktemp -d)}

"$coordinator" run --local 3 --weights 3:2:1 --tps 1000 --duration 3s --json "$out/report.json"
