# Sourced by walk: "The tool", its commands.
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

# field KEY COMMAND…: of the JSON that the command prints.
field() {
  local key=$1
  shift
  limited "$@" --json | json /dev/stdin "$key"
}
takes_sizes() {
  local unit bytes=1024
  for unit in k M G T P; do
    rm -f sized.qcow2
    platter create -q -f qcow2 -o cluster_size=2M sized.qcow2 1$unit 2>"$W/err" || { [ $unit = P ] || return; break; }
    same $bytes "$(field virtual_size platter info sized.qcow2)" || return
    bytes=$((bytes * 1024))
  done
  expect_error 1 1152921504606846976 platter create -f raw sized.raw 1E || expect_status 0 platter create -q -f raw sized.raw 1E
}
info_says() {
  local said part
  said=$(platter info "$1")
  shift
  for part in "$@"; do has "$said" "$part" || return; done
}
walk_info() {
  section="The tool: info"
  platter set -q plain.vdi comment=words 2>/dev/null
  check "format, variant, virtual and allocated size, block size" \
    info_says top.qcow2 "qcow2, v3" "32 MiB (33554432 bytes)" "allocated size:" "64 KiB (65536 bytes)"
  check "snapshots, parent" info_says top.qcow2 kept base.qcow2
  check "UUIDs, comment" info_says plain.vdi uuid: words
  check "encryption" info_says secret.qcow2 luks
  check "--chain all parents" same 2 "$(platter info --chain --json top.qcow2 | sed -n '/"chain"/,/^  \]/p' | grep -c '"file"')"
  mv base.qcow2 away.qcow2
  check "-r read-only" expect_error 2 "would change the image" platter set -r plain.vdi comment=x
  check "Opens no other file unless --chain" info_says top.qcow2 base.qcow2
  check "--chain needs the parents" expect_error 1 base.qcow2 platter info --chain top.qcow2
  mv away.qcow2 base.qcow2
}

# every_variant: each that the format lists is made, and is what info says.
every_variant() {
  local name variant options
  while read -r name variant; do
    options=()
    [ "$name" != luks ] || options=(-o iter-time=10 --key-file pass)
    rm -f made.* made-*
    platter create -q -f "$name" -o subformat="$variant" "${options[@]}" made."$name" 2M || return
    same "$name $variant" "$(field format platter info -f "$name" made."$name") $(field variant platter info -f "$name" made."$name")" || return
  done < <(formats_and_variants)
}
formats_and_variants() {
  platter formats --json | sed -n 's/^    "name": "\(.*\)",/name \1/p; /"variants": \[$/,/\]/s/^      "\(.*\)",\{0,1\}$/variant \1/p' |
    while read -r kind word; do
      if [ "$kind" = name ]; then name=$word; else echo "$name $word"; fi
    done
}
makes_child() {
  rm -f child.qcow2
  platter create -q -f qcow2 --parent base.qcow2 child.qcow2 && platter compare -q child.qcow2 base.qcow2 &&
    same base.qcow2 "$(field parent platter info child.qcow2)"
}
makes_vdi_child() { makes_child_of vdi && differ null "$(field parent_uuid platter info kid.vdi)"; }
makes_child_of() {
  rm -f parent."$1" kid."$1"
  platter convert -q -f raw -O "$1" disk.raw parent."$1" && platter create -q -f "$1" --parent parent."$1" kid."$1" &&
    platter compare -q kid."$1" parent."$1"
}
makes_named_child() { makes_child_of "$1" && same "parent.$1" "$(field parent platter info "kid.$1")"; }
called_vpc() {
  rm -f called.vhd
  platter create -q -f vpc called.vhd 1M && same vhd "$(field format platter info -f vpc called.vhd)"
}
makes_stream() {
  rm -f stream.vmdk
  platter convert -q -f raw -O vmdk -o subformat=streamOptimized disk.raw stream.vmdk && platter compare -q -f raw disk.raw stream.vmdk &&
    same streamOptimized "$(field variant platter info stream.vmdk)"
}
convert_to() {
  # convert_to FORMAT [OPTION…]: both ways.
  local format=$1
  shift
  rm -f to."$format"
  platter convert -q -f raw -O "$format" "$@" disk.raw to."$format" && platter compare -q -F "$format" -f raw disk.raw to."$format" &&
    holds "$(blocks_of to."$format") < 40000"
}
compresses() {
  rm -f plainly.qcow2 small.qcow2
  seq 200000 >numbers.raw && platter convert -q -f raw -O qcow2 numbers.raw plainly.qcow2 &&
    platter convert -q -c -m 2 -f raw -O qcow2 numbers.raw small.qcow2 && platter compare -q plainly.qcow2 small.qcow2 &&
    holds "$(size_of small.qcow2) * 2 < $(size_of plainly.qcow2)"
}
converts_snapshot() {
  rm -f then.raw
  platter convert -q --snapshot kept -O raw top.qcow2 then.raw && same "then" "$(got then.raw 0 4)"
}
converts_difference() {
  rm -f changed.raw difference.qcow2
  cp --sparse=always disk.raw changed.raw && put differs changed.raw 10000000 &&
    platter convert -q -f raw -O qcow2 --parent base.qcow2 changed.raw difference.qcow2 &&
    platter compare -q -F raw difference.qcow2 changed.raw && holds "$(platter map --json difference.qcow2 | grep -c '"depth": 0.*"data"') == 1"
}
lays_end_to_end() {
  rm -f both.raw
  platter convert -q -f raw -O raw gpt.raw disk.raw both.raw && cat gpt.raw disk.raw | cmp - both.raw
}
same_as_qemu() {
  rm -f other.qcow2
  qemu-img convert -f raw -O qcow2 disk.raw other.qcow2 && platter compare -q other.qcow2 "$1" && qemu-img compare -q other.qcow2 "$1"
}

