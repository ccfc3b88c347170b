# Sourced by walk: "The mount", what is in it.
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

bytes_of() {
  # bytes_of FILE FIRST COUNT: of sectors
  dd if="$1" bs=512 skip="$2" count="$3" status=none | sha256sum
}
# same_part FILE IMAGE FIRST COUNT
same_part() { same "$(bytes_of "$2" "$3" "$4")" "$(sum_of "$1")"; }

both_mount() {
  local other
  with_mount "disk.qcow2" sum_of_disk >"$W/a" && new_point && other=$M &&
    limited platter mount disk.qcow2 "$other" && sum_of "$other/disk.raw" >"$W/b" &&
    limited platter umount "$other" && cmp "$W/a" "$W/b"
}
sum_of_disk() { sum_of "$M/disk.raw"; }

# Without what only the one of them has, and the end of lists.
info_matches() {
  platter info --json disk.qcow2 >"$W/a" || return
  limited cat "$M/info.json" | sed '/^  "chain": \[$/,/^  \],$/d; /^  "live": {$/,/^  },$/d' >"$W/b"
  diff "$W/a" "$W/b"
}
counters_live() {
  local before
  before=$(json "$M/info.json" bytes_written)
  put counted "$M/disk.raw" 30000000
  holds "$(json "$M/info.json" bytes_written) >= before + 7" || { echo "before: $before"; return 1; }
}
partition_coherent() {
  local start=$((512 * 22528))
  put "by the partition" "$M/partitions/5.raw" 4096 &&
    same "by the partition" "$(got "$M/disk.raw" $((start + 4096)) 16)" &&
    put "by the whole disk" "$M/disk.raw" $((start + 8192)) &&
    same "by the whole disk" "$(got "$M/partitions/5.raw" 8192 17)"
}

walk_layout() {
  section="The mount"
  fresh disk.qcow2
  check "platterfs [options] IMAGE... MOUNTPOINT, and platter mount with the same arguments" both_mount
  on disk.qcow2
  check "One image: the mountpoint is the container" \
    same "disk.raw info.json partitions snapshots " "$(names_in "$M")"
  check "disk.raw: the disk as the guest sees it now" cmp disk.raw "$M/disk.raw"
  check "info.json: what platter info --json says" info_matches
  check "info.json: plus live counters of this mount" counters_live
  check "disk.raw: read and write" write_and_see
  check "partitions: each partition of disk.raw, MBR with logical ones" \
    same "1.raw 5.raw 6.raw " "$(names_in "$M/partitions")"
  check "partitions: the same bytes" same_part "$M/partitions/1.raw" disk.raw 2048 16384
  check "partitions: the same bytes of a logical one" \
    same_part "$M/partitions/6.raw" disk.raw 32768 4096
  check "partitions: coherent with disk.raw" partition_coherent
  root_check "partitions: loop devices work" partition_on_a_loop
  check "partitions: a shared writable mmap does not work" \
    expect_errno "No such device" xfs_io -c "mmap -rw 0 4k" "$M/partitions/1.raw"
  off
  check "disk.raw: what was written is what another program reads in the image" \
    expect_part "written" qemu_sees disk.qcow2 1000000
  check "partitions: GPT" with_mount "gpt.raw" table_of "2.raw 5.raw " 5 gpt.raw 8192 1024
  check "partitions: APM" with_mount "apm.raw" table_of "1.raw 2.raw " 2 apm.raw 512 1024
  check "partitions: BSD label" with_mount "bsd.raw" table_of "1.raw " 1 bsd.raw 16 1024
}
write_and_see() {
  put written "$M/disk.raw" 1000000 && same written "$(got "$M/disk.raw" 1000000 7)"
}
qemu_sees() { qemu-io -r -f qcow2 -c "read -v $2 16" "$1"; }
partition_on_a_loop() {
  local device
  device=$(loop --read-only "$M/partitions/1.raw") || return
  same "$(sum_of "$M/partitions/1.raw")" "$(sum_of "$device")"
  unloop "$device"
}
table_of() {
  same "$1" "$(names_in "$M/partitions")" && same_part "$M/partitions/$2.raw" "$3" "$4" "$5"
}

