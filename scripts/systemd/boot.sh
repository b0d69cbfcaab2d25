#!/usr/bin/env bash
# boot.sh FOLDER PROBE: starts systemd as process 1 of separate namespaces, on a copy-on-write view of this machine. systemd runs
# PROBE with its output in FOLDER/probe.out, after the service in FOLDER (hangup, hangup.service), if any. Run by unshare, as root.
set -euo pipefail
folder=$1 probe=$2

mount --make-rprivate /
mount -t tmpfs tmpfs "$folder/layers"
mkdir "$folder"/layers/{upper,work,root}
root=$folder/layers/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/layers/upper,workdir=$folder/layers/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
if [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
  mkdir "$root"/sys/fs/cgroup/{systemd,unified}
  mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
fi
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir "$root/run/lock" "$root/run/test"
mount --bind "$folder" "$root/run/test"
mount --rbind /dev "$root/dev"

if [ -e "$folder/hangup" ]; then # Installs the service as docs/install.md does.
install -m 755 "$folder/hangup" "$root/usr/local/bin/hangup"
install -m 644 "$folder/hangup.service" "$root/etc/systemd/system/hangup.service"
mkdir -p "$root/etc/hangup"
install -m 600 /dev/stdin "$root/etc/hangup/hangup.env" <<'END'
NODE_ENV=production
LIVEKIT_URL=ws://127.0.0.1:1
LIVEKIT_API_KEY=devkey
LIVEKIT_API_SECRET=secretsecretsecretsecretsecretsecret
PORT=8080
END
fi
install -m 755 "$probe" "$root/usr/local/bin/probe.sh"
cat > "$root/etc/systemd/system/probe.service" <<'END'
[Unit]
DefaultDependencies=no
Wants=hangup.service
After=hangup.service
[Service]
Type=oneshot
ExecStart=/usr/local/bin/probe.sh
StandardOutput=file:/run/test/probe.out
StandardError=inherit
END
tr -d - < /proc/sys/kernel/random/uuid > "$root/etc/machine-id"

# Not chroot: inside a chroot, systemd refuses PrivateUsers=.
cd "$root"
mkdir -p old
pivot_root . old
umount -l /old
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=hangup-test \
  /lib/systemd/systemd --system --unit=probe.service --show-status=no
