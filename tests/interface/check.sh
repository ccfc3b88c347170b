# Sourced by walk: checks and their count, what they are made of, mounts that cannot hang the run.
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

passed=0
failed=0
left_to_root=0
section=
mounts=0
M=
last_said=

am_root() { [ "$(id -u)" -eq 0 ]; }
# A program may wait for a mount; a function's programs are limited themselves.
limited() {
  if declare -F "$1" >/dev/null; then "$@"; else timeout -k 1 15 "$@"; fi
}

pass() {
  passed=$((passed + 1))
  printf 'ok   %s: %s\n' "$section" "$1"
}
fail() {
  failed=$((failed + 1))
  printf 'FAIL %s: %s -- %s\n' "$section" "$1" "${2//$'\n'/ | }"
}

# check NAME COMMAND…: what the command prints says why it failed. It runs in this shell, so that
# what it mounts is known later.
check() {
  local name=$1 status=0
  shift
  "$@" >"$W/said" 2>&1 </dev/null || status=$?
  if [ $status -eq 0 ]; then pass "$name"; else fail "$name" "status $status: $(head -c 600 "$W/said" | tr -d '\0')"; fi
}
root_check() {
  if am_root; then
    check "$@"
  else
    left_to_root=$((left_to_root + 1))
    printf 'root %s: %s\n' "$section" "$1"
  fi
}

# Predicates: they say what is wrong.
same() {
  [ "$1" = "$2" ] || { printf 'wanted "%s", got "%s"\n' "$1" "$2"; return 1; }
}
differ() {
  [ "$1" != "$2" ] || { printf 'both are "%s"\n' "$1"; return 1; }
}
has() {
  case $1 in *"$2"*) ;; *) printf 'no "%s" in "%s"\n' "$2" "$1"; return 1 ;; esac
}
lacks() {
  case $1 in *"$2"*) printf '"%s" is in "%s"\n' "$2" "$1"; return 1 ;; esac
}
holds() {
  # Arithmetic, as (( )) has it.
  (($1)) || { printf 'not so: %s\n' "$1"; return 1; }
}
absent() {
  [ ! -e "$1" ] || { printf '%s is there\n' "$1"; return 1; }
}
# Asks again and again, for ten seconds.
eventually() {
  local end=$((EPOCHSECONDS + 10))
  until "$@" >/dev/null 2>&1; do
    [ "$EPOCHSECONDS" -lt $end ] || { printf 'never: %s\n' "$*"; return 1; }
    sleep 0.02
  done
}

# expect_output WANT COMMAND…
expect_output() {
  local want=$1
  shift
  same "$want" "$(limited "$@" 2>&1)"
}
# expect_part PART COMMAND…: it succeeds and the part is in what it says.
expect_part() {
  local part=$1 said
  shift
  said=$(limited "$@" 2>&1) || { printf '%s: status %s: %s\n' "$*" $? "$said"; return 1; }
  has "$said" "$part"
}
# expect_status WANT COMMAND…
expect_status() {
  local want=$1 status=0
  shift
  last_said=$(limited "$@" 2>&1 | tr -d '\0'; exit "${PIPESTATUS[0]}") || status=$?
  [ $status -eq "$want" ] || { printf '%s: status %s, not %s: %s\n' "$*" $status "$want" "$last_said"; return 1; }
}
# expect_error STATUS PART COMMAND…: one line on stderr, by the program's name, with the part in it.
expect_error() {
  local want=$1 part=$2 status=0 said
  shift 2
  limited "$@" >"$W/out" 2>"$W/err" || status=$?
  said=$(<"$W/err")
  same "$want" $status || { printf '%s: %s\n' "$*" "$said"; return 1; }
  same 1 "$(wc -l <"$W/err")" || { printf '%s: %s\n' "$*" "$said"; return 1; }
  case $said in
    "${1##*/}: "*) ;;
    "platterfs: "*) [ "$2" = mount ] || { printf 'not by its name: %s\n' "$said"; return 1; } ;;
    *) printf 'not by its name: %s\n' "$said"; return 1 ;;
  esac
  has "$said" "$part"
}
# expect_errno TEXT COMMAND…: it fails, and tells that text of the system's.
expect_errno() {
  local text=$1 said
  shift
  said=$(limited "$@" 2>&1) && { printf '%s: succeeded\n' "$*"; return 1; }
  has "$said" "$text"
}

# What files hold.
put() {
  # put TEXT FILE OFFSET: written and fsynced.
  printf %s "$1" | limited dd of="$2" bs=64K seek="$3" oflag=seek_bytes conv=notrunc,fsync status=none
}
got() {
  # got FILE OFFSET LENGTH
  limited dd if="$1" bs=64K skip="$2" count="$3" iflag=skip_bytes,count_bytes,fullblock status=none | tr -d '\0'
}
size_of() { limited stat -c %s "$1"; }
blocks_of() { limited stat -c %b "$1"; }
mtime_of() { limited stat -c %y "$1"; }
sum_of() { limited sha256sum <"$1"; }
names_in() { limited ls -A "$1" | tr '\n' ' '; }
# The value of the first such key in JSON as the programs print it.
json() {
  limited cat "$1" | sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" | head -n 1
}
# Where data or a hole is from that offset on.
seek_from() { limited xfs_io -r -c "seek -$2 $3" "$1" 2>&1 | tail -n 1 | tr -s '\t' ' '; }

