// Passphrases from where users keep them: a file, a descriptor, their head.
#pragma once

#include <optional>
#include <string>

#include "lib/crypto/key_source.h"

namespace platter {

// All bytes of a file count, a newline at its end among them; of a line typed at the terminal that
// is none. Nothing is read before a passphrase is asked for.
struct KeyInput {
  std::string file;       // its name; "-": standard input
  std::optional<int> fd;  // or an open descriptor, read to its end
  bool given() const { return !file.empty() || fd.has_value(); }
};

// Errc::invalid: both are given, or no number is.
Result<KeyInput> parse_key_input(const std::string& file, const std::string& fd);

// Errc::invalid: it cannot be read, is empty, or is longer than 8 MiB.
Result<Secret> read_passphrase(const KeyInput& input);
// Asks at the terminal, unseen; twice when it is a new one. Errc::no_key: standard input is no
// terminal; invalid: the two differ, or it is empty.
Result<Secret> ask_passphrase(const std::string& prompt, bool twice);

// What is given, or else asked for; read once, for all images of a chain. From then on the process
// leaves no core dump.
class PassphraseSource final : public KeySource {
 public:
  enum class Purpose : unsigned char { existing, fresh };
  explicit PassphraseSource(KeyInput input, Purpose purpose = Purpose::existing)
      : input_(std::move(input)), purpose_(purpose) {}

  Result<Bytes> passphrase(std::string_view image) override;

 private:
  const KeyInput input_;
  const Purpose purpose_;
  std::optional<Secret> secret_;
};

}  // namespace platter
