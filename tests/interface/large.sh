# Sourced by walk: disks of 64 TiB, and a host that is full.
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

large_size=$((64 << 40))

large_made() {
  platter create -q -f "$1" "large.$1" 64T && same "$large_size" "$(field virtual_size platter info "large.$1")"
}
large_statted() {
  same "$large_size" "$(size_of "$M/disk.raw")" && holds "$(blocks_of "$M/disk.raw") < 1000000" &&
    same "$large_size" "$(attribute "$M/disk.raw" virtual-size)"
}
at_end() { put "the very end" "$M/disk.raw" $((large_size - 12)) && same "the very end" "$(limited tail -c 12 "$M/disk.raw")"; }
in_middle() { put middle "$M/disk.raw" $((large_size / 2)) && same middle "$(got "$M/disk.raw" $((large_size / 2)) 6)"; }
# The last block of the image that holds data, and the end behind it.
large_holes() {
  same "DATA $((large_size - $1))" "$(seek_from "$M/disk.raw" d $((large_size * 3 / 4)))" &&
    same "HOLE $large_size" "$(seek_from "$M/disk.raw" h $((large_size - 4096)))"
}
beyond_end() { expect_errno "No space left on device" xfs_io -c "pwrite $large_size 10" "$M/disk.raw"; }
little_memory() {
  # In KiB; the map of a VDI is 256 MiB.
  holds "$(sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$(daemon_of "$M")/status") < $1"
}
large_kept() { same "the very end" "$(limited tail -c 12 "$M/disk.raw")" && same middle "$(got "$M/disk.raw" $((large_size / 2)) 6)"; }

# walk_large_of FORMAT BLOCK-SIZE KIB
walk_large_of() {
  section="64 TiB, $1"
  check "created" large_made "$1"
  on "large.$1" || return
  check "mounted, statted" large_statted
  check "read and written at the end" at_end
  check "read and written in the middle" in_middle
  check "SEEK_DATA/SEEK_HOLE at the end" large_holes "$2"
  check "a write beyond the end gets ENOSPC" beyond_end
  check "mounted with little memory" little_memory "$3"
  off
  check "mounted again, what was written is there" with_mount "-o ro large.$1" large_kept
  check "check exits 0" expect_status 0 platter check "large.$1"
  rm -f "large.$1"
}

# fill FILE: pieces of 256 KiB, each fsynced, until one fails; how many there are in $filled.
fill() {
  filled=0
  while [ $filled -lt 96 ] &&
    printf '%-262144d' $filled | limited dd of="$1" bs=256K seek=$filled iflag=fullblock conv=notrunc,fsync status=none; do
    filled=$((filled + 1))
  done
}
fills_up() {
  fill "$M/disk.raw" 2>"$W/err"
  has "$(<"$W/err")" "No space left on device" && holds "filled > 3 && filled < 90"
}
still_readable() {
  local i
  for ((i = 0; i < filled; i++)); do same $i "$(got "$M/disk.raw" $((i * 262144)) 10 | tr -d ' ')" || return; done
  same "" "$(got "$M/disk.raw" 20000000 1000)"
}
sound_after() {
  local status=0
  platter check "$1" >/dev/null 2>&1 || status=$?
  holds "status == 0 || status == 3"
}
walk_full() {
  # walk_full DIRECTORY FORMAT: an image in a directory that holds no more than 3 MiB.
  empty "$1/full.$2" 24M && on "$1/full.$2" || return
  check "a write gets ENOSPC ($2)" fills_up
  check "the disk stays readable ($2)" still_readable
  off
  check "check exits 0 or 3 ($2)" sound_after "$1/full.$2"
  check "what was fsynced is there in the next mount ($2)" with_mount "-o ro $1/full.$2" still_readable
  rm -f "$1/full.$2"
}
walk_full_announced() {
  local name
  for name in "a write gets ENOSPC" "the disk stays readable" "check exits 0 or 3" "what was fsynced is there in the next mount"; do
    root_check "$name ($1)" false
  done
}
walk_large() {
  walk_large_of qcow2 65536 40000
  walk_large_of vdi 1048576 40000
  walk_large_of vhdx 67108864 40000
  section=ENOSPC
  for format in qcow2 vdi qcow vmdk vhd; do
    # Root made it, before handing over to a user.
    if mountpoint -q "$W/small"; then walk_full "$W/small" $format; else walk_full_announced $format; fi
  done
}
