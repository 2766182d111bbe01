#!/bin/sh
# Four engines that do not know each other send one plan of 1,000 per second for 2 s, a quarter each, and their
# summaries are merged: 2,000 arrivals, none twice, none missing. On real machines, start each with its own --share.
set -eu
engine=${ENGINE:-$(dirname "$0")/../target/release/engine}
out=${OUT:-$(mktemp -d)}

"$engine" target --listen 127.0.0.1:0 --truth "$out/truth.json" 2>"$out/target.txt" &
target=$!
trap 'kill "$target" 2>/dev/null || true' EXIT
tries=0
until url=$(sed -n 's/^target: \([^ ]*\) .*/\1/p' "$out/target.txt") && [ -n "$url" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { cat "$out/target.txt" >&2; exit 3; }
    sleep 0.1
done

shares=
for share in 1 2 3 4; do
    "$engine" "$url" --tps 1000 --duration 2s --share "$share/4" --cores 1 --run-id example \
        --json "$out/share-$share.json" --quiet >"$out/share-$share.txt" &
    shares="$shares $!"
done
for share in $shares; do
    wait "$share"
done

"$engine" merge "$out"/share-*.json --json "$out/merged.json" --threshold 'dropped<1'
# The target writes its own account when it ends: it has counted the same requests.
kill "$target"
wait "$target"
