# Run by the agent inside its fork: looks for production. A line for each place: its name, a tab, and
# "not there" or what was found. $1: the machine's state directory, $2: production's port, then the machine's addresses.
state=$1 port=$2
shift 2

say() { printf '%s\t%s\n' "$1" "${2:-not there}"; }

# Files: the pool's directory by its name and through other processes, another database, a disk to mount.
found=
for place in "$state" /proc/1/root"$state" /proc/1/cwd"$state" /app/.."$state"; do
  [ -e "$place" ] && found="$found $place"
done
found="$found$(find / \( -path /proc -o -path /sys -o -path /app \) -prune -o -name PG_VERSION -print 2>/dev/null | head -n 3)"
found="$found$(find /dev -type b 2>/dev/null | head -n 3)"
mkdir -p /tmp/pool && mount -t btrfs -o subvolid=5 /dev/loop0 /tmp/pool 2>/dev/null && found="$found mounted"
say 'production, in files' "$found"

# Network: production's port at every address that the machine has, and at this fork's own next hop.
found=
for address in 127.0.0.1 "$@" $(ip route 2>/dev/null | awk '$1 == "default" {print $3}'); do
  timeout 2 bash -c "exec 3<>/dev/tcp/$address/$port" 2>/dev/null && found="$found $address:$port"
done
say 'production, in the network' "$found"

# The way of PocketOS: a call to the hosting provider. The address is one for documentation; refused at once, or it is a leak.
started=$(date +%s%N)
timeout 3 bash -c 'exec 3<>/dev/tcp/192.0.2.1/443' 2>/dev/null
code=$?
ms=$(( ($(date +%s%N) - started) / 1000000 ))
found=
[ $code -eq 1 ] && [ $ms -lt 1000 ] || found="not refused at once (code $code after $ms ms)"
say 'the provider, on the internet' "$found"

# Sockets: whatever is not this fork's own, and its own asked for production.
found=$(find / \( -path /proc -o -path /sys \) -prune -o -type s -print 2>/dev/null | grep -vE '^(/run/bulkhead/|/(var/)?run/postgresql/|/tmp/\.s\.PGSQL)' | head -n 3)
/opt/bulkhead/bin/bulkhead exec shop -- true >/dev/null 2>&1 && found="$found exec"
/opt/bulkhead/bin/bulkhead rm shop --confirm shop >/dev/null 2>&1 && found="$found rm"
say 'production, through sockets' "$found"

# Processes: those of production or of the machine.
found=
for process in /proc/[0-9]*; do
  line=$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null)
  case $line in *bulkheadd* | *pasta\ * | *conmon\ *) found="$found ${process#/proc/}" ;; esac
  grep -qz '^BULKHEAD_ROLE=production' "$process/environ" 2>/dev/null && found="$found ${process#/proc/}"
done
say 'production, among processes' "$found"
