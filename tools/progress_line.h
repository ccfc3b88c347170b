// ProgressLine: shows how far a long command is, on a terminal or as JSON lines.
#pragma once

#include <chrono>

#include "lib/base/progress.h"
#include "tools/cancellation.h"
#include "tools/console.h"

namespace platter {

// A bar on a terminal, with --progress=json one object a line on any stderr, else nothing. While
// it lives, Ctrl-C cancels. Thread safety: as Progress says.
class ProgressLine final : public Progress {
 public:
  explicit ProgressLine(Console& console);
  ~ProgressLine() override;

  void advance(uint64_t done, uint64_t total) override;
  bool cancelled() const override { return Cancellation::signal() != 0; }

 private:
  enum class Style : unsigned char { none, bar, json };
  using Clock = std::chrono::steady_clock;

  void draw(uint64_t done, uint64_t total);

  Console& console_;
  Cancellation cancellation_;
  Style style_;
  Clock::time_point next_;  // not drawn again before
  bool drawn_ = false;
};

}  // namespace platter
