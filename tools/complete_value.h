// Offers: what a word of a command line could be, as far as it is typed.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace platter {

class Offers {
 public:
  // typed: the word, as far as there is one.
  Offers(std::ostream& out, std::string typed) : out_(out), typed_(std::move(typed)) {}
  const std::string& typed() const { return typed_; }

  // One that does not begin as the word does is left out.
  void add(std::string_view candidate, std::string_view meaning = {});
  // kind: as the help calls it: "FMT", "FILE", "none|beside|any". prefix: what the word has before
  // the value. image: that a snapshot would be of; empty: not known yet. False: of no known kind.
  bool add_values(std::string_view kind, const std::string& prefix, const std::string& image);
  // The keys of -o for a format that is made, or amended; all formats' when it is not known.
  void add_format_options(const std::string& format, bool amend);

 private:
  void add_files(std::string_view kind, const std::string& prefix);
  void add_formats(const std::string& prefix);
  void add_snapshots(const std::string& prefix, const std::string& image);
  void add_mountpoints();

  std::ostream& out_;
  const std::string typed_;
};

// The same for a word behind `platter mount` or `platterfs`, the last of words.
bool complete_mount(Offers& offers, const std::vector<std::string>& words);

}  // namespace platter
