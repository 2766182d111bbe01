#!/bin/sh
# TLS with a certificate that no public authority has signed: the built-in target makes an authority and a certificate at
# its start and writes down what clients must trust. The engine checks the certificate against it; nothing is insecure.
set -eu
engine=${ENGINE:-$(dirname "$0")/../target/release/engine}
out=${OUT:-$(mktemp -d)}

"$engine" target --listen 127.0.0.1:0 --tls --certificate-out "$out/authority.pem" --truth "$out/truth.json" \
    2>"$out/target.txt" &
target=$!
trap 'kill "$target" 2>/dev/null || true' EXIT
tries=0
until url=$(sed -n 's/^target: \([^ ]*\) .*/\1/p' "$out/target.txt") && [ -n "$url" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] || { cat "$out/target.txt" >&2; exit 3; }
    sleep 0.1
done

# A new connection for every ten requests, so that there are handshakes to measure.
"$engine" "$url" --cacert "$out/authority.pem" --tls-min 1.3 --tps 200 --duration 2s --close-after 10 \
    --json "$out/summary.json"
kill "$target"
wait "$target"
