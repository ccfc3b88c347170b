# Sourced by walk: the images that the checks look at. All of them lie in the working directory.
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

disk_size=$((32 * 1024 * 1024))

# Bytes of a number, as printf takes them: le COUNT NUMBER, be COUNT NUMBER.
le() {
  local i
  for ((i = 0; i < $1; i++)); do printf '\\x%02x' $((($2 >> 8 * i) & 255)); done
}
be() {
  local i
  for ((i = $1 - 1; i >= 0; i--)); do printf '\\x%02x' $((($2 >> 8 * i) & 255)); done
}
# poke FILE OFFSET ESCAPES
poke() { printf '%b' "$3" | dd of="$1" bs=64K seek="$2" oflag=seek_bytes conv=notrunc status=none; }
# Different in every kilobyte: text COUNT WORD.
text() { seq -f "$2 %1000.0f" "$1"; }

# An ext4 with a file in it.
make_ext4() {
  mkdir tree
  echo "a file in a partition" >tree/greeting
  mke2fs -q -t ext4 -d tree -E hash_seed=00000000-0000-0000-0000-000000000001 ext4.raw 8M >mke2fs.log 2>&1
}

# MBR: 1 is an ext4; 5 and 6 are logical ones in the extended partition 2.
make_mbr() {
  truncate -s $disk_size disk.raw
  sfdisk -q disk.raw <<-END
	label: dos
	1 : start=2048, size=16384, type=83
	2 : start=20480, size=40960, type=5
	5 : start=22528, size=8192, type=83
	6 : start=32768, size=4096, type=83
	END
  dd if=ext4.raw of=disk.raw bs=1M seek=1 conv=notrunc,sparse status=none
  text 900 logical | dd of=disk.raw bs=512 seek=22528 conv=notrunc status=none
}
make_gpt() {
  truncate -s 8M gpt.raw
  sfdisk -q gpt.raw <<-END
	label: gpt
	2 : start=2048, size=2048
	5 : start=8192, size=1024
	END
  text 500 guid | dd of=gpt.raw bs=512 seek=8192 conv=notrunc status=none
}

# "Inside Macintosh: Devices", chapter 3: a descriptor, and an entry a block.
apm_entry() {
  poke apm.raw $((512 * $1)) "PM$(be 2 0)$(be 4 2)$(be 4 "$2")$(be 4 "$3")$4"
  poke apm.raw $((512 * $1 + 48)) "$5"
}
make_apm() {
  truncate -s 1M apm.raw
  poke apm.raw 0 "ER$(be 2 512)$(be 4 2048)"
  apm_entry 1 1 63 map Apple_partition_map
  apm_entry 2 512 1024 disk Apple_HFS
  text 500 apple | dd of=apm.raw bs=512 seek=512 conv=notrunc status=none
}

# sys/disklabel.h of the BSDs: the exclusive or of its 16-bit words is 0. c is all of the disk.
make_bsd() {
  local sum=0 word
  truncate -s 1M bsd.raw
  poke bsd.raw 512 "$(le 4 $((0x82564557)))"
  poke bsd.raw $((512 + 40)) "$(le 4 512)"
  poke bsd.raw $((512 + 132)) "$(le 4 $((0x82564557)))$(le 2 0)$(le 2 3)"
  poke bsd.raw $((512 + 148)) "$(le 4 1024)$(le 4 16)$(le 4 0)$(le 1 7)"
  poke bsd.raw $((512 + 148 + 32)) "$(le 4 2048)$(le 4 0)"
  for word in $(od -An -v -tu2 -j 512 -N 196 bsd.raw); do sum=$((sum ^ word)); done
  poke bsd.raw $((512 + 136)) "$(le 2 $sum)"
  text 500 berkeley | dd of=bsd.raw bs=512 seek=16 conv=notrunc status=none
}

# fresh NAME: a qcow2 of its own with the bytes of disk.raw. A copy is cheaper than a conversion.
fresh() { cp --sparse=always template.qcow2 "$1"; }
# empty NAME SIZE [OPTION…]: of the format that the extension says.
empty() {
  local name=$1 size=$2
  shift 2
  platter create -q -f "${name##*.}" "$@" "$name" "$size"
}

make_images() {
  make_ext4 && make_mbr && make_gpt && make_apm && make_bsd &&
    platter convert -q -f raw -O qcow2 disk.raw template.qcow2 && chmod 0600 template.qcow2 &&
    printf 'open sesame' >pass && head -c 4M /dev/urandom >random && empty low.qcow2 16M &&
    qemu-io -c "write -P 1 1M 64k" low.qcow2 >low.log && return
  echo "the images could not be made" >&2
  exit 1
}
