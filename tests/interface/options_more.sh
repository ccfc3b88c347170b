# Sourced by walk: "Options", from threads on.
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

opens_with_key() {
  empty secret.qcow2 8M -o encrypt.format=luks,encrypt.iter-time=10 --key-file pass &&
    with_mount "-o key-file=pass secret.qcow2" put_and_get hidden && with_mount "-o key-file=pass secret.qcow2" get hidden &&
    expect_status 1 grep -q hidden secret.qcow2
}
# The image ends too early for what is read.
logged() {
  head -c 4M disk.raw >cut.raw
  on -o ro cut.raw && truncate -s 512 cut.raw && expect_errno "Input/output error" cat "$M/disk.raw"
  off
  has "$(<"$M.log")" "platterfs: error: " && has "$(<"$M.log")" cut.raw
}
killed_and_unmounted() {
  on -o auto_unmount disk.qcow2 && kill -KILL "$(daemon_of "$M")" && eventually not_mounted "$M"
}
as_nobody() { limited setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$@"; }
others_look_in() {
  chmod 0644 disk.qcow2
  on disk.qcow2 && expect_errno "Permission denied" as_nobody ls "$M" || return
  off
  on -o allow_other disk.qcow2 && expect_status 0 as_nobody cmp "$W/mnt/${M##*/}/disk.raw" "$M/disk.raw" &&
    same "disk.raw info.json partitions snapshots " "$(as_nobody ls "$M" | tr '\n' ' ')"
}
# A user's mount: root looks in only when that user says so.
root_looks_in() {
  local status=0
  new_point
  chown 65534 "$M"
  cp disk.qcow2 users.qcow2
  chown 65534 users.qcow2
  as_nobody "$W/bin/platterfs" -o "$1" users.qcow2 "$M" || return
  if [ "$1" = allow_root ]; then
    expect_status 0 cmp disk.raw "$M/disk.raw" && loops_over_disk || status=1
  else
    expect_errno "Permission denied" cat "$M/disk.raw" && expect_status 1 losetup -f --show "$M/disk.raw" || status=1
  fi
  as_nobody "$W/bin/platter" umount "$M" || status=1
  rm -f users.qcow2
  return $status
}
over_full_directory() {
  mkdir -p "$W/mnt/full" && touch "$W/mnt/full/file"
  expect_error 1 "not empty" platterfs disk.qcow2 "$W/mnt/full" && not_mounted "$W/mnt/full"
}
over_full_when_told() {
  limited platterfs -o nonempty disk.qcow2 "$W/mnt/full" && cmp disk.raw "$W/mnt/full/disk.raw" &&
    limited platter umount "$W/mnt/full"
}
image_s_mode() {
  chmod 0620 disk.qcow2
  on disk.qcow2
  same "$(stat -c '%u %g 620' disk.qcow2)" "$(limited stat -c '%u %g %a' "$M/disk.raw")"
}
without_w() { with_mount "-o ro disk.qcow2" mode_is 400; }
mode_is() { same "$1" "$(limited stat -c %a "$M/disk.raw")"; }

walk_more_options() {
  section="Options"
  # What another one owns is nothing for a user.
  local owner=12
  am_root || owner=$(id -u)
  fresh disk.qcow2
  check "threads=N" threads_are 3 "-o threads=3 disk.qcow2"
  check "max_threads=" threads_are 2 "-o max_threads=2 disk.qcow2"
  check "cache=SIZE" with_mount "-o cache=1M disk.qcow2" cmp_disk disk.raw
  check "cache=SIZE: no size" refused 2 "cache=lots" -o cache=lots disk.qcow2
  check "key-file=FILE (passphrase)" opens_with_key
  check "key-file: without the key it is an error" refused 1 "secret.qcow2: is encrypted" secret.qcow2
  check "resize" grown
  off
  fresh disk.qcow2
  check "log=FILE" logged
  check "uid= gid= umask=" with_mount "-o uid=$owner,gid=34,umask=0227 disk.qcow2" owner_is "$owner 34 440"
  check "fsname= subtype=" mounted_says "-o fsname=chosen,subtype=other disk.qcow2" " fuse.other chosen "
  check "clone_fd" with_mount "-o clone_fd disk.qcow2" cmp_disk disk.raw
  # fusermount3 of libfuse 3.14 does not do it for a user: it may not look at that user's mount.
  root_check "auto_unmount" killed_and_unmounted
  check "allow_other allow_root exclude one another" refused 2 "exclude one another" -o allow_other,allow_root disk.qcow2
  root_check "allow_other: another user may look in, and not without it" others_look_in
  am_root && off
  root_check "a user's mount is invisible to root's losetup" root_looks_in rw
  root_check "allow_root" root_looks_in allow_root
  check "mount(8)'s generic ones" mounted_says "-o noexec,noatime,_netdev,x-any.thing disk.qcow2" noexec noatime
  check "an unknown option is an error that names it" refused 2 '"colour=red"' -o ro,colour=red disk.qcow2
  check "an unknown long option is an error that names it" refused 2 '"--colour"' --colour disk.qcow2
  check "default_permissions is always on" mounted_says disk.qcow2 default_permissions
  check "owner and mode are the image's" image_s_mode
  off
  check "(without w when read-only)" without_w
  check "A mountpoint that is not empty is refused" over_full_directory
  check "unless nonempty" over_full_when_told
}
owner_is() { same "$1" "$(limited stat -c '%u %g %a' "$M/disk.raw")"; }
