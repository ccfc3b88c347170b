# Sourced by walk: "Life cycle", with what cmake --install puts where mount(8) looks. Only root has
# that: walk lays it over /usr, and /etc/fstab is a file of its own.
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

# mounted_as TYPE SOURCE COMMAND…: findmnt shows the image and the type, and umount ends it.
mounted_by() {
  new_point
  limited "$@" "$M" && same "$W/images/disk.qcow2 fuse.platterfs" \
    "$(findmnt -n -r -o SOURCE,FSTYPE "$M")" && cmp disk.raw "$M/disk.raw" && limited umount "$M"
}
helper_refuses() {
  new_point
  expect_status "$1" mount -t platter -o "$2" "$3" "$M" && has "$last_said" "$4" && not_mounted "$M"
}
by_fstab() {
  new_point
  echo "$W/images/disk.qcow2 $M platter $1 0 0" >/etc/fstab
  limited mount "$M" && same "$W/images/disk.qcow2 fuse.platterfs" \
    "$(findmnt -n -r -o SOURCE,FSTYPE "$M")" && mount_says " ro," && limited umount "$M"
}
options_reach() {
  new_point
  limited mount -t "$1" -o ro,noexec "$W/images/disk.qcow2" "$M" && says_all " ro," noexec && limited umount "$M"
}

walk_system() {
  section="Life cycle"
  fresh disk.qcow2
  root_check "mount -t platter works; findmnt shows the image and fuse.platterfs" \
    mounted_by mount -t platter "$W/images/disk.qcow2"
  root_check "mount -t fuse.platterfs IMAGE MOUNTPOINT works; findmnt shows the image" \
    mounted_by mount -t fuse.platterfs "$W/images/disk.qcow2"
  root_check "mount -t platter -o ..." options_reach platter
  root_check "mount -t fuse.platterfs -o ..." options_reach fuse.platterfs
  root_check "mount -t platter: an unknown option is named" helper_refuses 1 ro,colour=red disk.qcow2 '"colour=red"'
  root_check "mount -t platter: no such image" helper_refuses 32 ro none.qcow2 none.qcow2
  root_check "an fstab line works" by_fstab ro,noauto
  root_check "an fstab line works: nofail, x-systemd.automount" by_fstab ro,noauto,nofail,x-systemd.automount
}