snapshot_names() { names_in "$M/snapshots"; }
internal_and_parents() {
  on top.qcow2 && same "base.qcow2 kept " "$(snapshot_names)" &&
    same "disk.raw info.json partitions " "$(names_in "$M/snapshots/kept")" &&
    same "disk.raw info.json partitions " "$(names_in "$M/snapshots/base.qcow2")" &&
    cmp disk.raw "$M/snapshots/base.qcow2/disk.raw" && same "then" "$(got "$M/snapshots/kept/disk.raw" 0 4)" &&
    same now! "$(got "$M/disk.raw" 0 4)"
}
reads_only() {
  # The mode keeps all but root from asking.
  local reason="Permission denied"
  am_root && reason="Read-only file system"
  expect_errno "$reason" put x "$M/snapshots/kept/disk.raw" 0 &&
    expect_errno "$reason" put x "$M/snapshots/base.qcow2/partitions/1.raw" 0
}
taken() {
  put before "$M/disk.raw" 5000000 && limited mkdir "$M/snapshots/first" && put behind "$M/disk.raw" 5000000 &&
    same before "$(got "$M/snapshots/first/disk.raw" 5000000 6)" && same behind "$(got "$M/disk.raw" 5000000 6)"
}
renamed() {
  limited mv "$M/snapshots/first" "$M/snapshots/second" && same "second " "$(snapshot_names)" &&
    same before "$(got "$M/snapshots/second/disk.raw" 5000000 6)"
}
# The kernel tells of the last close in its own time.
deleted() { eventually limited rmdir "$M/snapshots/second" && same "" "$(snapshot_names)"; }
busy_state() {
  local status=0
  limited mkdir "$M/snapshots/held" && exec 5<"$M/snapshots/held/disk.raw" || return
  expect_errno "Device or resource busy" rmdir "$M/snapshots/held" || status=1
  exec 5<&-
  return $status
}
no_snapshots_inside() {
  with_mount plain.vdi expect_errno "Operation not supported" limited_mkdir x && has "$(<"$M.log")" "no snapshots"
}
taken_name() {
  limited mkdir "$M/snapshots/other" && expect_errno "File exists" mkdir "$M/snapshots/held" &&
    expect_errno "File exists" mv -T "$M/snapshots/other" "$M/snapshots/held"
}
escaped_names() {
  platter snapshot create -q names.qcow2 'a/b%' && platter snapshot create -q names.qcow2 $'tab\there' &&
    with_mount names.qcow2 expect_names 'a%2Fb%25 tab%09here '
}
expect_names() { same "$1" "$(snapshot_names)"; }
given_escaped() {
  with_mount names.qcow2 limited_mkdir 'x%2Fy' && expect_part " x/y " platter snapshot list names.qcow2
}
limited_mkdir() { limited mkdir "$M/snapshots/$1"; }
clashing() {
  empty clash.qcow2 8M && qemu-img snapshot -c dup clash.qcow2 && qemu-img snapshot -c dup clash.qcow2 &&
    with_mount clash.qcow2 expect_names "dup dup@2 "
}

parent_keeps_its_name() {
  empty lower.qcow2 8M
  platter create -q -f qcow2 --parent lower.qcow2 upper.qcow2 &&
    platter snapshot create -q upper.qcow2 lower.qcow2 && on upper.qcow2 || return 1
  same "lower.qcow2 lower.qcow2@1 " "$(names_in "$M/snapshots")" &&
    expect_errno "Operation not permitted" rmdir "$M/snapshots/lower.qcow2" &&
    limited rmdir "$M/snapshots/lower.qcow2@1"
  local status=$?
  off
  return $status
}
walk_snapshots() {
  section="The mount"
  fresh base.qcow2
  platter snapshot create -q base.qcow2 inside
  platter create -q -f qcow2 --parent base.qcow2 top.qcow2
  on top.qcow2 && { put "then" "$M/disk.raw" 0; limited mkdir "$M/snapshots/kept"; put 'now!' "$M/disk.raw" 0; off; }
  check "snapshots: internal snapshots by name, parent images of a chain by file name" internal_and_parents
  check "Snapshots inside parent images are not shown" lacks "$(snapshot_names)" inside
  check "snapshots/NAME/disk.raw: read-only" reads_only
  check "A parent layer cannot be deleted (EPERM)" \
    expect_errno "Operation not permitted" rmdir "$M/snapshots/base.qcow2"
  check "A parent layer cannot be renamed (EPERM)" \
    expect_errno "Operation not permitted" mv "$M/snapshots/base.qcow2" "$M/snapshots/x"
  off
  fresh disk.qcow2
  on disk.qcow2
  check "mkdir snapshots/NAME takes a snapshot of the live disk" taken
  check "mv renames it" renamed
  check "rmdir snapshots/NAME deletes it" deleted
  check "a state in use is EBUSY" busy_state
  check "an existing name EEXIST" taken_name
  off
  empty plain.vdi 8M
  check "Formats without internal snapshots say EOPNOTSUPP, and the log says why" no_snapshots_inside
  empty names.qcow2 8M
  check "a parent layer goes by its plain file name, whatever snapshots are called" parent_keeps_its_name
  check "%, / and control bytes in names appear as %XX" escaped_names
  check "%, / and control bytes in names are given as %XX" given_escaped
  check "when two clash, the later gets @ID" clashing
}
