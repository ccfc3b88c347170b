# Sourced by walk: the paragraph "Options".
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

mount_says() { has "$(mount_line "$M")" "$1"; }
# mounted_says "OPTION… IMAGE" PART…: the kernel's line of the mount has these.
mounted_says() {
  local words=$1
  shift
  with_mount "$words" says_all "$@"
}
says_all() {
  local part
  for part in "$@"; do mount_says "$part" || return; done
}
threads_are() { with_mount "$2" same_live threads "$1"; }
same_live() { same "$2" "$(json "$M/info.json" "$1")"; }

# As who may not write what is not to be written, be it root.
falls_back() {
  local status=0 mortal=()
  am_root && mortal=(setpriv --bounding-set=-dac_override)
  chmod 0444 disk.qcow2
  new_point
  limited "${mortal[@]}" platterfs disk.qcow2 "$M" 2>"$M.err" || status=1
  has "$(<"$M.err")" "Permission denied: mounted read-only" && same 1 "$(wc -l <"$M.err")" && mount_says " ro," || status=1
  off
  chmod 0600 disk.qcow2
  return $status
}
in_foreground() {
  local pid
  new_point
  platterfs "$1" disk.qcow2 "$M" >"$M.err" 2>&1 &
  pid=$!
  eventually is_mounted "$M" && same "$pid" "$(daemon_of "$M")" && limited platter umount "$M" && wait $pid
}
debugs() { in_foreground -d && has "$(<"$M.err")" "opcode: INIT"; }
named_format() { with_mount "-o format=raw disk.qcow2" cmp_disk disk.qcow2; }
cmp_disk() { cmp "$1" "$M/disk.raw"; }
overlay_thrown_away() {
  local before
  before=$(sum_of disk.qcow2)
  with_mount "-o overlay disk.qcow2" put_and_get changed && with_mount "-o ro disk.qcow2" cmp_disk disk.raw &&
    same "$before" "$(sum_of disk.qcow2)" && same "" "$(names_in "$TMPDIR")"
}
put_and_get() { put "$1" "$M/disk.raw" 512 && same "$1" "$(got "$M/disk.raw" 512 ${#1})"; }
get() { same "$1" "$(got "$M/disk.raw" 512 ${#1})"; }
overlay_kept() {
  local before
  rm -f kept.qcow2
  before=$(sum_of disk.qcow2; stat -c %y disk.qcow2)
  with_mount "-o overlay=kept.qcow2 disk.qcow2" put_and_get changed &&
    with_mount "-o overlay=kept.qcow2 disk.qcow2" get changed &&
    same "$before" "$(sum_of disk.qcow2; stat -c %y disk.qcow2)"
}
earlier_state() {
  on -o snapshot=kept top.qcow2 && same "then" "$(got "$M/disk.raw" 0 4)" &&
    expect_errno "Read-only file system" put x "$M/disk.raw" 0
}

walk_options_first() {
  section="Options"
  fresh disk.qcow2
  check "-o a,b=c" mounted_says "-o ro,format=qcow2,fsname=x disk.qcow2" " ro," " x "
  check "or long" mounted_says "--ro --format=qcow2 --fsname=x disk.qcow2" " ro," " x "
  check "ro" mounted_says "-o ro disk.qcow2" " ro,"
  check "rw (default for images named on the command line)" mounted_says disk.qcow2 " rw,"
  check "rw falls back to ro with a message when the file cannot be written" falls_back
  check "-f foreground" in_foreground -f
  check "-d debug" debugs
  check "-s one thread" threads_are 1 "-s disk.qcow2"
  check "-h" expect_part "usage: platterfs" platterfs -h
  check "-V" expect_part "platterfs " platterfs -V
  check "format=NAME" named_format
  check "format=NAME: no such format" refused 2 "no such format" -o format=frob disk.qcow2
  check "overlay (writes go to a temporary qcow2, thrown away at unmount)" overlay_thrown_away
  check "overlay=FILE.qcow2 (kept; made if missing; the source stays byte-identical)" overlay_kept
  check "snapshot=NAME (mount that state as the disk, read-only)" earlier_state
  off
  check "snapshot=NAME: none of that name" refused 1 'no snapshot or layer "frob"' -o snapshot=frob top.qcow2
}

# child NAME PARENT: a raw parent of that name, wherever it is.
child() { qemu-img create -q -u -f qcow2 -F raw -b "$2" "$1" 1M >/dev/null; }
parent_shown() { expect_status 0 cmp base.raw "$M/snapshots/base.raw/disk.raw"; }
beside_snapshots() {
  mkdir -p machine/Snapshots && cp base.raw machine/ && child machine/Snapshots/child.qcow2 ../base.raw &&
    with_mount machine/Snapshots/child.qcow2 parent_shown
}
refusal_names() { refused 1 "$1" "${@:3}" && has "$(<"$W/err")" "$2"; }

