# Sourced by walk: "The mount", what disk.raw says of itself and takes.
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

chain_blocks() {
  local sum
  sync top.qcow2 base.qcow2
  sum=$(($(blocks_of top.qcow2) + $(blocks_of base.qcow2)))
  on -o ro top.qcow2 && holds "$sum < 65536" && same $sum "$(blocks_of "$M/disk.raw")"
}
blocks_capped() {
  # The image's tables come on top of a disk that is all data.
  head -c 1M /dev/urandom >full.raw && platter convert -q -f raw -O qcow2 full.raw full.qcow2 && sync full.qcow2 &&
    holds "$(blocks_of full.qcow2) > 2048" && with_mount "-oro full.qcow2" blocks_are 2048
}
blocks_are() { same "$1" "$(blocks_of "$M/disk.raw")"; }
blocks_shown() { holds "$(blocks_of "$M/disk.raw") >= 1"; }
mtime_moves() {
  local before
  before=$(mtime_of "$M/disk.raw")
  put x "$M/disk.raw" 3000000 && differ "$before" "$(mtime_of "$M/disk.raw")"
}
mtime_is() { same "$(mtime_of "$1")" "$(mtime_of "$M/disk.raw")"; }
holes_follow() {
  # One cluster of the parent, one of the child, nothing between.
  platter create -q -f qcow2 --parent low.qcow2 high.qcow2 && qemu-io -c "write -P 2 4M 64k" high.qcow2 >/dev/null &&
    on high.qcow2 && same "DATA 1048576" "$(seek_from "$M/disk.raw" d 0)" &&
    same "HOLE 1114112" "$(seek_from "$M/disk.raw" h 1048576)" &&
    same "DATA 4194304" "$(seek_from "$M/disk.raw" d 1114112)"
}
statfs_of() { limited stat -f -c "$2" "$1"; }
free_space() {
  local host shown
  same "$(statfs_of "$W" '%b %S')" "$(statfs_of "$M" '%b %S')" || return
  host=$(statfs_of "$W" %a) shown=$(statfs_of "$M" %a)
  # Others use the host meanwhile.
  holds "shown <= host + host / 20 && shown >= host - host / 20"
}
# reaches HOW OFFSET: fallocate gives the space of the image back, or at least reads as zeroes.
zeroed_in_image() {
  put "here it is" "$M/disk.raw" "$2" && limited fallocate "$1" -n -o "$2" -l 1M "$M/disk.raw" &&
    same "" "$(got "$M/disk.raw" "$2" 1048576)"
}
punched() {
  local before after
  limited dd if=random of="$M/disk.raw" bs=1M seek=8 conv=notrunc,fsync status=none
  sync disk.qcow2
  before=$(blocks_of disk.qcow2)
  limited fallocate -p -n -o 8M -l 4M "$M/disk.raw" && limited sync "$M/disk.raw" || return
  after=$(blocks_of disk.qcow2)
  holds "after <= before - 8000" && same "" "$(got "$M/disk.raw" 8388608 65536)"
}
zeroed() {
  limited dd if=random of="$M/disk.raw" bs=1M seek=8 conv=notrunc,fsync status=none
  limited fallocate -z -n -o 8M -l 4M "$M/disk.raw" && same "" "$(got "$M/disk.raw" 8388608 4194304)" || return
  limited sync "$M/disk.raw"
  lacks "$(platter map --json disk.qcow2 | grep '"start": 8388608')" '"data"'
}
# killed_after FSYNC-OPTION: what was written is in the image, though its program had no time to end.
killed_after() {
  on disk.qcow2 || return
  limited dd if=word of="$M/disk.raw" seek=6000000 oflag=seek_bytes conv="notrunc$1" status=none
  kill -KILL "$(daemon_of "$M")"
  force_off "$M"
  with_mount "-oro disk.qcow2" word_is
}
word_is() { same "$(<word)" "$(got "$M/disk.raw" 6000000 100)"; }
fsync_durable() { date +%N >word && killed_after ,fsync; }
close_durable() { date +%N >word && killed_after ""; }
direct_works() {
  local flags="status=none bs=4096 count=1"
  # shellcheck disable=SC2086 # words of dd
  yes direct | head -c 4096 | limited dd of="$M/disk.raw" oflag=direct seek=1200 iflag=fullblock conv=notrunc $flags &&
    same "$(yes direct | head -c 4096 | sha256sum)" \
      "$(limited dd if="$M/disk.raw" iflag=direct skip=1200 $flags | sha256sum)"
}
inodes() { limited find "$M" -printf '%i %P\n' | sort; }
inodes_stable() {
  with_mount top.qcow2 inodes >"$W/a" && with_mount top.qcow2 inodes >"$W/b" && cmp "$W/a" "$W/b" &&
    holds "$(wc -l <"$W/a") > 10" && same "" "$(cut -d ' ' -f 1 "$W/a" | sort | uniq -d)"
}
two_handles() {
  local seen
  exec 5<"$M/disk.raw" || return
  seen=$(limited dd bs=6 count=1 status=none <&5 | tr -d '\0')
  exec 5<&-
  exec 5<"$M/disk.raw"
  put second "$M/disk.raw" 0
  seen+=$(limited dd bs=6 count=1 status=none <&5)
  exec 5<&-
  has "$seen" second
}
mapped_counts() {
  local before
  before=$(blocks_of "$M/disk.raw")
  same "DATA EOF" "$(seek_from "$M/disk.raw" d 12582912)"
  limited xfs_io -c "mmap -rw 12m 1m" -c "mwrite -S 66 12m 1m" -c "msync -s" -c fsync "$M/disk.raw" &&
    same "DATA 12582912" "$(seek_from "$M/disk.raw" d 12000000)" && limited mkdir "$M/snapshots/mapped" &&
    same BBBB "$(got "$M/snapshots/mapped/disk.raw" 12582912 4)" || return
  sync high.qcow2
  eventually holds_more "$before"
}
holds_more() { holds "$(blocks_of "$M/disk.raw") >= $1 + 1024"; }

