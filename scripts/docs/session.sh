# The scripts that scripts/test-docs.ts generates from the pages source this file. Each block is between `begin` and `passed`.
set -euo pipefail
server=

begin() { # BLOCK: page and line
  block=$1
  echo "$block" > /run/test/block
  echo "=== $block"
}

passed() { echo "ok     $block" >&4; }

stop_server() {
  [ -n "$server" ] || return 0
  kill -TERM -- "-$server" 2>/dev/null || true
  wait "$server" || true
  while kill -0 -- "-$server" 2>/dev/null; do sleep 0.1; done # npm exits before its children.
  server=
}
trap stop_server EXIT

serve() { # Runs the block on standard input, which ends with a server, and waits until the server is ready.
  stop_server
  systemctl stop hangup 2>/dev/null || true # The block needs its port.
  setsid bash -euo pipefail -c "$(cat)" > /run/test/server.log 2>&1 &
  server=$!
  until curl -q -sf http://127.0.0.1:8080/readyz >/dev/null; do
    [ -n "$(jobs -r)" ] || return 1
    sleep 0.1
  done
}

register_call() { # Registers a call and prints the call's id.
  curl http://127.0.0.1:8080/api/v1/calls -H "x-api-key: $HANGUP_API_KEY" -H 'content-type: application/json' -d '{}' |
    sed -E 's/.*"id":"([^"]+)".*/\1/'
}
