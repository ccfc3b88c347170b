// A copy of the machine to install things on, which is thrown away.
#pragma once

#include "tests/support/mount.h"

namespace platter::test {

// Its root directory shows the machine's files; what is changed there stays in memory. Only this
// process and its children see it. Throws unless root.
class ThrowawayRoot {
 public:
  ThrowawayRoot();
  ~ThrowawayRoot();
  ThrowawayRoot(const ThrowawayRoot&) = delete;
  ThrowawayRoot& operator=(const ThrowawayRoot&) = delete;
  // As seen from outside of it.
  std::string operator/(const std::string& name) const { return root_ + "/" + name; }
  Outcome run(std::vector<std::string> command) const;

 private:
  TempDir dir_;
  std::string root_;
};

}  // namespace platter::test
