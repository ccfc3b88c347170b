# Sourced by walk: "Defaults that protect the user" and "Settled details".
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

guess_is_ro() { with_mount "gpt.raw" says_all " ro,"; }
named_is_rw() { with_mount "-o format=raw gpt.raw" says_all " rw,"; }
tool_needs_f() {
  cp gpt.raw guessed.raw
  expect_error 1 "taken for raw" platter resize guessed.raw +1M && same "$(sum_of gpt.raw)" "$(sum_of guessed.raw)" &&
    platter resize -q -f raw guessed.raw +1M && same 9437184 "$(size_of guessed.raw)"
}
# The access mode is in the last digit of the octal flags.
parent_read_only() {
  local pid fd
  on top.qcow2
  pid=$(daemon_of "$M")
  for fd in /proc/"$pid"/fd/*; do
    [[ $(readlink "$fd") = */base.qcow2 ]] || continue
    same 0 "$(sed -n 's/^flags:.*\(.\)$/\1/p' "/proc/$pid/fdinfo/${fd##*/}")"
    return
  done
  echo "it is not open"
  return 1
}
# A qcow names no format for its parent, which has become an image that names a file itself.
probed_parent_bound() {
  rm -f trap.qcow trap.raw
  truncate -s 1M trap.raw && qemu-img create -q -u -f qcow -b trap.raw -F raw trap.qcow 1M &&
    with_mount trap.qcow true && qemu-img create -q -u -f qcow2 -F raw -b base.raw trap.raw 1M || return
  refused 1 trap.raw trap.qcow && expect_error 1 trap.raw platter info --chain trap.qcow
}
no_lock_taken() { expect_status 0 platter "$1" top.qcow2; }
only_file_names() {
  local url
  for url in 'json:{"driver":"raw"}' nbd:localhost:1 http://localhost/x file:base.raw; do
    qemu-img create -q -u -f qcow2 -F raw -b "$url" url.qcow2 1M
    refused 1 "${url%%:*}:" -o "$1" url.qcow2 && expect_error 1 "${url%%:*}:" platter info --chain --references=any url.qcow2 || return
  done
}
mode_of() { stat -c %a "$1"; }
new_modes() {
  (umask 022 && rm -f mode.qcow2 mode.raw && empty mode.qcow2 1M && same 600 "$(mode_of mode.qcow2)" &&
    chmod 0640 mode.qcow2 && platter convert -q -O raw mode.qcow2 mode.raw && same 640 "$(mode_of mode.raw)")
}
overlay_mode() {
  rm -f kept.qcow2
  chmod 0640 mode.qcow2
  (umask 022 && with_mount "-o overlay=kept.qcow2 mode.qcow2" true)
  case $(mode_of kept.qcow2) in 600 | 640) ;; *) mode_of kept.qcow2; return 1 ;; esac
}
# left_alone STATUS PART COMMAND…: an error, and every file of the directory is as it was.
left_alone() {
  local before
  before=$(state_of_files)
  expect_error "$@" && same "$before" "$(state_of_files)"
}
state_of_files() { find wrong -printf '%p %s %T@ %m\n' | sort; sha256sum wrong/*; }
make_wrong() {
  mkdir wrong
  : >wrong/empty.qcow2
  head -c 50 template.qcow2 >wrong/cut.qcow2
  cp torn.qcow2 wrong/torn.qcow2
  cp template.qcow2 wrong/table.qcow2 && poke wrong/table.qcow2 40 "$(be 8 $((1 << 40)))"
  qemu-img create -q -u -f qcow2 -F qcow2 -b loop.qcow2 wrong/loop.qcow2 1M
  qemu-img create -q -u -f qcow2 -F raw -b gone.raw wrong/gone.qcow2 1M
}
walk_protection() {
  section="Defaults"
  check "A file that no format claims is taken for raw and opened read-only" guess_is_ro
  check "unless -o format=raw (mount) says so" named_is_rw
  check "or -f raw (tool)" tool_needs_f
  check "Parents are always opened read-only" parent_read_only
  check "info takes no lock" no_lock_taken info
  check "map takes no lock" no_lock_taken map
  off
  check "a parent whose format the image does not name may not itself name other files" probed_parent_bound
  check "Strings found inside an image are file names, nothing else: no URLs, no options" only_file_names rw
  check "New images get mode 0600 or the source's mode" new_modes
  check "Overlays get mode 0600 or the source's mode" overlay_mode
  make_wrong
  new_point
  check "Wrong input gets a message and leaves every file as it was: an empty image" left_alone 1 "is empty" platterfs wrong/empty.qcow2 "$M"
  check "Wrong input: a header cut short" left_alone 1 header platterfs wrong/cut.qcow2 "$M"
  check "Wrong input: a table past the end" left_alone 1 "L1 table" platterfs wrong/table.qcow2 "$M"
  check "Wrong input: a chain that is a loop" left_alone 1 loop platterfs wrong/loop.qcow2 "$M"
  check "Wrong input: a parent that is missing" left_alone 1 gone.raw platter convert -O raw wrong/gone.qcow2 wrong/out.raw
  check "Wrong input: a target that exists" left_alone 1 "exists already" platter convert -O raw template.qcow2 wrong/gone.qcow2
  check "Wrong input: a directory" left_alone 1 "is a directory" platter info wrong
  check "Wrong input: a FIFO" left_alone 1 FIFO platterfs sub/fifo "$M"
}

# made_with FORMAT OPTIONS PART…: what an independent reader, or info, says of it.
made_with() {
  local format=$1 options=$2 said
  shift 2
  rm -f "opt.$format"
  platter create -q -f "$format" -o "$options" "opt.$format" 8M || return
  said=$(qemu-img info "opt.$format"; platter info --json "opt.$format"; echo "blocks $(blocks_of "opt.$format") size $(size_of "opt.$format")")
  local part
  for part in "$@"; do has "$said" "$part" || return; done
}
preallocated() { made_with qcow2 preallocation=full && holds "$(blocks_of opt.qcow2) >= 16384"; }
with_data_file() {
  rm -f split.qcow2 split.data
  platter create -q -f qcow2 -o data_file=split.data split.qcow2 8M && with_mount split.qcow2 put_and_get outside &&
    same outside "$(tr -d '\0' <split.data)"
}
other_size_than_parent() {
  rm -f larger.qcow2
  platter create -q -f qcow2 --parent base.qcow2 larger.qcow2 40M && on larger.qcow2 && same 41943040 "$(size_of "$M/disk.raw")" &&
    same "$disk_size" "$(size_of "$M/snapshots/base.qcow2/disk.raw")"
}
nothing_new() {
  # nothing_new COMMAND…: it fails and leaves no new file.
  local before
  before=$(names_in .)
  expect_status 1 "$@" && same "$before" "$(names_in .)"
}
walk_create_options() {
  section="Settled details"
  check "create -o cluster_size" made_with qcow2 cluster_size=2M "cluster_size: 2097152"
  check "create -o compat" made_with qcow2 compat=0.10 "compat: 0.10" '"variant": "v2"'
  check "create -o refcount_bits" made_with qcow2 refcount_bits=8 "refcount bits: 8"
  check "create -o lazy_refcounts" made_with qcow2 lazy_refcounts=on "lazy refcounts: true"
  check "create -o extended_l2" made_with qcow2 extended_l2=on,cluster_size=128k "extended l2: true"
  check "create -o compression_type" made_with qcow2 compression_type=zstd "compression type: zstd"
  check "create -o preallocation=full" preallocated
  check "create -o preallocation=metadata" made_with qcow2 preallocation=metadata '"block_size": 65536'
  check "create -o data_file" with_data_file
  check "create -o static (vdi)" made_with vdi static=on '"variant": "static"'
  check "create -o block_size (vdi)" made_with vdi block_size=2M '"block_size": 2097152'
  check "a variant is chosen with -o subformat=NAME and shown as variant" made_with qcow2 subformat=v2 '"variant": "v2"'
  check "an option that the format does not have is refused" expect_error 2 frob platter create -f qcow2 -o frob=1 opt2.qcow2 1M
  check "A child may be given another size than its parent (qcow2); the parent layer has its own size" other_size_than_parent
  off
  check "a failed command leaves no new file (convert)" nothing_new platter convert -O raw wrong/gone.qcow2 out.raw
  check "a failed command leaves no new file (create)" nothing_new platter create -f qcow2 --parent none.raw out.qcow2
}

overlay_source_is_layer() {
  on -o overlay low.qcow2 && put changed "$M/disk.raw" 1048576 && same "low.qcow2 " "$(snapshot_names)" &&
    same 0101 "$(limited dd if="$M/snapshots/low.qcow2/disk.raw" bs=2 count=1 skip=524288 status=none | od -An -tx1 | tr -d ' ')"
}
# killed_snapshots: the program dies somewhere among them; each is there whole or not at all.
killed_snapshots() {
  local i name
  rm -f killed.qcow2
  fresh killed.qcow2
  on killed.qcow2 || return
  local pid
  pid=$(daemon_of "$M")
  (sleep 0.15 && kill -KILL "$pid") &
  for ((i = 0; i < 100; i++)); do
    put "state $i " "$M/disk.raw" 0 2>/dev/null && limited mkdir "$M/snapshots/$i" 2>/dev/null || break
  done
  wait $!
  force_off "$M"
  sound_after killed.qcow2 && on -o ro killed.qcow2 || return
  for name in $(snapshot_names); do same "state $name " "$(got "$M/snapshots/$name/disk.raw" 0 $((7 + ${#name})))" || return; done
  has "$(snapshot_names)" "0 "
}
fsync_of_any_file() {
  fresh killed.qcow2
  on killed.qcow2 || return
  date +%N >word
  exec 5<>"$M/disk.raw"
  dd if=word bs=64 status=none >&5
  limited sync "$M/$1"
  kill -KILL "$(daemon_of "$M")"
  exec 5<&-
  force_off "$M"
  with_mount "-o ro killed.qcow2" head_is "$(<word)"
}
head_is() { same "$1" "$(got "$M/disk.raw" 0 ${#1})"; }
not_on_opening() {
  local before
  before=$(mtime_of "$M/disk.raw")
  exec 5<>"$M/disk.raw"
  exec 5<&-
  same "$before" "$(mtime_of "$M/disk.raw")" && put x "$M/disk.raw" 0 && differ "$before" "$(mtime_of "$M/disk.raw")"
}
no_byte_changed() {
  local before
  before=$(stat -c '%Y %Z' top.qcow2 base.qcow2; sum_of top.qcow2; sum_of base.qcow2)
  on -o ro top.qcow2 && cat "$M/disk.raw" "$M/snapshots/kept/disk.raw" >/dev/null
  off
  same "$before" "$(stat -c '%Y %Z' top.qcow2 base.qcow2; sum_of top.qcow2; sum_of base.qcow2)"
}
absolute_beside() { child sub/absolute.qcow2 "$W/images/sub/base.raw" && with_mount sub/absolute.qcow2 parent_shown; }
long_options() {
  local option
  for option in $(platterfs --help | sed -n '/^    ro /,/^$/s/^    \([a-z_-]*\).*/\1/p' | sort -u); do
    lacks "$(platterfs "--$option" 2>&1)" "unknown option" && lacks "$(platterfs "--$option=1" 2>&1)" "unknown option" || return
  done
  with_mount "--overlay low.qcow2" says_all " rw," && with_mount "--ro --format=raw low.qcow2" cmp_disk low.qcow2
}

