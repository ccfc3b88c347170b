# Sourced by walk: "The tool", what changes images, and how it is told and tells.
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

snapshot_life() {
  fresh snap.qcow2
  platter snapshot create -q snap.qcow2 one && qemu-io -c "write -P 65 0 512" snap.qcow2 >/dev/null &&
    platter snapshot rename -q snap.qcow2 one two && has "$(platter snapshot list snap.qcow2)" " two " &&
    platter snapshot apply -q snap.qcow2 two && platter compare -q -F raw snap.qcow2 disk.raw &&
    platter snapshot delete -q snap.qcow2 two && lacks "$(platter snapshot list snap.qcow2)" two && qemu-img check -q snap.qcow2
}
grows() {
  platter resize -q snap.qcow2 +1M && same 34603008 "$(field virtual_size platter info snap.qcow2)" &&
    platter resize -q snap.qcow2 40M && same 41943040 "$(field virtual_size platter info snap.qcow2)" &&
    platter compare -q -F raw snap.qcow2 disk.raw
}
shrink_needed() {
  expect_error 1 --shrink platter resize snap.qcow2 33M && same 41943040 "$(field virtual_size platter info snap.qcow2)" &&
    platter resize -q --shrink snap.qcow2 -- -8M && same 33554432 "$(field virtual_size platter info snap.qcow2)"
}
sets() {
  local id=00112233-4455-6677-8899-aabbccddeeff
  platter set -q plain.vdi uuid=$id comment=said geometry-lchs=12/34/56 &&
    same $id "$(field uuid platter info plain.vdi)" && same said "$(field comment platter info plain.vdi)" &&
    info_says plain.vdi 12/34/56
}
sets_modification() { platter set -q plain.vdi modification-uuid=random && differ null "$(field modification_uuid platter info plain.vdi)"; }
sets_parent() {
  platter set -q kid.vdi parent-uuid=00112233-4455-6677-8899-aabbccddeeff &&
    same 00112233-4455-6677-8899-aabbccddeeff "$(field parent_uuid platter info kid.vdi)"
}
sets_all_or_none() {
  local before
  before=$(sum_of plain.vdi)
  expect_error 1 frob platter set plain.vdi comment=lost frob=1 || expect_error 2 frob platter set plain.vdi comment=lost frob=1
  same "$before" "$(sum_of plain.vdi)"
}
every_format_listed() { same "dmg luks ova qcow qcow2 raw vdi vhd vhdx vmdk " "$(platter formats --json | sed -n 's/^    "name": "\(.*\)",/\1/p' | tr '\n' ' ')"; }
says_formats() {
  local said key
  said=$(platter formats --json)
  for key in name extensions read write create variants diff resize compact check repair snapshot encrypt; do
    has "$said" "\"$key\": " || return
  done
}
readme_table() { has "$(platter formats --markdown)" "| \`qcow2\` | qcow2 | yes | yes |"; }

quiet() { expect_output "" platter convert -q -f raw -O raw gpt.raw quiet.raw && cmp gpt.raw quiet.raw; }
named_input() { same raw "$(field format platter info -f raw base.qcow2)"; }
shows_bar() {
  rm -f bar.raw
  has "$(limited script -qec "platter convert -f raw -O raw disk.raw bar.raw" /dev/null)" "100%"
}
no_bar() {
  rm -f bar.raw
  expect_output "" platter convert -q -f raw -O raw disk.raw bar.raw && rm bar.raw &&
    lacks "$(limited platter convert -f raw -O raw disk.raw bar.raw 2>&1)" "%"
}
progress_lines() {
  rm -f bar.raw
  platter convert -q -f raw -O raw --progress=json disk.raw bar.raw 2>"$W/err" >"$W/out" || return
  same 0 "$(wc -c <"$W/out")" && holds "$(grep -c '^{"done":[0-9]*,"total":33554432}$' "$W/err") >= 1" &&
    same "" "$(grep -v '^{"done":[0-9]*,"total":33554432}$' "$W/err")" && has "$(tail -n 1 "$W/err")" '"done":33554432,'
}
# interrupted SIGNAL STATUS: amid a long compression.
interrupted() {
  local before status=0
  before=$(names_in .)
  limited timeout --preserve-status -s "$1" 0.3 platter convert -q -c -m 1 -f raw -O qcow2 noise.raw half.qcow2 || status=$?
  same "$2" $status && same "$before" "$(names_in .)"
}
escapes() { expect_error 1 '/no/\x1b[2J\x0asuch' platter info $'/no/\e[2J\nsuch'; }
mount_and_umount() {
  new_point
  limited platter mount -o ro low.qcow2 "$M" && mount_says " ro," && limited platter umount "$M" && not_mounted "$M"
}
mount_foreground() {
  local pid
  new_point
  platter mount -f low.qcow2 "$M" &
  pid=$!
  eventually is_mounted "$M" && runs $pid && limited platter umount "$M" && wait $pid
}

