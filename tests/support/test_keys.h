// Keys for tests: one passphrase, and what makes trying it quick.
#pragma once

#include <string_view>

#include "lib/crypto/luks1.h"
#include "lib/image/format.h"
#include "lib/io/memory_file.h"
#include "tests/support/bytes.h"
#include "tests/support/temp_dir.h"

namespace platter::test {

inline constexpr std::string_view kPassphrase = "hunter2";

class TestKeys final : public KeySource {
 public:
  explicit TestKeys(std::string_view passphrase = kPassphrase) : passphrase_(passphrase) {}
  Result<Bytes> passphrase(std::string_view /*image*/) override { return bytes_of(passphrase_); }

 private:
  const std::string_view passphrase_;
};

// Given to whatever may be encrypted.
inline KeySource* test_keys() {
  static TestKeys keys;
  return &keys;
}

// A file with the passphrase in the directory.
inline std::string key_file_in(const std::string& directory) {
  const std::string path = directory + "/key";
  write_file(path, kPassphrase);
  return path;
}

// Of create: what keeps a test from waiting, for formats that have such an option.
inline Options quick_options(const Format& format) {
  Options options;
  for (const OptionSpec& spec : format.create_options()) {
    if (spec.name == "iter-time") options.emplace(spec.name, "1");
  }
  return options;
}

// The image in template_file, copied as sparse as it is; synced.
Result<void> copy_image(const File& template_file, File& to);

// Rewrites a LUKS header that kPassphrase opens so that to try one takes no time.
Result<void> make_luks_quick(const LuksPlace& place);

}  // namespace platter::test