walk_states() {
  section="Settled details"
  check "In snapshots/ a parent layer goes by its plain file name" with_mount top.qcow2 expect_names "base.qcow2 kept "
  check "An overlay's source is a layer too" overlay_source_is_layer
  off
  check "Of two snapshots with one name the first keeps the plain name" with_mount clash.qcow2 expect_names "dup dup@2 "
  check "After kill -9: check exits 0 or 3, a snapshot being made is there whole or not at all" killed_snapshots
  off
  check "fsync on any file of the mount covers the whole container (info.json)" fsync_of_any_file info.json
  check "fsync on any file of the mount covers the whole container (a partition)" fsync_of_any_file partitions/1.raw
  fresh disk.qcow2
  touch -d "2001-02-03" disk.qcow2
  on disk.qcow2
  check "mtime moves on the first write, not on opening for it" not_on_opening
  off
  check "A read-only mount changes no byte of any file" no_byte_changed
  check "references=beside takes an absolute name that lies beside" absolute_beside
  check "json:, nbd:, http:, file: inside an image are refused even with any" only_file_names references=any
  check "The extended partition itself is not listed. Numbers are the partition table's" \
    with_mount "-o ro disk.qcow2" table_of "1.raw 5.raw 6.raw " 5 disk.raw 22528 8192
  check "Long options exist for all: --ro, --format=NAME, --overlay[=FILE]" long_options
}
walk_defaults() { walk_protection; walk_create_options; walk_states; }