walk_truth() {
  section="The mount"
  check "st_blocks the sum of the host files' blocks of the chain" chain_blocks
  off
  check "st_blocks at most size/512" blocks_capped
  truncate -s 1M hollow.raw
  check "st_blocks at least 1" with_mount "hollow.raw" blocks_shown
  fresh disk.qcow2
  touch -d "2001-02-03 04:05:06.789" disk.qcow2
  on disk.qcow2
  check "st_size is the virtual size" same "$disk_size" "$(size_of "$M/disk.raw")"
  check "mtime the image's" mtime_is disk.qcow2
  check "mtime moves when written" mtime_moves
  check "statfs gives the host filesystem's free space" free_space
  check "fallocate(PUNCH_HOLE) with KEEP_SIZE reaches the image" punched
  check "fallocate(ZERO_RANGE) with KEEP_SIZE reaches the image" zeroed
  check "O_DIRECT works" direct_works
  check "two handles see each other's writes" two_handles
  off
  check "fsync returns when the data would survive (kill -9)" fsync_durable
  check "so does the last close of a writable file (kill -9)" close_durable
  check "inode numbers are stable" inodes_stable
  check "SEEK_DATA/SEEK_HOLE follow the chain" holes_follow
  check "SEEK_DATA: ENXIO at the end" same "DATA EOF" "$(seek_from "$M/disk.raw" d 16777216)"
  check "Bytes stored through a shared mapping count for SEEK_DATA, st_blocks and snapshots after fsync" mapped_counts
  off
}

truncated_ignored() {
  local words=$1
  shift
  put "the end" "$M/disk.raw" $((disk_size - 7)) && "$@" && same "$disk_size" "$(size_of "$M/disk.raw")" && same "$words" "$(got "$M/disk.raw" 0 ${#words})" &&
    same "the end" "$(limited tail -c 7 "$M/disk.raw")"
}
dd_to_disk() { printf 'by dd' | limited dd of="$M/disk.raw" status=none; }
cp_to_disk() { printf 'by cp' >x && limited cp x "$M/disk.raw"; }
cut_at_end() {
  limited xfs_io -c "pwrite -S 67 $((disk_size - 100)) 4096" "$M/disk.raw" >"$W/wrote"
  has "$(<"$W/wrote")" "wrote 100/4096" && same "$disk_size" "$(size_of "$M/disk.raw")" &&
    same CCCC "$(limited tail -c 4 "$M/disk.raw")"
}
other_size() {
  expect_errno "Operation not permitted" truncate -s $((disk_size + 512)) "$M/disk.raw" &&
    expect_errno "Operation not permitted" truncate -s 1M "$M/disk.raw" && same "$disk_size" "$(size_of "$M/disk.raw")"
}
plain_fallocate() {
  local before
  before=$(platter map --json disk.qcow2 | sha256sum)
  limited fallocate -o 20M -l 4M "$M/disk.raw" && limited sync "$M/disk.raw" &&
    same "$before" "$(platter map --json disk.qcow2 | sha256sum)" && same "$disk_size" "$(size_of "$M/disk.raw")"
}
grown() {
  on -o resize disk.qcow2 && limited truncate -s 40M "$M/disk.raw" && same 41943040 "$(size_of "$M/disk.raw")" &&
    put "behind" "$M/disk.raw" 41000000 && same behind "$(got "$M/disk.raw" 41000000 6)" &&
    expect_errno "Operation not permitted" truncate -s 1M "$M/disk.raw"
}
grown_for_good() { same 41943040 "$(platter info --json disk.qcow2 | json /dev/stdin virtual_size)"; }
refuses_writes() {
  local sum
  sum=$(sum_of disk.qcow2)
  on -o ro disk.qcow2
  expect_errno "Read-only file system" put x "$M/disk.raw" 0 &&
    expect_errno "Read-only file system" put x "$M/partitions/1.raw" 0 &&
    expect_errno "Read-only file system" mkdir "$M/snapshots/x" &&
    expect_errno "Read-only file system" fallocate -p -l 64K "$M/disk.raw" && same "$sum" "$(sum_of disk.qcow2)"
}
attribute() { limited getfattr --only-values -n "user.platter.$2" "$1"; }
attributes_of_chain() {
  same qcow2 "$(attribute "$M/disk.raw" format)" && same "$disk_size" "$(attribute "$M/disk.raw" virtual-size)" &&
    same base.qcow2 "$(attribute "$M/disk.raw" parent)" && same false "$(attribute "$M/disk.raw" dirty)"
}
uuid_attribute() {
  platter set -q plain.vdi uuid=01234567-89ab-cdef-0123-456789abcdef &&
    with_mount plain.vdi uuid_is 01234567-89ab-cdef-0123-456789abcdef
}
uuid_is() { same "$1" "$(attribute "$M/disk.raw" uuid)"; }

