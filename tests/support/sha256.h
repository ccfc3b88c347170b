// Sha256: the digest of bytes given piece by piece.
#pragma once

#include <memory>
#include <string>

#include "lib/base/range.h"

namespace platter::test {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void add(Bytes bytes);
  std::string hex();  // lower case; ends the digest

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_of(Bytes bytes);
std::string sha256_of_file(const std::string& path);

}  // namespace platter::test
