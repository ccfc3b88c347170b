# Completion of platter and platterfs in bash: `platter --complete` knows what may stand where.

# The words of the line as far as the cursor, without quotes, in _platter_words. Readline's own are
# cut at = and : as well.
_platter_read_line() {
  local text=${COMP_LINE:0:COMP_POINT} word='' quote='' c i
  _platter_words=()
  for ((i = 0; i < ${#text}; ++i)); do
    c=${text:i:1}
    if [[ $c == \\ && $quote != "'" ]]; then
      ((++i))
      word+=${text:i:1}
    elif [[ -n $quote && $c == "$quote" ]]; then
      quote=''
    elif [[ -z $quote && $c == [\"\'] ]]; then
      quote=$c
    elif [[ -z $quote && $c == [[:space:]] ]]; then
      [[ -n $word ]] && _platter_words+=("$word")
      word=''
    else
      word+=$c
    fi
  done
  _platter_words+=("$word")
}

# Directories, and files of these extensions or, when there are none, any.
_platter_files() {
  local typed=$1 kind=$2 name extension all=() wanted=() directories=()
  mapfile -t all < <(compgen -f -- "$typed")
  for name in "${all[@]}"; do
    extension=${name##*.}
    if [[ -d $name ]]; then
      directories+=("$name")
    elif [[ $kind == files || " $kind " == *" ${extension,,} "* ]]; then
      wanted+=("$name")
    fi
  done
  COMPREPLY+=("${directories[@]}" "${wanted[@]}")
  if [[ $kind == images* && ${#wanted[@]} -eq 0 ]]; then COMPREPLY=("${all[@]}"); fi
  compopt -o filenames 2>/dev/null
}

_platter() {
  local _platter_words line kind cut program=platter
  _platter_read_line
  local typed=${_platter_words[-1]}
  local -a words=("${_platter_words[@]:1}")
  if [[ ${_platter_words[0]} == *platterfs ]]; then
    words=(mount "${words[@]}")
  else
    program=${_platter_words[0]}
  fi
  # What readline takes for the words before this one.
  local before=${typed%"${typed##*[=:]}"}
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line == $'\t'* ]]; then
      kind=${line#$'\t'}
      cut=${kind#*$'\t'}
      _platter_files "${typed#"$cut"}" "${kind%%$'\t'*}"
    else
      line=${line%%$'\t'*}
      [[ $line == *= ]] && compopt -o nospace 2>/dev/null
      COMPREPLY+=("$(printf %q "${line#"$before"}")")
    fi
  done < <("$program" --complete "${words[@]}" 2>/dev/null)
}

complete -F _platter platter platterfs
