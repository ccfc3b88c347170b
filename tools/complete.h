// What may stand where the cursor is in a command line: asked by packaging/completions, which know
// nothing of commands and options themselves.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace platter {

// The command that is for shells, not for users: `platter --complete WORD...`.
inline constexpr const char* kCompleteWord = "--complete";

// words: those of the command line as far as the cursor, without the program's name; the last one,
// which may be empty, is completed. Each line is one that could stand in its place, a tab, and what
// it means. A line that begins with a tab says that names of files could, too: "\tfiles",
// "\timages" with the usual extensions behind it, or "\tdirectories"; after another tab, what comes
// before the name in the word: "\tfiles\t--key-file=". The exit status: 1 when a value is of no
// known kind.
int complete(std::ostream& out, const std::vector<std::string>& words);

}  // namespace platter
