# Sourced by walk: "Life cycle".
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

answers_at_once() {
  new_point
  expect_output "" platterfs disk.qcow2 "$M" && cmp disk.raw "$M/disk.raw"
}
# ended_by COMMAND…: what was written is in the image, its program is gone and another may open it.
ended_by() {
  local pid status=0
  on disk.qcow2 || return
  pid=$(daemon_of "$M")
  printf 'by %s' "$1" | limited dd of="$M/disk.raw" seek=700000 oflag=seek_bytes conv=notrunc status=none
  limited "$@" "$M" && eventually gone "$pid" && not_mounted "$M" &&
    expect_part "$(printf '%02x' "'${1:0:1}")" qemu_sees disk.qcow2 700003 || status=1
  rm -f "$W/watched/${M##*/}"
  return $status
}
umount_waits() {
  local pid
  on disk.qcow2
  pid=$(daemon_of "$M")
  limited platter umount "$M" && gone "$pid" && expect_status 0 qemu-io -c "write -P 1 31M 512" disk.qcow2
}
held_by_pid() {
  local status=0
  on disk.qcow2
  exec 5<"$M/disk.raw"
  expect_error 1 "process $$ (" platter umount "$M" && is_mounted "$M" || status=1
  exec 5<&-
  return $status
}
held_by_loop() {
  local device status=0
  device=$(loop --read-only "$M/disk.raw") || return
  expect_error 1 "$device" platter umount "$M" && is_mounted "$M" || status=1
  unloop "$device"
  return $status
}
signal_spares() {
  # signal_spares SIGNAL: the first while a file is open.
  local pid status=0
  fresh signalled.qcow2
  on signalled.qcow2 || return
  pid=$(daemon_of "$M")
  exec 6<>"$M/disk.raw"
  printf unsynced >&6
  kill -"$1" "$pid"
  eventually grep -q "in use" "$M.log" && has "$(<"$M.log")" "process $$ " && same unsynced "$(got "$M/disk.raw" 0 8)" &&
    expect_part unsynced qemu-io -r -U -f qcow2 -c "read -v 0 16" signalled.qcow2 && runs "$pid" || status=1
  kill -"$1" "$pid"
  eventually gone "$pid" && not_mounted "$M" || status=1
  exec 6<&-
  rm -f "$W/watched/${M##*/}"
  return $status
}
closed() { same 0 "$(json "$M/info.json" open_files)"; }
signal_ends() {
  local pid
  on disk.qcow2
  pid=$(daemon_of "$M")
  got "$M/disk.raw" 0 100 >/dev/null
  eventually closed
  sleep 0.05
  kill -"$1" "$pid"
  eventually gone "$pid" && not_mounted "$M"
}
never_forced() { with_mount disk.qcow2 lacks_other; }
lacks_other() { lacks "$(mount_line "$M")" allow_other; }

walk_life() {
  section="Life cycle"
  fresh disk.qcow2
  check "it returns after the mount answers, with exit status 0" answers_at_once
  off
  check "or prints one line and a non-zero status" refused 1 "none.qcow2: cannot open: No such file" none.qcow2
  check "one line and a non-zero status: a mountpoint that is missing" \
    expect_error 1 "$W/none" platterfs disk.qcow2 "$W/none"
  check "fusermount3 -u ends the daemon (it flushes, then unlocks)" ended_by fusermount3 -u
  root_check "umount ends the daemon (it flushes, then unlocks)" ended_by umount
  check "platter umount returns when the daemon is gone and the image unlocked" umount_waits
  check "platter umount names what keeps the mount busy (a pid)" held_by_pid
  root_check "platter umount names what keeps the mount busy (a loop device)" held_by_loop
  off
  check "platter umount: nothing is mounted there" expect_error 1 "nothing is mounted there" platter umount "$W/mnt"
  check "The first SIGTERM while files are open flushes, says what holds it, goes on; the second ends it" signal_spares TERM
  check "The first SIGINT while files are open flushes, says what holds it, goes on; the second ends it" signal_spares INT
  check "with nothing open the first SIGTERM ends it" signal_ends TERM
  check "with nothing open the first SIGINT ends it" signal_ends INT
  check "The daemon never forces allow_other" never_forced
}