walk_one_size() {
  section="The mount"
  fresh disk.qcow2
  on disk.qcow2
  check "O_TRUNC is ignored (so dd of=disk.raw works)" truncated_ignored "by dd" dd_to_disk
  check "O_TRUNC is ignored (so cp x disk.raw works)" truncated_ignored "by cp" cp_to_disk
  check "a write beyond the end gets ENOSPC" \
    expect_errno "No space left on device" xfs_io -c "pwrite $disk_size 10" "$M/disk.raw"
  check "a write across the end is cut there" cut_at_end
  check "truncate to another size gets EPERM" other_size
  check "a plain fallocate inside the disk succeeds and does nothing" plain_fallocate
  off
  check "unless -o resize (then it can grow)" grown
  off
  check "-o resize: the image has the new size" grown_for_good
  check "A read-only mount refuses writes with EROFS" refuses_writes
  off
  on top.qcow2
  check "user.platter.format, .virtual-size, .parent, .dirty" attributes_of_chain
  off
  check "user.platter.uuid" uuid_attribute
}

copied_sparse() {
  rm -f copy.raw
  limited cp --sparse=always "$M/disk.raw" copy.raw && cmp copy.raw disk.raw && holds "$(blocks_of copy.raw) < 40000"
}
archived_sparse() {
  rm -rf unpacked && mkdir unpacked
  limited tar -S -C "$M" -cf archive.tar disk.raw && holds "$(size_of archive.tar) < $disk_size / 2" &&
    tar -C unpacked -xf archive.tar && cmp unpacked/disk.raw disk.raw
}
loops_over_disk() {
  local device status=0
  device=$(loop "$M/disk.raw") || return
  limited cmp -n 12M disk.raw "$device" || status=1
  unloop "$device" || status=1
  return $status
}
mounted_by_loop() {
  mkdir -p "$W/files"
  limited mount -o loop,ro "$M/partitions/1.raw" "$W/files" || return
  expect_output "a file in a partition" cat "$W/files/greeting"
  limited umount "$W/files"
}
qemu_reads_and_writes() {
  limited qemu-io -f raw -c "write -P 81 24M 64k" "$M/disk.raw" && same QQQQ "$(got "$M/disk.raw" 25165824 4)" &&
    expect_part "Q" qemu-io -r -f raw -c "read -v 24M 16" "$M/disk.raw"
}

walk_programs() {
  section="The mount"
  fresh disk.qcow2
  on disk.qcow2
  check "cp --sparse works on these files" copied_sparse
  check "tar -S works on these files" archived_sparse
  check "fdisk -l works on these files" expect_part "disk.raw6" fdisk -l "$M/disk.raw"
  check "fsck works on these files" expect_part "non-contiguous" e2fsck -fn "$M/partitions/1.raw"
  check "debugfs works on these files" expect_part "a file in a partition" debugfs -R "cat greeting" "$M/partitions/1.raw"
  root_check "losetup works on these files" loops_over_disk
  root_check "mount -o loop works on these files" mounted_by_loop
  check "qemu with format=raw works on these files" qemu_reads_and_writes
  off
}
walk_disk() { walk_truth; walk_one_size; walk_programs; }
