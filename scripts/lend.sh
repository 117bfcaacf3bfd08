# Files of the system that are replaced for the time of an installation, and then put back.
# What was there waits beside it, so that the next run repairs what a killed one left.

readonly LENT_MARK='# by bulkhead, for the time of an installation; goes by itself, or with: ./run setup'
readonly LENT_SUFFIX='.before-bulkhead'
readonly LENDABLE=(/usr/sbin/policy-rc.d /etc/postgresql-common/createcluster.conf)

# lend FILE MODE LINE… puts the lines where FILE was.
lend() {
  local file=$1 mode=$2
  shift 2
  give_back "$file"
  mkdir -p "${file%/*}"
  printf '%s\n' "$@" >"$file.new"
  chmod "$mode" "$file.new"
  if [[ -e $file || -L $file ]]; then mv -T "$file" "$file$LENT_SUFFIX"; fi
  mv -T "$file.new" "$file"
}

# Puts back what was there before. Safe to repeat, and a file that is not ours is never touched.
give_back() {
  local file=$1
  rm -f "$file.new"
  if [[ -f $file && ! -L $file ]] && grep -qsxF "$LENT_MARK" "$file"; then rm -f "$file"; fi
  if [[ -e $file$LENT_SUFFIX || -L $file$LENT_SUFFIX ]] && ! [[ -e $file || -L $file ]]; then
    mv -T "$file$LENT_SUFFIX" "$file"
  fi
}

give_back_all() {
  local file
  for file in "${LENDABLE[@]}"; do give_back "$file"; done
}
