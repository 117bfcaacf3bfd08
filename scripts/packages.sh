# Debian's packages: which are missing, what their installation would do, and the installation.

# PROGRAM:PACKAGE. A program that is there counts, whoever brought it: Docker's own runc is used as it is.
readonly NEEDED=(
  mkfs.btrfs:btrfs-progs runc:runc conmon:conmon nft:nftables ip:iproute2 catatonit:catatonit pasta:passt
  setfacl:acl losetup:mount nsenter:util-linux setpriv:util-linux ps:procps postgres:postgresql python3:python3
  script:bsdutils
)
# Their installation restarts services of other packages (read in their postinst scripts).
readonly TOUCHY='libc6 libpam0g libpam-modules libssl3 libssl3t64 systemd systemd-sysv udev dbus dbus-daemon init openssh-server'
readonly APT_LISTS=/var/lib/apt/lists

# The packages whose programs are missing, on one line.
missing_packages() {
  local pair missing=' '
  for pair in "${NEEDED[@]}"; do
    has_program "${pair%%:*}" || [[ $missing == *" ${pair#*:} "* ]] || missing+="${pair#*:} "
  done
  printf '%s\n' "${missing# }"
}

has_program() {
  local place
  for place in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin /usr/lib/postgresql/*/bin; do
    [[ -x $place/$1 ]] && return 0
  done
  return 1
}

# Packages with a service of which a program runs now, on one line. dpkg knows /bin/x as well as /usr/bin/x.
busy_packages() {
  local exe programs package
  programs=$(for exe in /proc/[0-9]*/exe; do readlink "$exe" || true; done 2>/dev/null | sed 's/ (deleted)$//' | sort -u)
  [[ -n $programs ]] || return 0
  { printf '%s\n' "$programs"; printf '%s\n' "$programs" | sed -n 's|^/usr/|/|p'; } |
    { xargs -d '\n' dpkg -S 2>/dev/null || true; } | sed 's/: .*//; s/:[a-z0-9-]*//g; s/, /\n/g' | sort -u |
    while read -r package; do
      if dpkg -L "$package" | grep -qE '/systemd/system/[^/]*\.service$|/init\.d/.'; then printf '%s ' "$package"; fi
    done
}

# Fresh lists only where they are needed: none there, older than a week, or a package they do not know.
refresh_lists() {
  local recent
  recent=$(find "$APT_LISTS" -maxdepth 1 -name '*Packages*' -mtime -7 -print -quit 2>/dev/null || true)
  if [[ -n $recent ]] && apt-cache show --no-all-versions "$@" >/dev/null 2>&1; then return 0; fi
  step apt-lists apt-get -q update ||
    die 'Cannot fetch the lists of Debian packages.' 'Is the network there? What apt said is above, and in .cache/apt-lists.log'
}

simulate() { LC_ALL=C apt-get -s -q -o Debug::NoLocking=1 install --no-install-recommends "$@" 2>&1 || true; }

# Prints what the installation of the packages would do; stops where it would touch what runs.
plan_packages() {
  local plan stops
  plan=$(simulate "$@" | awk -f scripts/package-plan.awk -v busy="$(busy_packages)" -v touchy="$TOUCHY")
  if stops=$(grep '^stop ' <<<"$plan"); then refuse_plan "$stops" "$@"; fi
  printf '%s\n' "$plan"
}

# Says the plan to a person: "say_plan PLAN PACKAGE…".
say_plan() {
  local plan=$1
  shift
  say_item packages "$* (from Debian; with what they need $(grep -c '^new ' <<<"$plan" || true) come in)"
  [[ $'\n'$plan != *$'\nupgrade '* ]] ||
    say_item upgrades "$(sed -n 's/^upgrade \([^ ]*\) .*/\1/p' <<<"$plan" | tr '\n' ' ')(nothing of them runs)"
  say_item services 'none of them starts one; nothing is removed or restarted'
}

refuse_plan() {
  local stops=$1
  shift
  say 'Nothing was changed. Installing what Bulkhead needs would touch what runs on this machine:'
  sed -n 's/^stop removed \(.*\)/    \1 would be removed/p; s/^stop restarted \(.*\)/    \1 would be replaced while it runs, and its services restarted/p; s/^stop refused /    apt: /p' <<<"$stops" >&2
  die "These packages are wanted: $*" \
    'See it yourself:  apt-get -s install --no-install-recommends '"$*" \
    'What would be restarted: upgrade it when that suits you (apt-get upgrade), then run this again.' \
    'What would be removed: install the wanted program from where the other one came, or use another machine.'
}

# Installs, and nothing else: no service is started, no file of an administrator is replaced.
install_packages() {
  trap 'give_back_all' EXIT
  # A signal waits until apt has ended: half an installation with its policy gone could start services.
  trap ':' HUP INT TERM
  lend /usr/sbin/policy-rc.d 755 '#!/bin/sh' "$LENT_MARK" 'exit 101'
  # Not kept afterwards: the package's own file takes its place (ucf puts it beside ours), so that a
  # PostgreSQL which the administrator installs later makes its cluster as usual.
  [[ " $* " != *' postgresql '* ]] ||
    lend /etc/postgresql-common/createcluster.conf 644 "$LENT_MARK" 'create_main_cluster = false'
  local done_well=yes
  step packages apt_install "$@" || done_well=no
  give_back_all
  local conf=/etc/postgresql-common/createcluster.conf
  if [[ -f $conf.ucf-dist && ! -e $conf ]]; then mv -T "$conf.ucf-dist" "$conf"; fi
  trap - EXIT HUP INT TERM
  [[ $done_well == yes ]] || explain_apt
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 NEEDRESTART_SUSPEND=1 NEEDRESTART_MODE=l \
    APT_LISTCHANGES_FRONTEND=none LC_ALL=C.UTF-8 \
    apt-get -y -q --no-install-recommends --no-remove -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install "$@" </dev/null
}

explain_apt() {
  if grep -qE 'Failed to fetch|Temporary failure|Could not (resolve|connect)|Unable to fetch' .cache/packages.log; then
    die 'Cannot fetch packages from Debian: the network or the mirror does not answer.' 'Nothing runs differently. Try again later.'
  fi
  die 'apt could not install the packages; what it said is above, and in .cache/packages.log'
}
