#!/usr/bin/env bash
# Tests hangup as a service, inside the systemd that boot.sh starts.
export DATABASE_URL=file:///var/lib/hangup/hangup.db

request() { (exec 3<> /dev/tcp/127.0.0.1/8080 && printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3 && cat <&3); }
has() { systemctl show hangup -p "$1" | grep -qx "$1=$2"; }
wait_until() { # SECONDS COMMAND...
  local ends=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$ends" ] || return 1
    sleep 0.1
  done
}
check() { # WHAT COMMAND...
  local what=$1
  shift
  if "$@" > /run/output 2>&1; then echo "ok     $what"; else
    echo "FAILED $what"
    cat /run/output
    systemctl status hangup --no-pager -l
  fi
}

is_ready() { has ActiveState active && request /readyz | grep -q '"status":"ready"'; }
has_private_database() { [ "$(stat -c %a /var/lib/hangup/hangup.db)" = 600 ] && [ "$(stat -c %u /var/lib/hangup/hangup.db)" != 0 ]; }
is_watchdog_updated() { [ "$(systemctl show hangup -p WatchdogTimestampMonotonic)" != "$watchdog_before" ]; }
is_restarted() {
  systemctl kill -s KILL hangup
  wait_until 20 has NRestarts 1 && wait_until 20 is_ready
}
stops_with_0() { systemctl stop hangup && has Result success && has ExecMainStatus 0; }
restores() { hangup backup /run/copy.db && hangup restore /run/copy.db && systemctl start hangup && wait_until 20 is_ready; }
is_not_restarted() {
  sed -i 's/^PORT=.*/PORT=nonsense/' /etc/hangup/hangup.env
  ! systemctl restart hangup && sleep 3 && has ActiveState failed && has NRestarts 0 && has ExecMainStatus 2
}

check 'hangup notifies systemd when it is ready' is_ready
check 'only the service user can read the database' has_private_database
check 'root creates a key while the service runs' hangup keys create --org acme --name ops
watchdog_before=$(systemctl show hangup -p WatchdogTimestampMonotonic)
check 'hangup notifies the watchdog' wait_until 40 is_watchdog_updated
check 'systemd restarts a killed hangup' is_restarted
check 'a stopped hangup exits with 0' stops_with_0
check 'hangup serves a database that root restored' restores
check 'systemd does not restart hangup with invalid settings' is_not_restarted
echo done