compacts() {
  head -c 4M /dev/zero >zeroes.raw
  platter compact -q -f raw zeroes.raw && same "0 4194304" "$(stat -c '%b %s' zeroes.raw)"
}

# rebased FORMAT: what the new parent has otherwise is the child's own then.
rebased() {
  local name
  for name in old new; do
    rm -f "$name.$1"
    platter create -q -f "$1" "$name.$1" 4M && with_mount "$name.$1" put_on_disk "$name" || return
  done
  rm -f "based.$1"
  platter create -q -f "$1" --parent "old.$1" "based.$1" && platter rebase -q --parent "new.$1" "based.$1" && rm "old.$1" &&
    with_mount "-o ro based.$1" disk_begins_with old
}
put_on_disk() { put "$1" "$M/disk.raw" 0; }
disk_begins_with() { same "$1" "$(got "$M/disk.raw" 0 ${#1})"; }
relinked() {
  rm -f "moved.$1"
  mv "new.$1" "moved.$1" && platter rebase -q --unsafe --parent "moved.$1" "based.$1" &&
    same "moved.$1" "$(field parent platter info "based.$1")" && with_mount "-o ro based.$1" disk_begins_with old
}

# merged FORMAT: what an image has of its own is its parent's then, or the other way about.
layers_of() {
  rm -f "lower.$1" "upper.$1"
  platter create -q -f "$1" "lower.$1" 4M && with_mount "lower.$1" put_on_disk old &&
    platter create -q -f "$1" --parent "lower.$1" "upper.$1" && with_mount "upper.$1" put_behind new
}
put_behind() { put "$1" "$M/disk.raw" 1048576; }
disk_has_both() { disk_begins_with old && same new "$(got "$M/disk.raw" 1048576 3)"; }
merged() {
  layers_of "$1" && platter "${2:-merge}" -q "upper.$1" && test ! -e "upper.$1" && with_mount "-o ro lower.$1" disk_has_both
}
merged_up() {
  layers_of "$1" && platter merge -q --up "upper.$1" && rm "lower.$1" && with_mount "-o ro upper.$1" disk_has_both
}

walk_changes() {
  section="The tool"
  check "snapshot list|create|delete|apply|rename" snapshot_life
  check "resize IMAGE [+|-]SIZE: grow" grows
  check "resize: --shrink needed to cut" shrink_needed
  check "compact IMAGE: give back zero space in place" compacts
  check "set: uuid, comment, geometry-lchs" sets
  check "set: modification-uuid" sets_modification
  check "set: parent-uuid" sets_parent
  check "set: a key that is none changes nothing" sets_all_or_none
  for format in qcow2 vmdk vhd vhdx; do
    check "rebase IMAGE --parent P: new parent, same contents ($format)" rebased $format
    check "rebase --unsafe changes only the reference ($format)" relinked $format
    check "merge IMAGE: move the layer's data down, and drop what became empty ($format)" merged $format
    check "merge --up leaves it independent of its parents ($format)" merged_up $format
  done
  check "merge IMAGE, alias commit" merged qcow2 commit
  check "mount, umount as above" mount_and_umount
  check "platter mount takes platterfs's options (there -f is foreground)" mount_foreground
  check "formats: every format by its name" every_format_listed
  check "formats --markdown" readme_table
}
walk_manners() {
  section="The tool"
  head -c 48M /dev/urandom >noise.raw
  check "-f FORMAT names the input format" named_input
  check "-q quiet" quiet
  check "Long work shows a progress bar on a terminal" shows_bar
  check "a progress bar on a terminal only" no_bar
  check "--progress=json prints one JSON object a line" progress_lines
  check "Ctrl-C leaves no half-made output file behind" interrupted INT 130
  check "SIGTERM leaves no half-made output file behind" interrupted TERM 143
  rm -f noise.raw
  check "Errors are one line: platter: FILE: what is wrong, status 1" \
    expect_error 1 "platter: none.vdi: cannot open: No such file" platter info none.vdi
  check "(where)" expect_error 1 "header" platter info broken.qcow2
  check "status 2 for wrong usage" expect_error 2 "" platter frob
  check "status 2 for a wrong option" expect_error 2 "--frob" platter info --frob low.qcow2
  check "status 2 for a missing operand" expect_error 2 "" platter info
  check "status 2 for a wrong size" expect_error 2 much platter create -f raw x.raw much
  check "control characters from files are escaped" escapes
}
walk_tool() {
  printf 'QFI\xfb but no more' >broken.qcow2
  walk_info
  walk_images
  walk_looks
  walk_changes
  walk_manners
}
