#!/usr/bin/env bash
# Inside of the systemd that boot.sh makes: what hangup does as its service.
export DATABASE_URL=file:///var/lib/hangup/hangup.db

ask() { (exec 3<> /dev/tcp/127.0.0.1/8080 && printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&3 && cat <&3); }
has() { systemctl show hangup -p "$1" | grep -qx "$1=$2"; }
until_so() { # SECONDS COMMAND...
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
  if "$@" > /run/said 2>&1; then echo "ok     $what"; else
    echo "FAILED $what"
    cat /run/said
    systemctl status hangup --no-pager -l
  fi
}

is_ready() { has ActiveState active && ask /readyz | grep -q '"status":"ready"'; }
is_its_users() { [ "$(stat -c %a /var/lib/hangup/hangup.db)" = 600 ] && [ "$(stat -c %u /var/lib/hangup/hangup.db)" != 0 ]; }
is_stroked() { [ "$(systemctl show hangup -p WatchdogTimestampMonotonic)" != "$stroke" ]; }
is_restarted() {
  systemctl kill -s KILL hangup
  until_so 20 has NRestarts 1 && until_so 20 is_ready
}
stops_with_0() { systemctl stop hangup && has Result success && has ExecMainStatus 0; }
restores() { hangup backup /run/copy.db && hangup restore /run/copy.db && systemctl start hangup && is_ready; }
is_left_alone() {
  sed -i 's/^PORT=.*/PORT=nonsense/' /etc/hangup/hangup.env
  ! systemctl restart hangup && sleep 3 && has ActiveState failed && has NRestarts 0 && has ExecMainStatus 2
}

check 'it tells systemd that it is ready, and is' is_ready
check 'its database is its own, and nobody else reads it' is_its_users
check 'root makes a key beside it' hangup keys create --org acme --name ops
stroke=$(systemctl show hangup -p WatchdogTimestampMonotonic)
check 'the watchdog hears from it' until_so 40 is_stroked
check 'killed, it is started again' is_restarted
check 'stopped, it ends with 0' stops_with_0
check 'it serves what root has restored' restores
check 'with wrong settings it is not started again and again' is_left_alone
echo done
