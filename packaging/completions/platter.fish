# Completion of platter and platterfs in fish: `platter --complete` knows what may stand where.

function __platter_complete
    set -l words (commandline -opc)
    set -l typed (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    if string match -q '*platterfs' -- $program
        set program platter
        set -p words mount
    end
    for line in ($program --complete $words "$typed" 2>/dev/null)
        set -l parts (string split \t -- $line)
        if test -n "$parts[1]"
            echo $line
            continue
        end
        # The name of a file, behind what the word has before it.
        set -l start (math (string length -- "$parts[3]") + 1)
        set -l name (string sub -s $start -- "$typed")
        for each in (__fish_complete_path "$name")
            echo "$parts[3]$each"
        end
    end
end

complete -c platter -f -a '(__platter_complete)'
complete -c platterfs -f -a '(__platter_complete)'