walk_references() {
  section="Options"
  mkdir -p sub/below
  head -c 1M /dev/urandom >base.raw
  cp base.raw sub/ && cp base.raw sub/below/ && ln -s ../base.raw sub/link.raw
  child sub/out.qcow2 ../base.raw
  child sub/link.qcow2 link.raw
  child sub/below.qcow2 below/base.raw
  child sub/beside.qcow2 base.raw
  mkfifo sub/fifo
  child sub/fifo.qcow2 fifo
  check "references=none: a parent is refused" refused 1 'names "base.raw"' -o references=none sub/beside.qcow2
  check "references=beside: files at the image's own directory" with_mount "-o references=beside sub/beside.qcow2" parent_shown
  check "references=beside: files below the image's own directory" with_mount sub/below.qcow2 parent_shown
  check "references: default beside" refused 1 'names "../base.raw"' sub/out.qcow2
  check "references=beside: no symlinks out" refused 1 'names "link.raw"' sub/link.qcow2
  check "references=beside: regular files" refused 1 "not a regular file" sub/fifo.qcow2
  check "references=beside: for a child in a directory named Snapshots also the one above" beside_snapshots
  check "references=any" with_mount "-o references=any sub/out.qcow2" parent_shown
  check "a refusal names the reference and the option that would allow it" \
    refusal_names '"../base.raw"' "references=any" sub/out.qcow2
}

busy_names_holder() {
  on disk.qcow2
  local first=$M status=0
  refused 1 "process $(daemon_of "$M")" disk.qcow2 || status=1
  M=$first
  return $status
}
qemu_kept_out() { expect_errno "lock" qemu-io -c "write 0 512" disk.qcow2; }
locked() { grep -q ":$(stat -c %i "$1") " /proc/locks; }
qemu_respected() {
  local pid status=0
  qemu-io -c "sleep 3000" disk.qcow2 >/dev/null 2>&1 &
  pid=$!
  eventually locked disk.qcow2
  refused 1 "disk.qcow2: is held" disk.qcow2 || status=1
  kill $pid
  wait $pid 2>/dev/null
  return $status
}
shared_beside_writer() {
  local first=$M status=0
  on -o lock=shared disk.qcow2 && mount_says " ro," && cmp_disk disk.raw || status=1
  off
  M=$first
  return $status
}
unlocked_beside_writer() {
  local first=$M status=0
  on -o lock=off,ro disk.qcow2 && cmp_disk disk.raw || status=1
  off
  M=$first
  return $status
}
shared_takes_no_lock() { with_mount "-o lock=shared disk.qcow2" expect_status 0 qemu-io -c "write -P 1 31M 512" disk.qcow2; }

walk_lock() {
  section="Options"
  fresh disk.qcow2
  check "lock=on, the default: a busy image is an error that names the holder's pid" busy_names_holder
  check "lock=on: QEMU's byte locks keep QEMU out" qemu_kept_out
  check "lock=shared: read-only, beside a writer" shared_beside_writer
  check "lock=off" unlocked_beside_writer
  off
  check "lock=on: QEMU's byte locks are respected" qemu_respected
  check "lock=shared: takes no lock against writers" shared_takes_no_lock
  check "lock: another word" refused 2 "lock=maybe" -o lock=maybe disk.qcow2
}

# punch_with OPTIONS: how many blocks of the image a punched range gives back; it reads as zeroes.
punch_with() {
  rm -f punched.qcow2
  fresh punched.qcow2
  on -o "$1" punched.qcow2 || return
  limited dd if=random of="$M/disk.raw" bs=1M seek=16 conv=notrunc,fsync status=none
  sync punched.qcow2
  local before
  before=$(blocks_of punched.qcow2)
  limited fallocate -p -o 16M -l 4M "$M/disk.raw" && limited sync "$M/disk.raw"
  same "" "$(got "$M/disk.raw" 16777216 4194304)" && holds "$before - $(blocks_of punched.qcow2) $2"
}
# kind_at IMAGE OFFSET
kind_at() { platter map --json "$1" | sed -n "s/.*\"start\": $2, .*\"kind\": \"\([a-z]*\)\".*/\1/p"; }
zero_into_nothing() {
  rm -f zeroes.qcow2
  empty zeroes.qcow2 16M && on -o "$1" zeroes.qcow2 && limited dd if=/dev/zero of="$M/disk.raw" bs=64K count=16 conv=notrunc,fsync status=none
  same "$2" "$(kind_at zeroes.qcow2 0)"
}
zero_over_parent() {
  rm -f zeroes.qcow2
  platter create -q -f qcow2 --parent low.qcow2 zeroes.qcow2 && on zeroes.qcow2 &&
    limited dd if=/dev/zero of="$M/disk.raw" bs=64K seek=16 count=1 conv=notrunc,fsync status=none
  same zero "$(kind_at zeroes.qcow2 1048576)" && same "" "$(got "$M/disk.raw" 1048576 65536)"
}
never_frees() {
  put data "$M/disk.raw" 4194304
  limited dd if=/dev/zero of="$M/disk.raw" bs=64K seek=64 count=1 conv=notrunc,fsync status=none
  same data "$(kind_at zeroes.qcow2 4194304)"
}

walk_space_options() {
  section="Options"
  check "discard=on (default)" punch_with rw ">= 8000"
  off
  check "discard=off still makes the range read as zeroes, and keeps the space" punch_with discard=off "== 0"
  off
  check "zeroes=detect (default): an all-zero write into unallocated space allocates nothing" zero_into_nothing rw absent
  check "zeroes=detect: never frees an allocated block" never_frees
  off
  check "zeroes=detect: over parent data becomes an explicit zero" zero_over_parent
  off
  check "zeroes=keep" zero_into_nothing zeroes=keep data
  off
}
walk_options() { walk_options_first; walk_references; walk_lock; walk_space_options; walk_more_options; }
