# Sourced by walk: "The mount", several images or directories of them.
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

make_gallery() {
  mkdir -p gallery/b
  cp disk.raw gallery/one.raw
  cp gpt.raw gallery/b/one.raw
  cp template.qcow2 gallery/two.qcow2
  mkdir -p shelf/sub.raw
  fresh shelf/a.qcow2
  empty shelf/unnamed.vdi 8M && mv shelf/unnamed.vdi "shelf/no extension"
  qemu-img create -q -f qcow2 -F qcow2 -b a.qcow2 shelf/child.qcow2
  (cd shelf && qemu-img create -q -f qcow2 -o data_file=extent.raw split.qcow2 1M)
  qemu-img create -q -u -f qcow2 -F raw -b gone.raw shelf/broken.qcow2 1M
  local name
  for name in b.raw c.img d.iso e.dd f.000 f.001 notes.txt other; do cp gpt.raw "shelf/$name"; done
}
named_parent() {
  mkdir -p named/sub && cp disk.raw named/base.raw &&
    qemu-img create -q -f qcow2 -F raw -b ../base.raw named/sub/child.qcow2 &&
    on named/sub/child.qcow2 named/base.raw || return 1
  cmp disk.raw "$M/child.qcow2/disk.raw"
  local status=$?
  off
  return $status
}
gallery_names() { same "$1" "$(names_in "$M")"; }
each_its_own() {
  cmp disk.raw "$M/one.raw/disk.raw" && cmp gpt.raw "$M/one.raw@2/disk.raw" && cmp disk.raw "$M/two.qcow2/disk.raw"
}
images_open() {
  local link
  for link in /proc/"$(daemon_of "$M")"/fd/*; do readlink "$link"; done |
    sed -n "s|^$W/images/shelf/||p" | sort -u | tr '\n' ' '
}
opens_nothing() {
  limited ls "$M" && limited stat "$M" "$M/b.raw" && same "" "$(images_open)" &&
    expect_status 0 platter set -q "shelf/no extension" comment=x
}
looking_opens() { limited ls "$M/a.qcow2" && same "a.qcow2 " "$(images_open)"; }
nothing_open() { same "" "$(images_open)"; }
idle_closed() { M=$1 eventually nothing_open && cmp disk.raw "$1/a.qcow2/disk.raw"; }

# Closing takes its time: other checks are made meanwhile.
walk_early() {
  section="The mount"
  make_gallery
  on shelf
  shelved=$M
  check "For a directory: only what a probe claims or what is named .raw .img .iso .dd .000, no parts of sets and extents" \
    gallery_names "a.qcow2 b.raw broken.qcow2 c.img child.qcow2 d.iso e.dd f.000 no extension split.qcow2 "
  check "ls and stat at the top open nothing; a mount of a directory locks nothing before" opens_nothing
  check "looking inside opens" looking_opens
  check "the default is ro" default_ro
  check "one that cannot open shows a directory with error.txt" error_shown
}
error_shown() {
  same "error.txt " "$(names_in "$M/broken.qcow2")" && has "$(limited cat "$M/broken.qcow2/error.txt")" gone.raw
}
default_ro() {
  mount_says " ro," && expect_errno "Read-only file system" put x "$M/a.qcow2/disk.raw" 0
}
rw_when_said() { put shelved "$M/child.qcow2/disk.raw" 4096 && same shelved "$(got "$M/child.qcow2/disk.raw" 4096 7)"; }
parent_stays() {
  # The mode keeps all but root from asking.
  local reason="Permission denied" before
  before=$(sum_of shelf/a.qcow2)
  am_root && reason="Read-only file system"
  expect_errno "$reason" put x "$M/a.qcow2/disk.raw" 0 && same "$before" "$(sum_of shelf/a.qcow2)"
}

walk_gallery() {
  section="The mount"
  on -o format=raw gallery/one.raw gallery/b/one.raw
  check "Several images: one directory per container, named after the file (equal names get @2)" \
    gallery_names "one.raw one.raw@2 "
  off
  on -o ro gallery/one.raw gallery/b/one.raw gallery/two.qcow2
  check "Several images: each shows its own disk" each_its_own
  check "Several images: each is a container" \
    same "disk.raw info.json partitions snapshots " "$(names_in "$M/two.qcow2")"
  off
  check "files named on the command line are always allowed" named_parent
  on gallery/two.qcow2 template.qcow2
  check "images named on the command line are rw" mount_says " rw,"
  off
  check "an idle container is closed again" idle_closed "$shelved"
  M=$shelved
  off
  on -o rw shelf
  check "-o rw must be said" rw_when_said
  check "an image that another one there names as parent stays ro" parent_stays
  off
}
