// What a check of an image finds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace platter {

enum class Repair : unsigned char { none, leaks, all };

struct CheckReport {
  static constexpr size_t kMaxMessages = 1000;

  uint64_t corruptions = 0;           // data is lost, or would be by the next write
  uint64_t leaks = 0;                 // blocks nobody uses; harmless
  uint64_t repaired = 0;              // of both; no longer among them
  uint64_t blocks = 0;                // looked at
  std::vector<std::string> messages;  // the first kMaxMessages

  void corruption(std::string message) {
    ++corruptions;
    say(std::move(message));
  }
  void leak(std::string message) {
    ++leaks;
    say(std::move(message));
  }

 private:
  void say(std::string message) {
    if (messages.size() < kMaxMessages) messages.push_back(std::move(message));
  }
};

}  // namespace platter