walk_images() {
  section="The tool: create"
  check "new base image, in every variant the format has" every_variant
  check "new differencing image (qcow2)" makes_child
  check "new differencing image (vdi)" makes_vdi_child
  for format in vmdk vhd vhdx; do check "new differencing image ($format)" makes_named_child $format; done
  check "vpc is accepted for vhd" called_vpc
  check "Sizes take k M G T P E (powers of 1024)" takes_sizes
  section="The tool: convert"
  for format in qcow2 qcow vdi vmdk vhd vhdx raw; do check "copy the guest's view, sparse (to $format)" convert_to $format; done
  check "copy the guest's view: what QEMU sees" same_as_qemu to.qcow2
  check "SRC...: laid end to end" lays_end_to_end
  check "-c compresses" compresses
  check "a variant is chosen with -o subformat=NAME (streamOptimized)" makes_stream
  check "--snapshot NAME" converts_snapshot
  check "--parent P writes only what differs from P" converts_difference
}

# The parent's cluster, the child's, and the hole between them.
map_of_chain() {
  local said
  said=$(platter map --json high.qcow2)
  has "$said" '"start": 1048576, "length": 65536, "depth": 1, "kind": "data"' && has "$said" '"file": "low.qcow2"' &&
    has "$said" '"start": 4194304, "length": 65536, "depth": 0, "kind": "data"' &&
    has "$said" '"start": 0, "length": 1048576, "depth": 1, "kind": "absent"'
}
map_offset() {
  local offset
  offset=$(platter map --json low.qcow2 | sed -n 's/.*"kind": "data", "offset": \([0-9]*\),.*/\1/p')
  # What qemu-io wrote there.
  same 0101 "$(od -An -tx1 -j "$offset" -N 2 low.qcow2 | tr -d ' ')"
}
draws() {
  rm -f map.svg
  platter map -q --svg map.svg high.qcow2 && has "$(<map.svg)" "<svg" && has "$(tail -c 20 map.svg)" "</svg>" &&
    expect_error 1 map.svg platter map --svg map.svg high.qcow2
}
leaky() {
  # A cluster that nobody points at: what a crash leaves.
  rm -f leaky.qcow2
  empty leaky.qcow2 8M && qemu-io -c "write -P 1 0 64k" leaky.qcow2 >/dev/null &&
    poke leaky.qcow2 $((65536 * 2 + 18)) "$(be 2 1)" && truncate -s 1M leaky.qcow2
}
torn() {
  # The guest's first cluster is the refcount table.
  rm -f torn.qcow2
  cp leaky.qcow2 torn.qcow2 && poke torn.qcow2 "$(l2_of torn.qcow2)" "$(be 4 $((1 << 31)))$(be 4 65536)"
}
l2_of() {
  local l1
  l1=$(od -An -tu8 --endian=big -j 40 -N 8 "$1")
  echo $(($(od -An -td8 --endian=big -j $((l1)) -N 8 "$1") & 0xfffffffffffe00))
}
repaired() {
  platter check -q --repair leaks leaky.qcow2 && expect_status 0 platter check leaky.qcow2 && qemu-img check -q leaky.qcow2
}
repaired_all() { platter check -q --repair all torn.qcow2 && expect_status 0 platter check torn.qcow2; }
differing() {
  expect_status 1 platter compare -f raw -F raw disk.raw changed.raw && has "$last_said" 10000000
}

walk_looks() {
  section="The tool: map"
  check "extents of the chain: offset, length, layer, kind" map_of_chain
  check "host offset" map_offset
  check "--summary" expect_part "virtual size 16777216" platter map --summary high.qcow2
  check "--svg FILE draws the allocation map" draws
  section="The tool: check"
  leaky && torn
  check "exit 0 clean" expect_status 0 platter check low.qcow2
  check "exit 1 the check failed to run" expect_error 1 none.qcow2 platter check none.qcow2
  check "exit 2 corruption" expect_status 2 platter check torn.qcow2
  check "exit 3 leaks only" expect_status 3 platter check leaky.qcow2
  check "exit 63 not supported" expect_status 63 platter check disk.raw
  check "--repair leaks" repaired
  check "--repair all" repaired_all
  section="The tool: compare"
  check "exit 0 same" expect_status 0 platter compare -f raw disk.raw base.qcow2
  check "exit 1 differ (prints the first offset)" differing
  check "exit 2 error" expect_error 2 none.raw platter compare disk.raw none.raw
}
