#!/usr/bin/env bash
# The README's first steps: dev from nothing, then the life of a key by curl alone. Argument: the program (the release build).
set -euo pipefail
cd "$(dirname "$0")/.."

keywright=${1:-target/release/keywright}
data=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$data"' EXIT
"$keywright" dev --json --data "$data/dev" --listen 127.0.0.1:0 >"$data/ready.json" 2>"$data/log" &
server=$!
for _ in $(seq 100); do [ -s "$data/ready.json" ] && break; sleep 0.1; done
[ -s "$data/ready.json" ] || { echo "dev did not become ready:"; cat "$data/log"; exit 1; }

field() { python3 -c 'import json,sys
value = json.load(open(sys.argv[1]))
for name in sys.argv[2].split("."): value = value[int(name)] if name.isdigit() else value[name]
print(value)' "$@"; }
url=$(field "$data/ready.json" url)
management=$(field "$data/ready.json" management_key)

call() { # method path [body] -> status, body in $data/answer
    # The key goes through a file: a command line can be read by every process.
    printf 'header = "Authorization: Bearer %s"\n' "$management" >"$data/curl"
    curl -sS -K "$data/curl" -X "$1" "$url$2" -H 'Content-Type: application/json' ${3:+--data "$3"} \
        -o "$data/answer" -w '%{http_code}'
}
expect() { # what wanted got
    if [ "$2" != "$3" ]; then echo "FAILED: $1: expected $2, got $3"; exit 1; fi
    echo "ok: $1"
}
verify() { call POST /v1/keys/verify "{\"key\": \"$1\"}" >/dev/null; field "$data/answer" code; }

expect "create" 201 "$(call POST /v1/workspaces/acme/keys '{"name": "production-web-app", "environment": "production"}')"
key=$(field "$data/answer" key.id); first=$(field "$data/answer" secret)
expect "verify" valid "$(verify "$first")"
expect "rotate with overlap" 200 "$(call POST "/v1/workspaces/acme/keys/$key/rotate" '{"overlap_seconds": 3600}')"
second=$(field "$data/answer" secret)
expect "the key keeps its id" "$key" "$(field "$data/answer" key.id)"
expect "the old secret still works" valid "$(verify "$first")"
expect "the new secret works" valid "$(verify "$second")"
expect "complete" 200 "$(call POST "/v1/workspaces/acme/keys/$key/rotate/complete")"
expect "the old secret stopped" revoked_key "$(verify "$first")"
expect "disable" 200 "$(call POST "/v1/workspaces/acme/keys/$key/disable")"
expect "disabled" disabled_key "$(verify "$second")"
expect "enable" 200 "$(call POST "/v1/workspaces/acme/keys/$key/enable")"
expect "enabled" valid "$(verify "$second")"
expect "revoke" 200 "$(call POST "/v1/workspaces/acme/keys/$key/revoke" '{"reason": "test"}')"
expect "the receipt" 1 "$(field "$data/answer" effective.nodes)"
expect "revoked" revoked_key "$(verify "$second")"
expect "delete" 204 "$(call DELETE "/v1/workspaces/acme/keys/$key")"
expect "gone" invalid_key "$(verify "$second")"
expect "list" 200 "$(call GET /v1/workspaces/acme/keys)"
kill -TERM "$server"
status=0
wait "$server" || status=$?
expect "stop in order" 0 "$status"
if grep -qE 'sk_(live|test)_[0-9A-Za-z]{40}' "$data/log"; then echo "FAILED: a secret is in the log"; exit 1; fi
"$keywright" audit verify --data "$data/dev" >/dev/null
echo "ok: audit verify"
