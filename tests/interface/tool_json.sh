# Sourced by walk: "The tool", --json.
# shellcheck shell=bash disable=SC2015,SC2034,SC2154

# answers COMMAND…: one JSON value and nothing on stderr.
answers() {
  local said
  said=$(limited platter "$@" --json 2>"$W/err") || { printf 'status %s: %s\n' $? "$said"; return 1; }
  well_formed "$said" && same "" "$(<"$W/err")"
}
# Brackets and quotes of the text pair up, and it is one object or array.
well_formed() {
  local bare
  case $1 in '{'*'}' | '['*']') ;; *) printf 'no JSON: %s\n' "$1"; return 1 ;; esac
  bare=$(sed 's/\\.//g; s/"[^"]*"/0/g' <<<"$1" | tr -d ' \n')
  while [[ $bare =~ \{[^][{}]*\}|\[[^][{}]*\] ]]; do
    case ${BASH_REMATCH[0]} in *,,* | *,'}' | *,']') printf 'a comma too many: %s\n' "$1"; return 1 ;; esac
    bare=${bare/"${BASH_REMATCH[0]}"/0}
  done
  same 0 "$bare"
}
# fails_in_json STATUS FILE COMMAND…
fails_in_json() {
  local want=$1 file=$2 status=0 message
  shift 2
  limited platter "$@" --json >"$W/out" 2>"$W/err" || status=$?
  same "$want" $status && well_formed "$(<"$W/out")" && has "$(tr -d ' \n' <"$W/out")" '{"error":{"file":' || return
  same "$file" "$(json "$W/out" file)" || return
  message=$(sed -n 's/^    "message": "\(.*\)"$/\1/p' "$W/out" | sed 's/\\"/"/g; s/\\\\/\\/g')
  same 1 "$(wc -l <"$W/err")" && has "$(<"$W/err")" "$message" && has "$message" "${file##*/}"
}
info_has_all() {
  local said key
  said=$(platter info --json "$1")
  for key in file format variant virtual_size allocated_size block_size uuid parent parent_uuid snapshots encrypted \
    dirty corrupt comment geometry; do
    has "$said" "
  \"$key\": " || return
  done
  has "$said" '"pchs": ' && has "$said" '"lchs": ' && has "$(platter info --json --chain "$1")" '
  "chain": ['
}
snapshot_fields() {
  local said key
  said=$(platter info --json top.qcow2 | sed -n '/^  "snapshots": \[/,/^  \]/p')
  for key in id name size created; do has "$said" "      \"$key\": " || return; done
  has "$said" '"name": "kept"' && has "$said" '"size": 33554432'
}
tells_flags() {
  same true "$(field encrypted platter info secret.qcow2)" && same false "$(field encrypted platter info low.qcow2)"
}
map_is_array() {
  local line all
  all=$(platter map --json high.qcow2)
  well_formed "$all" || return
  while read -r line; do
    case $line in
      '[' | ']') ;;
      '{"start": '*', "length": '*', "depth": '*', "kind": "'*'", "offset": '*', "file": '*'}'*) ;;
      *) printf 'no extent: %s\n' "$line"; return 1 ;;
    esac
  done <<<"$all"
}
# kind_shown KIND IMAGE
kind_shown() { has "$(platter map --json "$2")" "\"kind\": \"$1\""; }
live_has() {
  local key said
  said=$(limited cat "$M/info.json" | sed -n '/^  "live": {/,/^  }/p')
  for key in pid transport since requests; do has "$said" "    \"$key\": " || return; done
  same "$(daemon_of "$M")" "$(json "$M/info.json" pid)" && well_formed "$(limited cat "$M/info.json")"
}

walk_json_values() {
  section="The tool: --json"
  check "info --json has at least file format variant ... chain[]" info_has_all top.qcow2
  check "info --json has them for a vdi" info_has_all plain.vdi
  check "info --json: snapshots[] (id name size created)" snapshot_fields
  check "info --json: encrypted" tells_flags
  check "map --json is an array of {start,length,depth,kind,offset,file}" map_is_array
  check "kind data" kind_shown data low.qcow2
  check "kind absent" kind_shown absent low.qcow2
  qemu-io -c "write -z 8M 64k" high.qcow2 >/dev/null
  check "kind zero" kind_shown zero high.qcow2
  check "kind compressed" kind_shown compressed small.qcow2
  check "kind encrypted" kind_shown encrypted secret.qcow2
  check "formats --json: an array of {name, extensions[], read, write, create, variants[], diff, ...}" says_formats
  on low.qcow2
  check "info.json is info --json plus live: {pid, transport, since, requests}" live_has
  off
}
walk_json_commands() {
  section="The tool: --json"
  local point=$W/mnt/json
  mkdir "$point"
  rm -f j.*
  check "works on every command: info" answers info top.qcow2
  check "works on every command: map" answers map high.qcow2
  check "works on every command: create" answers create -f qcow2 j.qcow2 8M
  check "works on every command: convert" answers convert -f raw -O vdi gpt.raw j.vdi
  check "works on every command: check" answers check j.qcow2
  check "works on every command: compare" answers compare -f raw gpt.raw j.vdi
  check "works on every command: snapshot create" answers snapshot create j.qcow2 one
  check "works on every command: snapshot list" answers snapshot list j.qcow2
  check "works on every command: snapshot apply" answers snapshot apply j.qcow2 one
  check "works on every command: snapshot rename" answers snapshot rename j.qcow2 one two
  check "works on every command: snapshot delete" answers snapshot delete j.qcow2 two
  check "works on every command: resize" answers resize j.qcow2 +1M
  check "works on every command: set" answers set j.vdi comment=x
  check "works on every command: amend" answers amend -o lazy_refcounts=on j.qcow2
  check "works on every command: key" answers key list secret.qcow2
  check "works on every command: mount" answers mount low.qcow2 "$point"
  check "works on every command: umount" answers umount "$point"
}
walk_json_failures() {
  section="The tool: --json"
  local words
  for words in info map check "snapshot list"; do
    # shellcheck disable=SC2086 # a command may be two words
    check "also when it fails: $words" fails_in_json 1 none.qcow2 $words none.qcow2
  done
  check "also when it fails: resize" fails_in_json 1 none.qcow2 resize -f qcow2 none.qcow2 1M
  check "also when it fails: convert" fails_in_json 1 none.qcow2 convert -O raw none.qcow2 j.raw
  check "also when it fails: create" fails_in_json 1 j.qcow2 create -f qcow2 j.qcow2 1M
  check "also when it fails: compare" fails_in_json 2 none.qcow2 compare low.qcow2 none.qcow2
  check "also when it fails: set" fails_in_json 1 none.vdi set none.vdi comment=x
  check "also when it fails: amend" fails_in_json 1 none.qcow2 amend -o compat=1.1 none.qcow2
  check "also when it fails: key" fails_in_json 1 none.qcow2 key list none.qcow2
  check "also when it fails: mount" fails_in_json 1 none.qcow2 mount none.qcow2 "$W/mnt/json"
  check "also when it fails: umount" fails_in_json 1 "$W/mnt/json" umount "$W/mnt/json"
}
walk_tool_json() { walk_json_values; walk_json_commands; walk_json_failures; }
