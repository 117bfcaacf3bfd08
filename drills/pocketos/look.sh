# Run by the agent inside its fork: looks for production. A line for each place: its name, a tab, and
# "not there" or what was found. Each way of looking is tried first on what the fork does have, so that
# blindness does not pass for absence.
# $1: the machine's state directory, $2: production's port, then the machine's addresses.
state=$1 port=$2
shift 2

say() { printf '%s\t%s\n' "$1" "${2:-not there}"; }
reach() { timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; }
databases() { find / \( -path /proc -o -path /sys \) -prune -o -name PG_VERSION -print 2>/dev/null | grep -c "$@"; }

# Files: the pool's directory by its name and through other processes, another database, a disk to mount.
found=
[ "$(databases '^/app/data/')" -gt 0 ] || found='(cannot look: not even its own database)'
for place in "$state" /proc/1/root"$state" /proc/1/cwd"$state" /app/.."$state"; do
  [ -e "$place" ] && found="$found $place"
done
[ "$(databases -v '^/app/')" -eq 0 ] || found="$found another database"
[ -z "$(find /dev -type b 2>/dev/null)" ] || found="$found disks"
place=$(mktemp -d)
mount -t btrfs -o subvolid=5 /dev/loop0 "$place" 2>/dev/null && found="$found the pool, mounted"
rmdir "$place"
say 'production, in files' "$found"

# Network: production's port at every address that the machine has, and at this fork's own next hop.
found=
reach 127.0.0.1 5432 || found='(cannot look: not even its own port)'
for address in 127.0.0.1 "$@" $(ip route 2>/dev/null | awk '$1 == "default" {print $3}'); do
  reach "$address" "$port" && found="$found $address:$port"
done
say 'production, in the network' "$found"

# The way of PocketOS: a call to the hosting provider. The address is one for documentation; refused at once, or it is a leak.
started=$(date +%s%N)
timeout 3 bash -c 'exec 3<>/dev/tcp/192.0.2.1/443' 2>/dev/null
code=$?
ms=$((($(date +%s%N) - started) / 1000000))
found=
[ $code -eq 1 ] && [ $ms -lt 1000 ] || found="not refused at once (code $code after $ms ms)"
say 'the provider, on the internet' "$found"

# Sockets: whatever is not this fork's own, and its own asked for production.
found=$(find / \( -path /proc -o -path /sys \) -prune -o -type s -print 2>/dev/null |
  grep -vE '^(/run/bulkhead/|/(var/)?run/postgresql/|/tmp/\.s\.PGSQL)' | head -n 3)
bulkhead=/opt/bulkhead/bin/bulkhead
$bulkhead whoami >/dev/null 2>&1 || found="$found (cannot look: its own socket does not answer)"
$bulkhead exec shop -- true >/dev/null 2>&1 && found="$found exec"
$bulkhead rm shop --confirm shop >/dev/null 2>&1 && found="$found rm"
say 'production, through sockets' "$found"

# Processes: those of production or of the machine.
found='(cannot look: not even its own)'
for process in /proc/[0-9]*; do
  grep -qz '^BULKHEAD_ROLE=fork' "$process/environ" 2>/dev/null && found=
done
for process in /proc/[0-9]*; do
  line=$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)
  case $line in *bulkheadd* | *pasta\ * | *conmon\ *) found="$found $line" ;; esac
  grep -qz '^BULKHEAD_ROLE=production' "$process/environ" 2>/dev/null && found="$found $line"
done
say 'production, among processes' "$found"
