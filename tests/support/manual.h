// What a manual page and a help text name, so that tests can compare them.
#pragma once

#include <set>
#include <string>
#include <vector>

namespace platter::test {

using Words = std::set<std::string>;

// Of a page in Markdown.

// The lines in front of a definition: "**-f**, **--format** *FMT*", with ": " on the next line.
std::vector<std::string> terms_in(const std::string& text);
// What is in bold in them.
Words bold_in(const std::vector<std::string>& terms);
// From the heading to the next one of any level.
std::string section(const std::string& text, const std::string& heading);

// Of a help text.

// The dashed words in front of the two blanks that part them from what they mean.
Words options_in(const std::string& help);
// Those of platterfs that stand by themselves, each in a line: "    ro   read-only …".
Words mount_options_in(const std::string& help);

}  // namespace platter::test