# Mounts.
mount_line() {
  local point=${1// /\\040} line
  while read -r line; do
    case $line in *" $point "*) printf '%s\n' "$line" ;; esac
  done </proc/self/mountinfo | tail -n 1
}
is_mounted() { [ -n "$(mount_line "$1")" ]; }
not_mounted() { ! is_mounted "$1" || { printf '%s is mounted\n' "$1"; return 1; }; }
daemon_of() {
  local pid
  for pid in $(pgrep -x platterfs); do
    if tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$1"; then echo "$pid"; fi
  done
}
# A process that has ended has no program any more, be it waited for or not.
runs() { readlink -q "/proc/$1/exe" >/dev/null; }
gone() { ! runs "$1"; }

# Whatever waits for the mount gets an error, and its program ends.
force_off() {
  local line minor
  line=$(mount_line "$1")
  [ -n "$line" ] || return 0
  minor=${line#* * *:}
  minor=${minor%% *}
  if ! { echo 1 >"/sys/fs/fuse/connections/$minor/abort"; } 2>/dev/null; then
    local pid
    for pid in $(daemon_of "$1"); do kill -KILL "$pid"; done
  fi
  timeout -k 1 5 fusermount3 -u -z "$1" 2>/dev/null || timeout -k 1 5 umount -l "$1"
}
force_all_off() {
  local point
  while read -r _ _ _ _ point _; do
    case $point in "$W"/mnt/*) force_off "${point//\\040/ }" ;; esac
  done < <(tac /proc/self/mountinfo)
}

# One process ends every mount that lasts longer than its time; it has no children to leave.
start_watchdog() {
  mkdir -p "$W/watched"
  mkfifo "$W/tick"
  (
    trap 'exit 0' TERM
    exec {tick}<>"$W/tick"
    while :; do
      read -r -t 1 -u "$tick" _ || true
      for file in "$W"/watched/*; do
        [ -s "$file" ] || continue
        { read -r end && read -r point; } <"$file" || continue
        [ "$EPOCHSECONDS" -gt "$end" ] || continue
        rm -f "$file"
        is_mounted "$point" || continue
        echo "the mount at $point lasted too long and was ended" >&2
        force_off "$point"
      done
    done
  ) &
  watchdog=$!
}

# A new mountpoint, $M, with a watch over what will be mounted there.
new_point() {
  mounts=$((mounts + 1))
  M=$W/mnt/$mounts
  mkdir -p "$M"
  printf '%s\n%s\n' $((EPOCHSECONDS + 60)) "$M" >"$W/watched/$mounts"
}
# on [OPTION…] IMAGE…: mounted at a new $M; messages go to $M.log.
on() {
  new_point
  limited platterfs --log="$M.log" "$@" "$M" 2>"$M.err" </dev/null || {
    fail "platterfs $* mounts" "$(<"$M.err")"
    return 1
  }
}
# Ends the mount at $M, and takes nothing but a good end for one.
off() {
  limited platter umount "$M" >"$W/said" 2>&1 || {
    fail "platter umount $M" "$(<"$W/said")"
    force_off "$M"
  }
  rm -f "$W/watched/${M##*/}"
}
# with_mount "OPTION… IMAGE" COMMAND…: the command sees the mount as $M.
with_mount() {
  local words status=0
  read -ra words <<<"$1"
  shift
  new_point
  limited platterfs --log="$M.log" "${words[@]}" "$M" 2>"$M.err" || { cat "$M.err"; return 1; }
  "$@" || status=$?
  limited platter umount "$M" || status=$?
  is_mounted "$M" && force_off "$M"
  rm -f "$W/watched/${M##*/}"
  return $status
}
# refused STATUS PART [OPTION…] IMAGE…: one line says why, and nothing is mounted.
refused() {
  local want=$1 part=$2 status=0
  shift 2
  new_point
  expect_error "$want" "$part" platterfs "$@" "$M" || status=1
  if is_mounted "$M"; then
    echo "it is mounted"
    force_off "$M"
    status=1
  fi
  rm -f "$W/watched/${M##*/}"
  return $status
}

# A loop device is the whole machine's: those that are made are written down, for drop_loops, and no
# interruption comes between. Called in a subshell, as $(loop …).
loop() {
  local device
  trap '' INT TERM
  device=$(limited losetup --find --show "$@") || return
  printf '%s %s\n' "$device" "$(losetup -n -O BACK-INO,BACK-MAJ:MIN "$device")" >>"$W/loops"
  printf '%s\n' "$device"
}
unloop() { limited losetup -d "$1"; }
drop_loops() {
  local device backing
  [ -s "$W/loops" ] || return 0
  while read -r device backing; do
    if [ "$(losetup -n -O BACK-INO,BACK-MAJ:MIN "$device" 2>/dev/null | xargs)" = "$(xargs <<<"$backing")" ]; then
      losetup -d "$device"
    fi
  done <"$W/loops"
  rm -f "$W/loops"
}
